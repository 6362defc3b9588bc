"""Access: who may ask the page for something. Nobody but the browser of whoever started it, and nothing but reading.

The page listens on the loopback interface alone, where any program and any web page of this machine can reach it. So a
token that is printed once is exchanged for a cookie that no script reads and no other site sends. A name that somebody
else's server has led to this machine is refused by its `Host`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from hmac import compare_digest
from http import HTTPStatus
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HOST = "127.0.0.1"
"""The page listens here and nowhere else."""
TOKEN = "token"
_METHODS = ("GET", "HEAD")
_NAMES = (HOST, "localhost")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a page of ours may load and run; a page may have a policy of its own instead."""
_POLICY = b"content-security-policy"

_HEADERS = (
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class Guard:
    """An ASGI application that lets through what is allowed to ask another one; all answers get its headers."""

    def __init__(self, app: App, port: int) -> None:
        self.token = token_urlsafe(32)
        self._app = app
        self._session = token_urlsafe(32)
        self._is_spent = False
        self._cookie = f"cascade-ui-{port}"  # cookies do not know ports: two pages must not take each other's
        self._hosts = [f"{name}:{port}" for name in _NAMES]
        self._origins = [f"http://{host}" for host in self._hosts]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, _with_headers(send))

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope)
        if refusal is not None:
            await _answer(send, *refusal)
        elif self._is_exchange(scope):
            self._is_spent = True
            cookie = f"{self._cookie}={self._session}; Path=/; HttpOnly; SameSite=Strict"
            await _answer(send, HTTPStatus.SEE_OTHER, "", location="/", set_cookie=cookie)
        elif self._has_session(scope):
            await self._app(scope, receive, send)
        else:
            await _answer(
                send,
                HTTPStatus.FORBIDDEN,
                "Open the address that `cascade ui` has printed. It is good for one use.",
            )

    def _refusal(self, scope: Scope) -> tuple[HTTPStatus, str] | None:
        """Return how to refuse what may not even be asked."""
        hosts = _headers(scope, b"host")
        if len(hosts) != 1 or not _is_one_of(hosts[0], self._hosts):
            return HTTPStatus.MISDIRECTED_REQUEST, "This address is not served here."
        if not all(_is_one_of(origin, self._origins) for origin in _headers(scope, b"origin")):
            return HTTPStatus.FORBIDDEN, "Other pages may not ask."
        if scope["method"] not in _METHODS:
            return HTTPStatus.METHOD_NOT_ALLOWED, "Nothing can be changed here."
        return None

    def _is_exchange(self, scope: Scope) -> bool:
        """Tell whether the token is given, for the first time."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get(TOKEN, [])
        is_right = len(given) == 1 and _is_same(given[0], self.token)
        return is_right and scope["method"] == "GET" and not self._is_spent

    def _has_session(self, scope: Scope) -> bool:
        pairs = (
            pair.strip().partition("=") for line in _headers(scope, b"cookie") for pair in line.split(";")
        )
        values = [value for name, _, value in pairs if name == self._cookie]
        return len(values) == 1 and _is_same(values[0], self._session)


def _is_same(given: str, secret: str) -> bool:
    """Compare in a time that tells nothing of the secret."""
    return compare_digest(given.encode("utf-8", "surrogatepass"), secret.encode())


def _is_one_of(given: str, allowed: Iterable[str]) -> bool:
    return given.lower() in allowed


def _headers(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


def _with_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            if not any(name == _POLICY for name, _ in given):
                given.append((_POLICY, POLICY.encode()))
            message = {**message, "headers": [*given, *_HEADERS]}
        await send(message)

    return sending


async def _answer(send: Send, status: HTTPStatus, text: str, **headers: str) -> None:
    body = text.encode()
    told = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        told.append((b"allow", ", ".join(_METHODS).encode()))
    told += [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})
