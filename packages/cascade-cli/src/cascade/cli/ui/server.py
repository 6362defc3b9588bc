"""The server of the page: which address shows what. It answers questions, and changes nothing."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from importlib.resources import files
from typing import TypeVar
from urllib.parse import parse_qs

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from cascade.cli.ui.access import HOST, TOKEN, Guard
from cascade.cli.ui.pages import fact_rows, problem_page, run_page, run_part, runs_page, runs_table
from cascade.cli.ui.store_reading import ShownRun, ShownRuns, StoreReader
from cascade.runtime.timeline.exports.report_page import report_policy
from cascade.spec import CascadeError, SpecError
from cascade.spec.errors import RunNotFoundError

T = TypeVar("T")

LOOK_SECONDS = 1.0
"""How often the store is looked at for a page that is open."""
_KINDS = {"ui.css": "text/css", "ui.js": "text/javascript", "icon.svg": "image/svg+xml"}


class Server:
    """Serves the page of a store on a port of the loopback interface."""

    def __init__(self, reader: StoreReader, port: int) -> None:
        self._socket = _listening(port)
        port = self._socket.getsockname()[1]
        self.app = Guard(make_app(reader), port)
        self.address = f"http://{HOST}:{port}/?{TOKEN}={self.app.token}"

    def serve(self) -> None:
        """Serve until a signal ends it."""
        config = uvicorn.Config(
            self.app, log_level="warning", access_log=False, timeout_graceful_shutdown=1, server_header=False,
            ws="none",
        )  # fmt: skip
        uvicorn.Server(config).run(sockets=[self._socket])


def _listening(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen(100)  # who opens the address at once waits until it is served
    except (OSError, OverflowError):
        listening.close()
        raise SpecError(
            f"port {port} of {HOST} can't be had", "give another one, or none: --port 0"
        ) from None
    return listening


def make_app(reader: StoreReader) -> Starlette:
    """Return the application, which has to stand behind a `Guard`."""
    pages = _Pages(reader)
    routes = {
        "/": pages.runs,
        "/events": pages.run_events,
        "/run": pages.run,
        "/run-events": pages.events_of_run,
        "/facts": pages.facts,
        "/report": pages.report,
        "/static/{name}": pages.static,
    }
    return Starlette(routes=[Route(path, answer, methods=["GET"]) for path, answer in routes.items()])


class _Pages:
    """Answers, one for each address."""

    def __init__(self, reader: StoreReader) -> None:
        self._reader = reader

    async def runs(self, request: Request) -> Response:
        first = _first(request)
        return await _shown(lambda: runs_page(self._reader.runs(first), self._reader.address))

    async def run(self, request: Request) -> Response:
        run_id = _run_id(request)
        return await _shown(lambda: run_page(self._reader.run(run_id), self._reader.address))

    async def report(self, request: Request) -> Response:
        run_id = _run_id(request)
        answer = await _shown(lambda: self._reader.report(run_id))
        answer.headers["content-security-policy"] = f"{report_policy()}; frame-ancestors 'self'"
        return answer

    async def facts(self, request: Request) -> Response:
        run_id, after = _run_id(request), _parameter(request, "after")
        try:
            page = await asyncio.to_thread(self._reader.facts, run_id, after)
        except CascadeError as problem:
            return JSONResponse({"problem": str(problem)}, status_code=404)
        return JSONResponse({"html": fact_rows(page), "after": page.after})

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _KINDS:
            return Response("not found", status_code=404)
        text = files("cascade.cli.ui").joinpath("static", name).read_text(encoding="utf-8")
        return Response(text, media_type=_KINDS[name])

    async def run_events(self, request: Request) -> Response:
        first = _first(request)
        return _stream(request, lambda: self._reader.runs(first), _changes_of_runs)

    async def events_of_run(self, request: Request) -> Response:
        run_id = _run_id(request)
        return _stream(request, lambda: self._reader.run(run_id), _changes_of_run)


def _changes_of_runs(before: ShownRuns | None, now: ShownRuns) -> dict[str, object]:
    known = {} if before is None else {run.run_id: run.status for run in before.runs}
    changed = [f"{run.run_id} {run.status}" for run in now.runs if known.get(run.run_id) != run.status]
    return {"html": runs_table(now), "said": "" if before is None else ", ".join(changed[:3])}


def _changes_of_run(before: ShownRun | None, now: ShownRun) -> dict[str, object]:
    is_new = before is not None and before.status != now.status
    return {"html": run_part(now), "said": f"The run {now.status}" if is_new else "", "ended": is_new}


def _stream(
    request: Request, look: Callable[[], T], told: Callable[[T | None, T], dict[str, object]]
) -> Response:
    """Return server-sent events: a new part of the page whenever the store has changed."""

    async def events() -> AsyncIterator[str]:
        before: T | None = None
        html: object = None
        while not await request.is_disconnected():
            try:
                now = await asyncio.to_thread(look)
            except CascadeError as problem:
                yield _event("gone", {"said": str(problem)})
                return
            part = told(before, now)
            before = now
            yield _event("part", part) if part["html"] != html else ": the same\n\n"
            html = part["html"]
            await asyncio.sleep(LOOK_SECONDS)

    return StreamingResponse(events(), media_type="text/event-stream")


def _event(kind: str, data: dict[str, object]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


async def _shown(make: Callable[[], str]) -> Response:
    """Return a page that is made in a thread, or one that says what is wrong."""
    try:
        page, status = await asyncio.to_thread(make), 200
    except RunNotFoundError as problem:
        page, status = problem_page("There is no such run", str(problem)), 404
    except CascadeError as problem:
        page, status = problem_page("The store can't be shown", str(problem)), 500
    return Response(page.encode("utf-8", "replace"), status, media_type="text/html; charset=utf-8")


def _parameter(request: Request, name: str) -> str | None:
    """Return a parameter of the address; run ids may be any text, halves of characters among them."""
    query = request.scope["query_string"].decode("latin-1")
    given = parse_qs(query, keep_blank_values=True, errors="surrogatepass")
    return given[name][0] if name in given else None


def _run_id(request: Request) -> str:
    return _parameter(request, "id") or ""


def _first(request: Request) -> int:
    with suppress(ValueError):
        return min(max(0, int(_parameter(request, "first") or 0)), 2**31)
    return 0
