"""Which request gets which answer. `guard` has let it through."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import attrs

from plait._errors import JournalError, MissingExtra

from .feed import Cursor, written
from .forms import Unfit
from .guard import Application
from .refused import Refused
from .status import outputs, status
from .stream import EventStream

if TYPE_CHECKING:
    from starlette.requests import Request

    from .page import LivePage
    from .shown import Shown
    from .view import RunView

#: Bytes that a request may bring along.
MOST_BYTES: Final = 65_536

#: The browser's part, and what each file is. No other name means a file, so no path leads anywhere else.
FILES: Final[Mapping[str, str]] = {
    "page.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "main.js": "text/javascript; charset=utf-8",
    "feed.js": "text/javascript; charset=utf-8",
    "model.js": "text/javascript; charset=utf-8",
    "dom.js": "text/javascript; charset=utf-8",
    "picture.js": "text/javascript; charset=utf-8",
    "graph.js": "text/javascript; charset=utf-8",
    "timeline.js": "text/javascript; charset=utf-8",
    "tables.js": "text/javascript; charset=utf-8",
    "questions.js": "text/javascript; charset=utf-8",
    "details.js": "text/javascript; charset=utf-8",
}
_FOLDER: Final = Path(__file__).with_name("static")


@attrs.frozen
class Told:
    """An answer, before it is written down."""

    body: Any
    status: int = 200


class _Wrong(Exception):  # noqa: N818 - says what the request is
    """A request that cannot be answered, and why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


Handler: TypeAlias = "Callable[[Request], Awaitable[Any]]"


def routed(page: LivePage) -> Application:
    """Make the application of a page.

    Raises:
        MissingExtra: Starlette is not installed.
    """
    try:
        from starlette.applications import Starlette  # noqa: PLC0415 - an extra begins here
        from starlette.requests import ClientDisconnect  # noqa: PLC0415
        from starlette.responses import Response  # noqa: PLC0415
        from starlette.routing import Route  # noqa: PLC0415
    except ModuleNotFoundError as error:
        text = "the live page needs starlette. Type: pip install 'plait[ui]'"
        raise MissingExtra(text) from error

    def answering(handler: Handler) -> Callable[[Request], Awaitable[Any]]:
        async def answer(request: Request) -> Any:
            try:
                given = await handler(request)
            except _Wrong as wrong:
                given = Told({"error": str(wrong)}, wrong.status)
            except Refused as refused:
                given = Told({"error": str(refused)}, 409)
            except JournalError as error:
                given = Told({"error": str(error)}, 503)
            except ClientDisconnect:
                given = Told({"error": "the request has ended too early"}, 400)  # nobody hears it
            if not isinstance(given, Told):
                return given  # noqa: ASYNC910 - sending it is one
            return Response(  # noqa: ASYNC910 - the same
                written(given.body), status_code=given.status, media_type="application/json"
            )

        return answer

    def file(name: str) -> Any:
        kind = "text/html; charset=utf-8" if name == "index.html" else FILES[name]
        return Response((_FOLDER / name).read_bytes(), headers={"content-type": kind})

    answers = _Answers(page, file)
    reads: dict[str, Handler] = {
        "/": answers.index,
        "/static/{name}": answers.static,
        "/status": answers.status,
        "/outputs": answers.outputs,
        "/api/board": answers.board,
        "/api/picture": answers.picture,
        "/api/changes": answers.changes,
        "/api/events": answers.events,
    }
    deeds: dict[str, Handler] = {
        "/api/run": answers.run,
        "/api/cancel": answers.cancel,
        "/api/resume": answers.resume,
        "/api/retry": answers.retry,
        "/api/answer": answers.answer,
        "/api/send": answers.send,
    }
    if page._remote is not None:
        deeds = {path: partial(answers.passed_on, path.lstrip("/")) for path in deeds}
    routes = [Route(path, answering(one), methods=["GET"]) for path, one in reads.items()]
    routes += [Route(path, answering(one), methods=["POST"]) for path, one in deeds.items()]
    return Starlette(routes=routes)


