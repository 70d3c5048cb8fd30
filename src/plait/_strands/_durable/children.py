"""The children of one run: they live in the nursery of its host, and end with it.

A child is named by its parent and the call, so that after a crash the parent finds it again: running, in
the queue, ended, or not there yet.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import attrs

from plait._errors import PlaitInternalError, RunSkippedError
from plait._journal.failures import Failure, timed_out
from plait._kernel.admission import effects, stimuli
from plait._kernel.admission.stimuli import Arrival
from plait._kernel.calls.keys import Key
from plait._kernel.calls.life import PENDING
from plait._kernel.functions.records import (
    End,
    FunctionCancelled,
    FunctionCompleted,
    FunctionFailed,
)
from plait._kernel.functions.state import FunctionState

from .ends import failure_of
from .inspect import original

if TYPE_CHECKING:
    from .host import Host
    from .session import Session


#: Why a child is cancelled. It is in the records, so that the call fails alike in every process.
TOO_LONG: Final = "it took too long"
BY_PARENT: Final = "its parent cancelled it"


class Children:
    """The children of a run that is hosted here."""

    def __init__(self, session: Session, host: Host) -> None:
        self._session: Final = session
        self._host: Final = host
        #: Whose call waits for a child.
        self._keys: dict[str, Key] = {}
        #: Those that are to be cancelled, and why.
        self._cancelled: dict[str, str] = {}

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
            self._host.spawn(partial(self._keep, child))

    async def _keep(self, child: str) -> None:  # noqa: ASYNC910 - it is a task's, and that ends here
        try:
            await self._session.keep(child)
        except (SystemExit, KeyboardInterrupt) as error:
            if self._host.nursery is None:
                raise  # it waits for its nursery
            self._host.fail(error)  # it raises that: see `Worker.leaving_at_exits`

    def take_ending(self) -> None:
        """Host those that are to be cancelled, and whose calls are not made again. Not a checkpoint."""
        if ending := self._session.admission.ending_children(self._host.run_id):
            asked_for = self._called()
            for child in ending:
                if child not in asked_for:
                    self.take(child)

    def end_with_parent(self) -> None:
        """End those that nobody has asked for again: the code may have changed. Not a checkpoint.

        It is called within the append of the parent's end.
        """
        admission = self._session.admission
        ending = admission.ending_children(self._host.run_id)
        for child in self._called() & admission.state.runs.keys():
            admission.hear(stimuli.CancelAsked(admission.now(), child, "its parent has ended"))
            if admission.has_started(child):
                ending.append(child)
        for child in ending:  # now: when all that is on disk, the host is about to leave
            self.take(child)

    def _called(self) -> set[str]:
        """List those whose calls have not come back, in whatever life they were made."""
        past = self._host.state.calls.past.values()
        return {one.scheduled.child for one in past if one.scheduled and one.scheduled.child}

    async def _enter(self, child: str, fn_id: str, event: Arrival) -> None:
        with self._session.telling():
            session = self._session
            run = session.admission.state.runs.get(child)
            if run is not None:
                if run.started_at is not None and child not in session.hosts:
                    await self._keep(child)
                return  # noqa: ASYNC910 - else it is in the queue, or on its way
            state = await session.find(child)
            if state is not None:
                if state.end is None:
                    raise PlaitInternalError(
                        f"run {child!r} goes on, and admission does not know it"
                    )
                self.ended(child, state, state.end)
            elif child in self._cancelled:
                self.never_started(child, self._cancelled[child])
            else:
                await self._invoke(child, fn_id, event)

    async def _invoke(self, child: str, fn_id: str, event: Arrival) -> None:
        admission = self._session.admission
        invoked = stimuli.Invoked(admission.now(), fn_id, child, event, self._host.run_id)
        for effect in await admission.commit(invoked):
            match effect:
                case effects.SkipRun(run_id, _, knob, key) if run_id == child:
                    self._tell(child, error=failure_of(RunSkippedError(knob, key or None)).write())
                case effects.Report(error):
                    if not isinstance(error, Exception):
                        raise error
                    self._tell(child, error=failure_of(error).write())
                case _:
                    pass

    # ------------------------------------------------------------ their ends

    def cancel(self, key: Key, child: str) -> None:
        """Cancel a child for good, in the append that is being collected. Not a checkpoint."""
        call = self._host.state.calls.waiting.get(key)
        goes_on_to_wait = call is not None and call.stage is PENDING
        self._cancelled[child] = because = TOO_LONG if goes_on_to_wait else BY_PARENT
        session = self._session
        if child in session.admission.state.runs:
            now = session.timers.now()
            session.admission.hear(stimuli.CancelAsked(now, child, because))

    def ended(self, child: str, state: FunctionState, end: End) -> None:
        """Hear that a child has ended, and tell the call. Not a checkpoint."""
        match end:
            case FunctionCompleted(value=value):
                self._tell(child, value)
            case FunctionFailed(error=error):
                said = original(state, error)
                failure = attrs.evolve(failure_of(error), name=said.name, message=said.message)
                self._tell(child, error=failure.write())
            case FunctionCancelled(reason=reason):
                if reason == TOO_LONG:
                    failure = timed_out(f"Run {child} did not end in time, and was cancelled")
                else:
                    because = f": {reason}" if reason else ""
                    text = f"Run {child} was cancelled{because}"
                    failure = Failure("RunCancelledError", text, "", "failed")
                self._tell(child, error=failure.write())

    def never_started(self, child: str, reason: str) -> None:
        """Hear that a child was cancelled in the queue. Not a checkpoint."""
        if child in self._keys:
            end = FunctionCancelled(self._session.timers.now(), reason)
            self.ended(child, FunctionState(), end)

    def _tell(self, child: str, value: object = None, error: object = None) -> None:
        key = self._keys.pop(child, None)
        calls = self._host.calls
        if key is not None and calls is not None and key in self._host.state.calls.waiting:
            calls.child_ended(key, value, error)

    async def over(self, child: str) -> None:  # noqa: ASYNC910 - it has been, as a rule
        """Wait until a child is not hosted any more, its clean-up over."""
        while child in self._session.hosts:
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
