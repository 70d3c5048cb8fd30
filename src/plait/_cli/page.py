"""`--ui` and `--status-port`: the live page beside a run, for as long as that goes on."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from .exits import BindError, UsageError
from .messages import tell

if TYPE_CHECKING:
    from plait._abc import Journal
    from plait._strands._events.workflow import Workflow
    from plait._strands._flows.flow import Flow
    from plait._web.page import LivePage

    from .run import Options

#: The port of the page where none is named.
PORT = 8000
HOST = "127.0.0.1"


#: Characters of a token that people have chosen, at least.
SHORTEST = 16


def chosen_token() -> str | None:
    """Read the token of `$PLAIT_TOKEN`, for pages that are to keep theirs; `None`: a new one.

    Raises:
        UsageError: It is too short.
    """
    token = os.environ.get("PLAIT_TOKEN") or None
    if token is not None and len(token) < SHORTEST:
        raise UsageError(f"the token in PLAIT_TOKEN needs at least {SHORTEST} characters")
    return token


@asynccontextmanager
async def served(page: LivePage, host: str, port: int) -> AsyncGenerator[trio.Nursery]:
    """Serve a page while the block lasts, and say where. A checkpoint.

    Raises:
        BindError: It cannot be served there.
    """
    from plait._web.server import CannotServe, serve

    try:
        async with trio.open_nursery() as nursery:
            try:
                address = await nursery.start(partial(serve, page, host=host, port=port))
            except CannotServe as error:
                raise BindError(str(error)) from error
            tell(f"open {address}")
            try:
                yield nursery
            finally:
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raised: Sequence[BaseException] = group.exceptions
        if len(raised) != 1:
            raise
        raise raised[0] from None  # noqa: ASYNC123 - as it was before there was a nursery around it


@asynccontextmanager
async def beside(
    target: Flow | Workflow[Any],
    name: str,
    options: Options,
    journal: Journal | None,
) -> AsyncGenerator[LivePage | None]:
    """Serve the page of a run while the block lasts, if that was asked for. A checkpoint if so.

    Args:
        target: What runs.
        name: How it was called.
        options: Those of `plait run`.
        journal: Whose runs are listed.

    Raises:
        BindError: It cannot be served there.
    """
    port = options.status_port
    if not options.ui and port is None:
        yield None
        return
    from plait._web.page import LivePage

    page = LivePage(target, name=name, journal=journal, token=chosen_token())
    async with served(page, HOST, PORT if port is None else port):
        yield page
