"""The children of one run: they live in the nursery of its host, and end with it.

A child is named by its parent and the call, so that after a crash the parent finds it again: running, in
the queue, ended, or not there yet.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from plait._errors import PlaitInternalError, RunSkippedError
from plait._journal.failures import Failure, timed_out
from plait._kernel.admission import effects, stimuli
from plait._kernel.admission.stimuli import Arrival
from plait._kernel.calls.keys import Key
from plait._kernel.functions.records import (
    End,
    FunctionCancelled,
    FunctionCompleted,
    FunctionFailed,
)

from .ends import failure_of

if TYPE_CHECKING:
    from .host import Host
    from .session import Session


class Children:
    """The children of a run that is hosted here."""

    def __init__(self, session: Session, host: Host) -> None:
        self._session: Final = session
        self._host: Final = host
        #: Whose call waits for a child.
        self._keys: dict[str, Key] = {}
        #: Those that are to be cancelled, and those of them whose time was over.
        self._cancelled: set[str] = set()
        self._late: set[str] = set()

    def port(self, fn_id: str, event: Arrival) -> Invoking:
        """Make what runs one function, for one call."""
        return Invoking(self, fn_id, event)

    def enter(self, key: Key, child: str, fn_id: str, event: Arrival) -> None:
        """Run a child, or enter it again, or look up how it ended. Not a checkpoint."""
        self._keys[child] = key
        self._host.spawn(partial(self._enter, child, fn_id, event))

    def take(self, child: str) -> None:
        """Host a child that has started. Not a checkpoint."""
        if child not in self._session.hosts:
            self._host.spawn(partial(self._session.keep, child))

    async def _enter(self, child: str, fn_id: str, event: Arrival) -> None:
        with self._session.telling():
            session = self._session
            run = session.admission.state.runs.get(child)
            if run is not None:
                if run.started_at is not None and child not in session.hosts:
                    await session.keep(child)
                return  # else it is in the queue, or on its way
            state = await session.find(child)
            if state is not None:
                if state.end is None:
                    raise PlaitInternalError(
                        f"run {child!r} goes on, and admission does not know it"
                    )
                self.ended(child, state.end)
            elif child in self._cancelled:
                self.never_started(child, "its parent cancelled it")
            else:
                await self._invoke(child, fn_id, event)

    async def _invoke(self, child: str, fn_id: str, event: Arrival) -> None:
        admission = self._session.admission
        invoked = stimuli.Invoked(admission.now(), fn_id, child, event, self._host.run_id)
        for effect in await admission.commit(invoked):
            match effect:
                case effects.SkipRun(run_id, _, knob, key) if run_id == child:
                    self._tell(child, error=failure_of(RunSkippedError(knob, key)).write())
                case effects.Report(error):
                    if not isinstance(error, Exception):
                        raise error
                    self._tell(child, error=failure_of(error).write())
                case _:
                    pass

    # ------------------------------------------------------------ their ends

    def cancel(self, key: Key, child: str) -> None:
        """Cancel a child for good, in the append that is being collected. Not a checkpoint."""
        self._cancelled.add(child)
        if key in self._host.state.calls.waiting:  # and goes on to wait: its time is over
            self._late.add(child)
        session = self._session
        if child in session.admission.state.runs:
            now = session.timers.now()
            because = "it took too long" if child in self._late else "its parent cancelled it"
            session.admission.hear(stimuli.CancelAsked(now, child, because))

    def ended(self, child: str, end: End) -> None:
        """Hear that a child has ended, and tell the call. Not a checkpoint."""
        match end:
            case FunctionCompleted(value=value):
                self._tell(child, value)
            case FunctionFailed(error=error):
                self._tell(child, error=failure_of(error).write())
            case FunctionCancelled(reason=reason):
                if child in self._late:
                    failure = timed_out(f"Run {child} did not end in time, and was cancelled")
                else:
                    because = f": {reason}" if reason else ""
                    text = f"Run {child} was cancelled{because}"
                    failure = Failure("RunCancelledError", text, "", "failed")
                self._tell(child, error=failure.write())

    def never_started(self, child: str, reason: str) -> None:
        """Hear that a child was cancelled in the queue. Not a checkpoint."""
        if child in self._keys:
            self.ended(child, FunctionCancelled(self._session.timers.now(), reason))

    def _tell(self, child: str, value: object = None, error: object = None) -> None:
        key = self._keys.pop(child, None)
        calls = self._host.calls
        if key is not None and calls is not None and key in self._host.state.calls.waiting:
            calls.child_ended(key, value, error)

    async def over(self, child: str) -> None:
        """Wait until a child is not hosted any more, its clean-up over."""
        while child in self._session.hosts:  # noqa: ASYNC110
            await self._session.wait_for_news()


class Invoking:
    """The port of one call: it runs one function."""

    def __init__(self, children: Children, fn_id: str, event: Arrival) -> None:
        self._children = children
        self._fn_id = fn_id
        self._event = event

    def start(self, key: Key, child: str) -> None:
        """Run it, or enter it again, or look up how it ended."""
        self._children.enter(key, child, self._fn_id, self._event)

    def cancel(self, key: Key, child: str) -> None:
        """Cancel it for good, also if it does not run here."""
        self._children.cancel(key, child)

    async def over(self, child: str) -> None:
        """Wait until it is not hosted here any more."""
        await self._children.over(child)
