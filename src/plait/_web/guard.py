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
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlencode, urlsplit

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

#: A `Host`: a name or an address, and perhaps a port. Nothing else of an address may be in it.
_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::([0-9]{1,5}))?", re.ASCII)


def new_token() -> str:
    """Make what nobody can guess."""
    return secrets.token_urlsafe(24)


def is_name(host: object) -> bool:
    """Say whether a server can be called so: a name or an address, without a port."""
    if not isinstance(host, str):
        return False
    name = host.lower().strip("[]")
    return bool(name) and _name_and_port(f"[{name}]" if ":" in name else name) == (name, 0)


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
        if not in_header and not any(self._has_token(one) for one in _from_cookies(scope)):
            given = _query_token(scope)
            if not self._has_token(None if given is None else given.encode(errors="replace")):
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
        name, _ = _name_and_port(host)
        if name in self._hosts:
            return True
        if not self._any_address:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _has_token(self, given: bytes | None) -> bool:
        return given is not None and hmac.compare_digest(given, self._token)

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
        cookie = f"{_cookie_name(scope)}={quote(self._token, safe='')}; {attributes}"
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


def _headers(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key.lower() == name]


def _header(scope: Scope, name: bytes) -> str | None:
    """Read a header that may be there once; twice is as good as not at all."""
    found = _headers(scope, name)
    return found[0].decode("latin-1") if len(found) == 1 else None


def _from_header(scope: Scope) -> bytes | None:
    found = _headers(scope, b"authorization")
    kind, _, token = (found[0] if len(found) == 1 else b"").partition(b" ")
    return token.strip() if kind.lower() == b"bearer" else None


def _from_cookies(scope: Scope) -> Iterator[bytes]:
    """Read the cookies of our name.

    Read by hand: what other programs of this machine have put into the jar may be no cookie by the
    letter, and a reader that stops there would not find ours behind it. There may be several of
    them, since a page that is mounted deeper has a cookie of its own, and several headers.
    """
    ours = _cookie_name(scope).encode()
    for header in _headers(scope, b"cookie"):
        for pair in header.split(b";"):
            name, _, value = pair.partition(b"=")
            if name.strip() == ours:
                yield unquote_to_bytes(value.strip())


def _cookie_name(scope: Scope) -> str:
    """Name the cookie after the port: a browser has one jar for all servers of a machine."""
    _, port = _name_and_port(_header(scope, b"host") or "")
    return f"plait-{port}"


def _name_and_port(host: str) -> tuple[str, int]:
    """Take a `Host` apart; the name is `""` if it is none, the port 0 if there is none."""
    found = _HOST.fullmatch(host.lower())
    if found is None or int(found[3] or 0) > 65_535:
        return "", 0
    return found[1] or found[2], int(found[3] or 0)


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
