"""Checks the URLs of stores and clusters: a wrong one is refused before anything is opened.

No error shows a user, a password or a query.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from cascade.spec.errors import SpecError

REDIS_SCHEMES = ("redis", "rediss", "unix")
REDIS_FORM = "write it as redis://host:6379/0"
POSTGRES_SCHEMES = ("postgresql", "postgres")
POSTGRES_FORM = "write it as postgresql://user@host:5432/database"

STATE_URLS = "sqlite:///runs.db, redis://localhost, postgresql://localhost/work"
CACHE_URLS = "sqlite:///cache.db, redis://localhost, postgresql://localhost/work"
VALUE_EXAMPLES = "file:///shared/values, s3://bucket/values"
"""Examples for the help of options."""


def split(url: object, problem: str, remedy: str) -> SplitResult:
    """Return the parts of a URL; its port is a number or missing.

    Raises:
        SpecError: If it can't be split, or has a character that Python would drop; with this problem and remedy.
    """
    if not isinstance(url, str) or any(character < " " or character == "\x7f" for character in url):
        raise SpecError(problem, remedy)
    try:
        found = urlsplit(url)
        found.port  # noqa: B018 - a port is only looked at when it is asked for
    except ValueError:  # whose text may have a part of the password
        raise SpecError(problem, remedy) from None
    return found


def sqlite_path(url: str, setting: str, forms: str) -> str:
    """Return the path in an SQLite URL: what follows the third slash. So four slashes begin an absolute path.

    Raises:
        SpecError: If it has a host, a query, or no path.
    """
    problem, remedy = f"{setting}={address_of(url)!r} names no file", f"write {forms}"
    found = split(url, problem, remedy)
    path = unquote(found.path.removeprefix("/"))
    is_name = bool(path) and path != ":memory:" and not path.endswith("/") and "\0" not in path
    if found.netloc or found.query or found.fragment or not is_name:
        raise SpecError(problem, remedy)
    return path


def check_redis(url: str) -> None:
    """Check a URL of a Redis server, with the options in its query.

    Raises:
        SpecError: If it is no such URL, or has an unknown option.
    """
    address = address_of(url)
    problem = f"{address} is not the URL of a Redis server"
    found = split(url, problem, REDIS_FORM)
    is_place = bool(found.path) if found.scheme == "unix" else _is_database(found.path)
    if found.scheme not in REDIS_SCHEMES or found.fragment or not is_place:
        raise SpecError(problem, REDIS_FORM)
    for name, value in parse_qsl(found.query, keep_blank_values=True):
        check = _OPTIONS.get(name)
        if check is None:  # its name is not shown: it may be a part of a password
            from difflib import get_close_matches  # noqa: PLC0415 - for an error alone

            nearest = get_close_matches(name, _OPTIONS, 1)
            meant = f"did you mean {nearest[0]!r}?" if nearest else f"it has {', '.join(_OPTIONS)}"
            raise SpecError(f"{address} asks for an option that a URL of a Redis server does not have", meant)
        try:
            sound = check(value)
        except ValueError:
            sound = False
        if not sound:
            wrong = f"{address}: the option {name!r} has a value that it can't have"
            raise SpecError(wrong, "correct it, or leave it out")


def check_postgres(url: str) -> None:
    """Check a URL of a PostgreSQL server. The options in its query are those of libpq, which checks them itself.

    Raises:
        SpecError: If it is no such URL.
    """
    problem = f"{address_of(url)} is not the URL of a PostgreSQL server"
    found = split(url, problem, POSTGRES_FORM)
    if found.scheme not in POSTGRES_SCHEMES or found.fragment or found.path.count("/") > 1:
        raise SpecError(problem, POSTGRES_FORM)


def check_place(address: str, problem: str, form: str) -> None:
    """Check the address of a cluster: a host and a port, behind a scheme or not. `form` shows how it is written.

    Raises:
        SpecError: If it is no such address, with this problem.
    """
    remedy = f"write it as {form}, with a port from 1 to 65535"
    found = split(address if "://" in address else f"//{address}", problem, remedy)
    if not (found.hostname and found.port) or "@" in found.netloc or " " in found.netloc:
        raise SpecError(problem, remedy)


def address_of(url: object) -> str:
    """Return a URL without user, password and query, so that it can be shown, however it is written."""
    if not isinstance(url, str):
        return f"a {type(url).__name__}"
    scheme, _, rest = url.partition("://")
    head, _, tail = rest.replace("#", "?").partition("?")
    if not rest and not scheme.isalnum() and "@" not in url:
        return url  # a path, more likely than a secret
    if not rest or "@" in tail:
        return "***"  # a password may stand anywhere in it
    return f"{scheme}://{head.rpartition('@')[2]}"


def _is_database(path: str) -> bool:
    number = path.removeprefix("/")
    return not number or (number.isascii() and number.isdigit())


def _is_flag(value: str) -> bool:
    return value.lower() in ("true", "false", "yes", "no", "1", "0", "on", "off")


def _is_text(value: str) -> bool:
    return bool(value)


_OPTIONS: dict[str, Callable[[str], bool]] = {
    "db": lambda value: int(value) >= 0,
    "username": _is_text,
    "password": _is_text,
    "client_name": _is_text,
    "protocol": lambda value: value in ("2", "3"),
    "socket_timeout": lambda value: 0 < float(value) < float("inf"),
    "socket_connect_timeout": lambda value: 0 < float(value) < float("inf"),
    "socket_keepalive": _is_flag,
    "health_check_interval": lambda value: int(value) >= 0,
    "max_connections": lambda value: int(value) > 0,
    "ssl_cert_reqs": lambda value: value in ("none", "optional", "required"),
    "ssl_check_hostname": _is_flag,
    "ssl_ca_certs": _is_text,
    "ssl_ca_path": _is_text,
    "ssl_certfile": _is_text,
    "ssl_keyfile": _is_text,
    "ssl_password": _is_text,
}
"""What a URL of a Redis server may ask for, and which values it may have."""
