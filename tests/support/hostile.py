"""Texts that mean harm to whatever shows them, and workflows that have them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from itertools import islice, product
from typing import Any

import cascade as cs

_PAYLOADS = (
    # Markup and scripts
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "</title></svg><iframe src=//evil.example>",
    "</style><style>*{display:none}</style>",
    "]]><![CDATA[<b>",
    "<!-- <script> --><!--",
    "&lt;b&gt;&amp;#60;&#x3c;",
    "javascript:alert(1)",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "{title}{svg}{bottom}{0}%s%(name)s",
    "\\u003cscript>\\x3c",
    # The languages of graphs
    'x"]; n1 --> n2; style n0 fill:red;%%',
    "direction LR\nsubgraph evil",
    'x" shape=none href="javascript:alert(1)',
    'click n0 "javascript:alert(1)"',
    # Terminals
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x1b[2J\x1b[H\x1b[1A",
    "\x9b31m\x90q\x9c",
    "\x08\x08\x08\x7f\x07",
    "[bold red]rich[/] [link=http://evil.example]x[/link]",
    "[/]",
    # Lines
    "one\nERROR forged",
    "one\r\nINFO forged",
    "one\rforged",
    "one\x0btwo\x0cthree",
    "one\u2028two\u2029three\x85four",
    "\t\ttabs\t",
    # Direction and what cannot be seen
    "\u202egnp.exe",
    "\u2066\u2067left\u2069",
    "\u200f\u200e\u061cmarks",
    "\u200b\u200c\u200d\ufeff\u2060zero",
    "a\u0301\u0489\u20dd" * 8,
    # What is no text
    "\x00nul\x00",
    "\ud800lone",
    "\udfff\ud83dhalves",
    "\uffff\ufffe\ufdd0",
    "\U000e0001\U000e0041tags",
    # Paths, programs, formulas
    "../../etc/passwd",
    "=HYPERLINK(1)",
    "'; DROP TABLE runs; --",
    "$(touch owned)`id`",
    '{"json": "\\"}',
    "--help",
    "",
    " ",
    "\U0001f469\u200d\U0001f680\U0001f1f3\U0001f1f4",
)
_FORMS = ("{mark}{payload}", "{payload}{mark}", "{mark}{payload}{payload}{mark}", "{mark}{long}{payload}")


def _hostile() -> Iterator[str]:
    for number, (form, payload) in enumerate(product(_FORMS, _PAYLOADS)):
        long = "long" * (5 if number % 7 else 1_000)
        parts = {"mark": f"h{number:03d}x", "payload": payload, "long": long}
        yield "".join(parts.get(word, "") for word in form.replace("{", " ").replace("}", " ").split())


HOSTILE = (*islice(_hostile(), 200),)
"""Texts that mean harm. Each has a mark of its own, `h000x` to `h199x`, by which it is found again."""


class HostileError(Exception):
    """An error whose text means harm."""


def _named(text: str, index: int) -> cs.Task[Any]:
    @cs.task(name=text)
    def named(before: object, **others: object) -> object:
        # pytest keeps what is logged, and passes it on as UTF-8, which has no halves of surrogate pairs.
        logging.getLogger("hostile").warning("%s", text.encode("utf-8", "replace").decode())
        if index % 2:
            error = HostileError(text)
            error.add_note(text)
            raise error
        return before

    return named


def hostile_target(texts: tuple[str, ...] = HOSTILE) -> cs.LazyResult[Any]:
    """Return a target whose tasks, arguments, routes and errors have these names; every second call fails."""
    calls = [_named(text, index)(index, **{text: index}) for index, text in enumerate(texts)]
    return cs.gather(*calls)


def quiet_target(texts: tuple[str, ...] = HOSTILE) -> cs.LazyResult[Any]:
    """Return a target whose tasks and arguments have these names; no call fails, and their values are cached."""
    return cs.gather(*(_named(text, 0)(0, **{text: 0}).with_cache(cs.ByInputs()) for text in texts))


def flaky_target(texts: tuple[str, ...] = HOSTILE) -> cs.LazyResult[Any]:
    """Return a target whose calls are items of maps and rounds of loops, and fail once with an error of this text."""
    return cs.gather(*(_flaky(text).map([text]) for text in texts))


def _flaky(text: str) -> cs.Task[Any]:
    failed: list[None] = []

    @cs.task(name=text, retry=cs.RetryPolicy(max_attempts=2, delay=0))
    async def flaky(value: object) -> object:
        await asyncio.sleep(0)
        if not failed:
            failed.append(None)
            raise HostileError(text)
        return value

    return flaky


def routed_target(texts: tuple[str, ...] = HOSTILE) -> cs.LazyResult[Any]:
    """Return a target with a router whose keys are these texts."""
    first = texts[0]
    routes = {text: _named(text, 0)(0) for text in texts}
    return _named("routed", 0)(cs.Router(selector=_named("selector", 0)(first), routes=routes))
