"""Whose requests are answered: an ASGI application around another.

A page on this machine is open to every program on it, and through a browser to every site that is
open there. So, before anything else is looked at:

Rule 1: the name by which the server was called must be one of its own. A site whose name suddenly
    means 127.0.0.1 gets nothing.
Rule 2: whoever asks has the token: in the address that was printed, from then on in a cookie, or in
    a header. An address with the token is left at once, so that it stays in no history.
Rule 3: what changes something is asked for by the page itself (its `Origin`), or by a program that
    sends the token in a header, which no foreign site can.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

#: The names of this machine for itself.
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")

#: What every answer has. Nothing is loaded from anywhere else, nothing in the page is run as a program
#: but its own files, and no other site may frame it, read it, or learn its address.
SHIELDS: Final[Headers] = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
            b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)

_READS: Final = frozenset({"GET", "HEAD"})


def new_token() -> str:
    """Make what nobody can guess."""
    return secrets.token_urlsafe(24)


class Guard:
    """Lets through what the rules allow, and gives every answer its shields.

    Args:
        inner: Answers what is let through.
        token: Who has it may ask.
        hosts: The names by which the server may be called, without a port.
        any_address: May it be called by any IP address as well? No site can make its name one.
    """

    def __init__(
        self,
        inner: Application,
        *,
        token: str,
        hosts: Iterable[str] = LOOPBACK,
        any_address: bool = False,
    ) -> None:
        self._inner = inner
        self._token = token.encode()
        self._hosts = frozenset(host.lower().strip("[]") for host in hosts)
        self._any_address = any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. A checkpoint, as its answer is."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":  # there is none
                await receive()
                await send({"type": "websocket.close", "code": 1008})
                return
            await self._inner(scope, receive, send)
            return
        refused = self._refusal(scope)
        if refused is not None:
            await _answer(send, *refused)
            return
        if _query_token(scope) is not None and scope["method"] == "GET" and _is_page(scope):
            await self._settle(scope, send)
            return
        await self._inner(scope, receive, _shielded(send))

    # ------------------------------------------------------------ the rules

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        host = _header(scope, b"host")
        if host is None or not self._is_own(host):
            return 421, "this server does not answer to that name: see --host"
        in_header = self._has_token(_from_header(scope))
        if not in_header and not self._has_token(_from_cookie(scope)):
            if not self._has_token(_query_token(scope)):
                text = "the token is missing or wrong: open the address that plait has printed"
                return 401, text
            if scope["method"] not in _READS:
                return 401, "the token of this request belongs in the header Authorization: Bearer"
        if scope["method"] in _READS or in_header:
            return None
        if not _is_same_origin(scope, host):
            return 403, "another site asks for this: only the page itself may"
        return None

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._hosts:
            return True
        if not self._any_address:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _has_token(self, given: str | None) -> bool:
        if given is None:
            return False
        return hmac.compare_digest(given.encode(errors="replace"), self._token)

    # ------------------------------------------------------------ from the address to a cookie

    async def _settle(self, scope: Scope, send: Send) -> None:
        """Put the token into a cookie, and send the browser to the address without it."""
        query = [
            (name, value)
            for name, value in parse_qsl(scope["query_string"].decode("latin-1"))
            if name != "token"
        ]
        root = scope.get("root_path", "")
        place = f"{root}/" + (f"?{urlencode(query)}" if query else "")
        attributes = f"Path={root or '/'}; HttpOnly; SameSite=Strict"
        if scope.get("scheme") == "https":
            attributes += "; Secure"
        cookie = f"{_cookie_name(scope)}={self._token.decode()}; {attributes}"
        headers = [(b"location", place.encode()), (b"set-cookie", cookie.encode())]
        await _answer(send, 303, "", headers)


async def _answer(send: Send, status: int, error: str, headers: Headers = ()) -> None:
    body = json.dumps({"error": error}).encode() if error else b""
    kind = [(b"content-type", b"application/json")] if error else []
    length = (b"content-length", str(len(body)).encode())
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, *kind, length, *SHIELDS],
        }
    )
    await send({"type": "http.response.body", "body": body})


def _shielded(send: Send) -> Send:
    async def shielded(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *SHIELDS]}
        await send(message)

    return shielded


# ---------------------------------------------------------------- what a request says


def _header(scope: Scope, name: bytes) -> str | None:
    """Read a header that may be there once; twice is as good as not at all."""
    found = [value for key, value in scope["headers"] if key.lower() == name]
    return found[0].decode("latin-1") if len(found) == 1 else None


def _from_header(scope: Scope) -> str | None:
    kind, _, token = (_header(scope, b"authorization") or "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def _from_cookie(scope: Scope) -> str | None:
    try:
        cookies = SimpleCookie(_header(scope, b"cookie") or "")
    except CookieError:
        return None
    found = cookies.get(_cookie_name(scope))
    return None if found is None else found.value


def _cookie_name(scope: Scope) -> str:
    """Name the cookie after the port: a browser has one jar for all servers of a machine."""
    try:
        port = urlsplit(f"//{_header(scope, b'host')}").port
    except ValueError:
        port = None
    return f"plait-{port or 0}"


def _query_token(scope: Scope) -> str | None:
    query = scope["query_string"].decode("latin-1")
    return next((value for name, value in parse_qsl(query) if name == "token"), None)


def _is_page(scope: Scope) -> bool:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) in {"", "/"}


def _is_same_origin(scope: Scope, host: str) -> bool:
    origin = _header(scope, b"origin")
    if origin is None:
        return False
    try:
        given = urlsplit(origin)
    except ValueError:
        return False
    # Behind a proxy that speaks https the server itself sees http: the name and port decide.
    return given.scheme in {"http", "https"} and given.netloc.lower() == host.lower()
