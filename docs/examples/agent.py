"""An agent that works until it has an answer or its budget is used up.

    python docs/examples/agent.py --question "what is 6 * 7, and how long is the answer?"
    python docs/examples/agent.py --question "what is 6 * 7, and how long is the answer?" --tokens 60

Each round asks a model, calls the tools that it wants at the same time, and goes on with what they said. The model
here is a few lines of Python: put your own in its place. Record the agent with `--state sqlite:///agent.db --run-id 1`,
and it goes on at its last round after a crash.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cascade as cs


@dataclass(frozen=True)
class Use:
    """A wish of the model: a tool and what to give it."""

    tool: str
    argument: str


@dataclass(frozen=True)
class Reply:
    """What the model said, what it cost, and what it wants to know."""

    text: str
    tokens: int
    uses: tuple[Use, ...] = ()


@dataclass(frozen=True)
class Budget:
    """What may still be used. The last answer may take more than is left; then no further one is asked for."""

    tokens: int
    rounds: int

    def after(self, reply: Reply) -> "Budget":
        return replace(self, tokens=self.tokens - reply.tokens, rounds=self.rounds - 1)

    @property
    def used_up(self) -> str | None:
        return "tokens" if self.tokens <= 0 else "rounds" if self.rounds <= 0 else None


class Model:
    """Stands for a model on the network: it wants a sum first, then its length, and then it answers."""

    async def answer(self, history: list[str]) -> Reply:
        tokens = sum(len(line.split()) for line in history) + 12
        told = [line for line in history if line.startswith("tool ")]
        sums = re.findall(r"\d+ [*+-] \d+", history[0])
        if not told:
            return Reply("I need to calculate", tokens, tuple(Use("calculate", each) for each in sums))
        if len(told) == len(sums):
            return Reply("I need its length", tokens, (Use("length", told[-1].rpartition(" ")[2]),))
        return Reply(" and ".join(line.partition("says ")[2] for line in told), tokens)


@cs.resource
def model() -> Iterator[Model]:
    yield Model()


OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Mult: operator.mul,
    ast.Sub: operator.sub,
}


def calculate(sum_: str) -> str:
    """Calculate a sum of two numbers; nothing that a model writes is ever run as code."""
    tree = ast.parse(sum_, mode="eval").body
    match tree:
        case ast.BinOp(ast.Constant(int(left)), operation, ast.Constant(int(right))):
            return str(OPERATORS[type(operation)](left, right))
    raise ValueError(f"no sum of two numbers: {sum_}")


TOOLS: dict[str, Callable[[str], str]] = {"calculate": calculate, "length": lambda word: str(len(word))}


@cs.task(retry=cs.RetryPolicy(3, delay=0.5, on=ConnectionError))
async def ask(history: list[str], model: Model = cs.inject("model")) -> Reply:
    return await model.answer(history)


@cs.task
def use_tool(use: Use) -> str:
    """Call a tool. A tool that fails tells the model so, and the loop goes on."""
    try:
        return f"tool {use.tool} says {TOOLS[use.tool](use.argument)}"
    except (KeyError, ValueError, SyntaxError) as problem:
        return f"tool {use.tool} failed: {problem}"


@cs.task
def decide(history: list[str], reply: Reply, budget: Budget) -> str | cs.LazyResult[str]:
    """End the loop with an answer or for want of budget, or let the tools work and begin the next round."""
    left = budget.after(reply)
    if not reply.uses:
        return f"{reply.text} ({max(0, left.tokens)} tokens left)"
    if left.used_up:
        return f"stopped: no {left.used_up} left; the last words were {reply.text!r}"
    return learn(history, reply, use_tool.map(reply.uses), left)


@cs.task
def learn(history: list[str], reply: Reply, told: list[str], budget: Budget) -> cs.LazyResult[str]:
    return agent([*history, reply.text, *told], budget)


@cs.task
def agent(history: list[str], budget: Budget) -> cs.LazyResult[str]:
    return decide(history, ask(history), budget)


@cs.task
def begin(question: str, tokens: int, rounds: int) -> cs.LazyResult[str]:
    return agent([question], Budget(tokens, rounds))


def workflow() -> cs.LazyResult[str]:
    """Answer a question with the help of tools, within a budget."""
    return begin(
        cs.Param("question", "what is 6 * 7, and how long is the answer?", description="What to find out."),
        cs.Param("tokens", 500, description="How many tokens the model may use in all."),
        cs.Param("rounds", 8, description="How many rounds there may be."),
    )


if __name__ == "__main__":
    cs.cli(workflow, resources=[model])()
