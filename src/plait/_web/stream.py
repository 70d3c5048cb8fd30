"""Server-sent events: how a window is told what happens, until it goes or the server ends."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import anyio

from plait._errors import JournalError

from .feed import Cursor, Message
from .guard import Receive, Scope, Send

if TYPE_CHECKING:
    from .page import LivePage
    from .shown import Shown

#: Seconds between two looks at what has happened.
PACE: Final = 0.1
#: And of a run that is only in a journal: another process writes it.
PACE_KEPT: Final = 1.0
#: And at the list of runs: other processes may write to the journal.
PACE_BOARD: Final = 5.0
#: And of an app, all runs of which are in its journal.
PACE_APP: Final = 1.0
#: Seconds after which a stream says that it is still there.
BEAT: Final = 15.0
#: Milliseconds after which a browser tries again.
RETRY: Final = 1_000

HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),
]


class EventStream:
    """The answer to a window that listens: an ASGI application.

    Each message has an id; a browser that has lost the connection sends the last one that it has seen,
    and goes on from there. `bye` is the last: the server ends, and there is nothing to come back to.
    A window that is slow is waited for by this answer, and by nobody else.

    Args:
        page: The page.
        shown: The run that the window looks at; `None`: there is none yet.
        cursor: Where it stands.
    """

    def __init__(self, page: LivePage, shown: Shown | None, cursor: Cursor | None) -> None:
        self._page = page
        self._shown = shown
        self._cursor = cursor
        self._version = -1
        self._board = ""
        self._since_board = 0.0
        self._pace_board = PACE_BOARD if page._app is None else PACE_APP

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell the window what happens until one of both ends. A checkpoint."""
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        if scope["method"] == "HEAD":  # who asks what there would be is not kept waiting for it
            await send({"type": "http.response.body", "body": b""})
            return

        async def write(text: str, *, more: bool = True) -> None:
            body = text.encode()
            await send({"type": "http.response.body", "body": body, "more_body": more})

        async with anyio.create_task_group() as group:

            async def listen() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(listen)
            await write(f"retry: {RETRY}\n\n")
            with nullcontext() if self._shown is None else self._shown.watched():
                await self._tell(write)
                await write(await self._news())  # how the run has ended
            await write("event: bye\ndata: {}\n\n", more=False)
            group.cancel_scope.cancel()

    async def _tell(self, write: Callable[[str], Awaitable[None]]) -> None:  # noqa: ASYNC910 - a closed page tells no more
        pace = PACE if self._shown is None or self._shown.listed["live"] else PACE_KEPT
        silent = 0.0
        while not self._page._closed:
            if text := await self._news():
                silent = 0.0
                await write(text)
            elif silent >= BEAT:
                silent = 0.0
                await write(": still here\n\n")
            await self._rest(pace)
            silent += pace
            self._since_board += pace

    async def _rest(self, pace: float) -> None:  # noqa: ASYNC910 - a closed page waits no more
        """Wait, but not for longer than the server lives."""
        while pace > 0 and not self._page._closed:
            await anyio.sleep(min(pace, PACE))
            pace -= PACE

    async def _news(self) -> str:
        """Write what the window has not been told yet; `""`: nothing."""
        texts: list[str] = []
        if self._version != self._page._version or self._since_board >= self._pace_board:
            self._version, self._since_board = self._page._version, 0.0
            board = event("board", await self._page._board(picture=False))
            if board != self._board:
                self._board = board
                texts.append(board)
        if self._shown is not None:
            try:
                await self._shown.pull()
            except JournalError as error:
                texts.append(event("trouble", {"error": str(error)}))
            feed = self._shown.feed
            for message in feed.after(self._cursor):
                self._cursor = feed.cursor(message)
                texts.append(told(message, self._cursor))
        return "".join(texts)  # noqa: ASYNC910 - whoever writes it is one


def told(message: Message, cursor: Cursor) -> str:
    """Write a message of a feed as an event."""
    return f"id: {cursor}\nevent: {message.event}\ndata: {message.text}\n\n"


def event(name: str, fields: Any) -> str:
    """Write an event that has no place in a run."""
    return f"event: {name}\ndata: {json.dumps(fields)}\n\n"
