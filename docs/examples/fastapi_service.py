"""A web service with one engine: all requests share its capacity, its cache and its threads.

    pip install fastapi uvicorn
    uvicorn --app-dir docs/examples fastapi_service:app

`POST /reports` waits for a report; `GET /health` tells how many calls the engine has under way. A run that takes longer
than 5 seconds is cancelled with all its calls, and no other one is.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel, Field

import cascade as cs

SECONDS = 5.0


class Order(BaseModel):
    """What a client sends."""

    city: str = Field(min_length=1, max_length=40)
    days: int = Field(default=3, ge=1, le=14)


@dataclass(frozen=True)
class Report:
    """What a client gets."""

    city: str
    highest: float
    warning: str | None


class UnknownCityError(LookupError):
    """The weather service does not know the city."""


class WeatherService:
    """Stands for a service on the network: at most four calls at a time are allowed."""

    def __init__(self) -> None:
        self.temperatures = {"Oslo": 11.0, "Rome": 34.0}

    async def forecast(self, city: str, day: int) -> float:
        await asyncio.sleep(0.01)
        if city not in self.temperatures:
            raise UnknownCityError(city)
        return self.temperatures[city] + day % 3


@cs.task(cache=cs.ByInputs(ttl=600), retry=cs.RetryPolicy(3, delay=0.1, on=ConnectionError))
async def forecast(day: int, city: str, service: WeatherService = cs.inject("weather")) -> float:
    return await service.forecast(city, day)


@cs.task
def highest(temperatures: list[float]) -> float:
    return max(temperatures)


@cs.task
def is_hot(temperature: float) -> bool:
    return temperature > 30


@cs.task
def warn(city: str, temperature: float) -> str:
    return f"up to {temperature:.0f} degrees in {city}: drink water"


@cs.task
def report(city: str, temperature: float, warning: str | None) -> Report:
    return Report(city, temperature, warning)


def workflow() -> cs.LazyResult[Report]:
    """Return the report for the parameters `city` and `days`; nothing runs here."""
    city, days = cs.Param("city", type=str), cs.Param("days", type=list[int])
    temperature = highest(forecast.partial(city=city).map(days).with_constraints(weather_calls=1))
    warning = warn(city, temperature).run_if(is_hot(temperature), otherwise=None)
    return report(city, temperature, warning)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep one engine, and one client of the weather service, from the start of the process to its end."""
    service = WeatherService()

    @cs.resource
    def weather() -> Iterator[WeatherService]:
        yield service

    async with cs.Engine(system_resources={"weather_calls": 4}) as engine:
        engine.register(weather)
        app.state.engine = engine
        yield


def engine_of(request: Request) -> cs.Engine:
    engine: cs.Engine = request.app.state.engine
    return engine


SharedEngine = Annotated[cs.Engine, Depends(engine_of)]
app = FastAPI(title="Reports", lifespan=lifespan)
target = workflow()  # the tree is the same for all requests, and only the parameters differ


@app.post("/reports")
async def make_report(order: Order, engine: SharedEngine) -> dict[str, object]:
    params = {"city": order.city, "days": list(range(order.days))}
    try:
        async with asyncio.timeout(SECONDS):
            return asdict(await engine.run(target, params=params))
    except UnknownCityError as error:
        raise HTTPException(404, f"nobody knows the weather in {error}") from None
    except TimeoutError:
        raise HTTPException(504, "the weather service takes too long") from None


@app.get("/health")
async def health(engine: SharedEngine) -> dict[str, object]:
    return {"under_way": len(engine.under_way())}
