"""A block in which an app works: its alarms are served, and it is suspended when the journal fails."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from plait._engine.failure import split, unwrap
from plait._errors import PlaitInternalError

if TYPE_CHECKING:
    from plait._engine.native import Nursery

    from .session import Session


@asynccontextmanager
async def working(session: Session) -> AsyncGenerator[Nursery]:
    """Have a nursery; what runs in it is cancelled when the block is left, and its clean-up awaited.

    What the block raises comes out as it is, and not in a group.

    Raises:
        JournalError: The journal has failed; the block has been cancelled.
        BaseException: What came out of the nursery's tasks.
    """
    native = session.native
    failure: Exception | None = None
    left = False
    try:
        async with native.open_nursery() as nursery:
            nursery.start_soon(session.timers.serve)  # noqa: ASYNC113 - nobody waits for it to begin
            try:
                with session.suspending():
                    try:
                        yield nursery
                    except Exception as error:  # noqa: BLE001 - out of the nursery as it is
                        failure = error
                    left = True
            finally:
                nursery.cancel_scope.cancel()
    except BaseException as error:  # noqa: BLE001 - parted, and raised again
        cancelled, rest = split(error, native.cancelled)
        cause = unwrap(rest) or cancelled or error
        raise cause from (None if cause is failure else failure)  # noqa: ASYNC104
    if failure is not None:
        raise failure
    if not left:
        app = session.roster.app_id
        raise PlaitInternalError(f"App {app!r} was cancelled, and nobody has cancelled it")
