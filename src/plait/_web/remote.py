"""A run of another process: its `/status` and `/outputs`, what its windows would be told, and its buttons.

The page asks again and again, and passes the answers on as they are. While nobody answers there, it says
so: 502, with an error. So it does when it is refused there itself: a 401 would tell a window that the token
of this page is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import attrs

from plait._engine import native
from plait._errors import ConfigError

#: Seconds that the other process may take to answer.
PATIENCE: Final = 5.0
#: What is taken of an answer, in bytes.
MOST_BYTES: Final = 64 * 2**20
#: What a window may be told: there is no such run, a button cannot do it now, or not with these fields.
TELLING: Final = frozenset({400, 404, 409, 422})


@attrs.frozen
class Answer:
    """What the other process has said: an HTTP status, and JSON."""

    status: int
    body: Any


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nobody to another address: the token would go along."""


class Remote:
    """The server that another process has opened by `--status-port` or `--ui`.

    Args:
        address: As it was printed there, with its token.

    Raises:
        ConfigError: It is no address of a server.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(
                f"{address!r} is no address of a runner. Write it as it was printed there: "
                "http://127.0.0.1:8001/?token=..."
            )
        self._token = dict(parse_qsl(parts.query)).get("token", "")
        self._base = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
        # No proxy: it would be asked for an address of this machine.
        self._opener = build_opener(ProxyHandler({}), _NoRedirect())

    @property
    def base(self) -> str:
        """The address, without the token."""
        return self._base

    async def ask(self, path: str, query: tuple[tuple[str, str], ...] = ()) -> Answer:
        """Ask for a path, such as `status`. A checkpoint; cancelled, it waits for the answer."""
        text = "&".join(f"{quote(name)}={quote(value)}" for name, value in query)
        address = f"{self._base}/{path}" + (f"?{text}" if text else "")
        return await native.current().run_in_thread(self._answer, address)

    async def press(self, path: str, fields: Mapping[str, Any]) -> Answer:
        """Press a button, such as `api/cancel`. A checkpoint; cancelled, it waits for the answer.

        Where no answer comes, it is not known whether anything has come of it.
        """
        body = json.dumps(fields).encode()
        return await native.current().run_in_thread(self._answer, f"{self._base}/{path}", body)

    def _answer(self, address: str, body: bytes | None = None) -> Answer:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = Request(address, body, headers)  # noqa: S310 - http, as was checked
        try:
            with self._opener.open(request, timeout=PATIENCE) as found:
                return _read(found.status, found.read(MOST_BYTES))
        except HTTPError as error:
            with error:
                found = _read(error.code, error.read(MOST_BYTES))
            if found.status in TELLING:
                return found
            match found.body:
                case {"error": str(text)}:
                    pass
                case _:
                    text = error.reason
            return Answer(502, {"error": f"the runner at {self._base} says {error.code}: {text}"})
        except (OSError, HTTPException) as error:
            text = f"the runner at {self._base} does not answer: {error}"
            return Answer(502, {"error": text})


def _read(status: int, body: bytes) -> Answer:
    try:
        return Answer(status, json.loads(body))
    except (ValueError, RecursionError):
        return Answer(502, {"error": "the runner's answer is no JSON: is it a plait server?"})
