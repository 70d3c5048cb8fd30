"""Asking a page without a network, and programs to look at."""

from __future__ import annotations

import json

import attrs
import pytest

import plait
import plait.web
from plait import Event, StartEvent, StopEvent, Workflow, step

TOKEN = "let-me-in"
HOST = "127.0.0.1:8000"


@attrs.frozen
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()


async def ask(
    app, path="/", method="GET", *, token=TOKEN, host=HOST, body=None, root="", **headers
):
    """Ask an ASGI application. Headers are given with `_` for `-`; `token=None` sends none."""
    path, _, query = path.partition("?")
    found = {name.replace("_", "-"): value for name, value in headers.items()}
    if host is not None:
        found["host"] = host
    if token is not None:
        found["authorization"] = f"Bearer {token}"
    if body is not None and not isinstance(body, bytes):
        found.setdefault("content-type", "application/json")
        body = json.dumps(body).encode()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": root + path,
        "raw_path": (root + path).encode(),
        "root_path": root,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in found.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    sent = []

    async def receive():
        return {"type": "http.request", "body": body or b"", "more_body": False}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    start, *parts = sent
    return Answer(
        start["status"],
        {name.decode().lower(): value.decode() for name, value in start["headers"]},
        b"".join(part["body"] for part in parts),
    )


class Part(Event):
    number: int
    api_token: str = "hush-hush"


class Whole(Event):
    parts: int


class Braid(Workflow):
    """Three parts at once, collected."""

    @step
    async def begin(self, ev: StartEvent) -> list[Part]:
        return [Part(number=n) for n in range(3)]

    @step(num_workers=3)
    async def work(self, ev: Part) -> Whole:
        return Whole(parts=ev.number)

    @step
    async def end(self, evs: list[Whole]) -> StopEvent:
        return StopEvent(result="<b>done</b>")


class Broken(Workflow):
    @step
    async def fail(self, ev: StartEvent) -> StopEvent:
        raise ValueError("<script>alert(1)</script>")


@pytest.fixture
def page():
    return plait.web.app(token=TOKEN)


assert plait