class _Answers:
    def __init__(self, page: LivePage, file: Callable[[str], Any]) -> None:
        self._page = page
        self._file = file

    # ------------------------------------------------------------ files

    async def index(self, _: Request) -> Any:
        return self._file("index.html")  # noqa: ASYNC910 - sending it is one

    async def static(self, request: Request) -> Any:
        name = request.path_params["name"]
        if name not in FILES:
            raise _Wrong(404, "there is no such file")
        return self._file(name)  # noqa: ASYNC910 - sending it is one

    # ------------------------------------------------------------ how a run stands

    async def _shown(self, request: Request) -> Shown:
        found = await self._page._shown(request.query_params.get("run", ""))
        if found is None:
            raise _Wrong(404, "there is no such run")
        await found.pull()
        return found

    async def _view(self, request: Request) -> RunView | None:
        """Find what is shown of a run; `None`: none is asked for, and none is there."""
        if await self._page._shown(request.query_params.get("run", "")) is None:
            if request.query_params.get("run"):
                raise _Wrong(404, "there is no such run")
            return None
        return (await self._shown(request)).view

    async def status(self, request: Request) -> Told:
        if self._page._remote is not None:
            return _passed(await self._page._remote.ask("status"))
        view = await self._view(request)
        return Told({"status": "no-runner"} if view is None else status(view))

    async def outputs(self, request: Request) -> Told:
        if self._page._remote is not None:
            return _passed(await self._page._remote.ask("outputs"))
        view = await self._view(request)
        return Told({} if view is None else outputs(view))

    async def board(self, request: Request) -> Told:
        """Which runs there are, and buttons; with `?picture=no` without the picture of the plan."""
        if self._page._remote is not None:
            answer = await self._page._remote.ask("api/board", _query(request, "picture"))
            if answer.status == 200:
                return Told({**answer.body, "remote": self._page._remote.base})
            return _passed(answer)
        picture = request.query_params.get("picture") != "no"
        return Told(await self._page._board(picture=picture))

    async def picture(self, request: Request) -> Told:
        """Where the boxes and lines of a run's graph are, or of the part around a step."""
        if self._page._remote is not None:
            return _passed(
                await self._page._remote.ask("api/picture", _query(request, "run", "around"))
            )
        name = request.query_params.get("run", "")
        shown = await self._page._shown(name)
        if shown is None and name:
            raise _Wrong(404, "there is no such run")
        if shown is not None:
            await shown.pull()
        around = request.query_params.get("around") or None
        try:
            return Told({"picture": await self._page._pictures.of_run(shown, around)})
        except KeyError:
            raise _Wrong(404, "there is no such step in this graph") from None

    async def changes(self, request: Request) -> Told:
        """What a window has not been told, for one that asks instead of listening."""
        if self._page._remote is not None:
            query = _query(request, "run", "after")
            return _passed(await self._page._remote.ask("api/changes", query))
        found = await self._shown(request)
        cursor = Cursor.read(request.query_params.get("after"))
        messages = [
            {
                "id": str(found.feed.cursor(one)),
                "event": one.event,
                "data": json.loads(one.text),
            }
            for one in found.feed.after(cursor)
        ]
        return Told({"messages": messages, "version": self._page._version})

    async def events(self, request: Request) -> EventStream:
        if self._page._remote is not None:
            raise _Wrong(404, "a run of another process is asked for: /api/changes")
        name = request.query_params.get("run", "")
        found = await self._page._shown(name)
        if found is None and name:
            raise _Wrong(404, "there is no such run")
        # A window that was hidden goes on from `after`; a browser that has lost us sends the header.
        place = request.headers.get("last-event-id") or request.query_params.get("after")
        cursor = Cursor.read(place)
        return EventStream(self._page, found, cursor)

    # ------------------------------------------------------------ buttons

    async def passed_on(self, path: str, request: Request) -> Told:
        """Press the button of the other process's page."""
        assert self._page._remote is not None, "a page of its own"
        return _passed(await self._page._remote.press(path, await _body(request)))

    async def run(self, request: Request) -> Told:
        await _body(request)
        return Told({"run": self._page._begin()}, 201)

    async def cancel(self, request: Request) -> Told:
        await self._page._cancel(_run_of(await _body(request)))
        return Told({}, 202)

    async def resume(self, request: Request) -> Told:
        return Told({"run": await self._page._resume(_run_of(await _body(request)))}, 201)

    async def retry(self, request: Request) -> Told:
        return Told({"run": await self._page._retry(_run_of(await _body(request)))}, 201)

    async def answer(self, request: Request) -> Told:
        """Answer a question of a run: with which class, and its fields."""
        body = await _body(request)
        run, question = _run_of(body), body.get("question")
        kind, fields = body.get("kind"), body.get("fields")
        if not (isinstance(question, str) and isinstance(kind, str) and isinstance(fields, dict)):
            raise _Wrong(
                400, 'write {"run": "...", "question": "...", "kind": "...", "fields": {}}'
            )
        try:
            self._page._answer(run, question, kind, cast("dict[str, Any]", fields))
        except Unfit as error:
            return Told({"error": str(error), "fields": error.fields}, 422)
        return Told({}, 202)

    async def send(self, request: Request) -> Told:
        """Send an event to the app of the page."""
        body = await _body(request)
        kind, fields = body.get("kind"), body.get("fields")
        if not (isinstance(kind, str) and isinstance(fields, dict)):
            raise _Wrong(400, 'write {"kind": "...", "fields": {}}')
        try:
            await self._page._send(kind, cast("dict[str, Any]", fields))
        except Unfit as error:
            return Told({"error": str(error), "fields": error.fields}, 422)
        return Told({}, 202)


def _query(request: Request, *names: str) -> tuple[tuple[str, str], ...]:
    given = request.query_params
    return tuple((name, given[name]) for name in names if name in given)


def _passed(answer: Any) -> Told:
    return Told(answer.body, answer.status)


async def _body(request: Request) -> Mapping[str, Any]:
    """Read the JSON object that a request brings along."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise _Wrong(415, "send JSON: content-type: application/json")
    read = bytearray()
    async with aclosing(request.stream()) as parts:
        async for part in parts:
            read += part
            if len(read) > MOST_BYTES:
                raise _Wrong(413, f"more than {MOST_BYTES} bytes")
    try:
        found: object = json.loads(read or b"{}")
    except (ValueError, RecursionError):
        raise _Wrong(400, "that is no JSON") from None
    if not isinstance(found, dict):
        raise _Wrong(400, "send a JSON object")
    return cast("Mapping[str, Any]", found)


def _run_of(fields: Mapping[str, Any]) -> str:
    name = fields.get("run")
    if not isinstance(name, str) or not name:
        raise _Wrong(400, 'say which run: {"run": "..."}')
    return name
