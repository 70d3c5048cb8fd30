"""The kernel of each run, watched from the shell's side: all stimuli, all records, and the laws.

The laws and the ledger of `tests/kernel` are taken as they are. They speak of the classes with which
the kernel is tested, so for the length of a simulation these names mean plait's own classes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import attrs
import pytest

from plait import Event, HumanResponseEvent, StopEvent
from plait._engine import shell as engine_shell
from plait._ids import DeliveryId
from plait._kernel import advance as kernel
from plait._kernel import effects, records, shortcuts
from plait._kernel.apply import apply
from plait._kernel.effects import Effect
from plait._kernel.records import Record, Started
from plait._kernel.refusals import Refusal
from plait._kernel.state import RunState
from plait._kernel.stimuli import Ready, Returned, Stimulus, Wrote
from plait.events import StepFailedEvent
from tests.kernel import laws, ledger
from tests.kernel.ledger import Ledger

Said: TypeAlias = tuple[list[Record], list[Effect]]


class _SeenByStreams(type):
    def __instancecheck__(cls, event: object) -> bool:
        return bool(getattr(type(event), "__plait_observable__", False))


class Shown(metaclass=_SeenByStreams):
    """Any event of an observable class."""


class StandIn(StepFailedEvent):
    """The event that stands for a failure, in the words of the ledger."""

    @property
    def step(self) -> str:
        return self.step_name

    @property
    def event(self) -> object:
        return self.input_event

    @property
    def error(self) -> Exception:
        return self.exception

    @property
    def elapsed(self) -> float:
        return self.elapsed_seconds

    @property
    def at(self) -> float:
        return self.failed_at.timestamp()


@attrs.define(eq=False)
class Account(Ledger):
    """A ledger of events as they are in plait."""

    def _goes_on(self, record: Record) -> None:
        if not isinstance(record, records.Recovered):
            super()._goes_on(record)
            return
        event = record.event
        assert isinstance(event, StepFailedEvent)
        stand_in = StandIn(
            step_name=event.step_name,
            input_event=event.input_event,
            exception=event.exception,
            attempts=event.attempts,
            elapsed_seconds=event.elapsed_seconds,
            failed_at=event.failed_at,
        )
        super()._goes_on(_with(record, stand_in))
        for item in self.items.values():
            if item.event is stand_in:
                item.event = event


def _with(record: records.Recovered, event: object) -> records.Recovered:
    at, number, error = record.at, record.delivery, record.error
    return records.Recovered(at, number, error, event, record.first, record.to)


@attrs.define(eq=False)
class Laws(laws.Laws):
    """The laws, with that ledger."""

    run: str = ""

    def __attrs_post_init__(self) -> None:
        self.ledger = Account(self.plan)

    def after_failure(
        self, item: ledger.Item, error: BaseException, *, final: bool = False
    ) -> laws.Expected:
        """Say what comes of a body that raises; what a run has refused it knows by its own id."""
        own = isinstance(error, Refusal) and error.run_id == self.run
        return super().after_failure(item, error, final=final or own)


@attrs.define(eq=False)
class Watched:
    """One run, as its kernel has seen it."""

    state: RunState
    laws: Laws | None
    #: Made from the records alone.
    twin: RunState
    records: list[Record] = attrs.field(factory=list)


@attrs.define(eq=False)
class Watch:
    """All runs of a simulation."""

    #: Shall the laws be looked at? They take their time.
    strict: bool
    #: Told that a run begins, and of what is about to be written to its stream.
    began: Callable[[str], None]
    wrote: Callable[[str, object], None]
    runs: dict[int, Watched] = attrs.field(factory=dict)
    faults: list[str] = attrs.field(factory=list)

    # Through these three the engine talks to the kernel. If there is another, the records that are
    # heard here do not add up, and `promises` says so.

    def advance(self, state: RunState, stimulus: Stimulus) -> Said:
        """Take a stimulus in."""
        if isinstance(stimulus, Wrote):
            self.wrote(state.run_id, stimulus.event)
        said = self._watched(state, stimulus, lambda: kernel.advance(state, stimulus))
        assert said is not None
        return said

    def come(self, state: RunState, now: float, name: str) -> Started | None:
        """Take in a `Ready`, by the short cut."""
        started: Started | None = None

        def ask() -> Said:
            nonlocal started
            started = shortcuts.come(state, now, name)
            return ([], []) if started is None else ([started], [effects.Begin(started.delivery)])

        self._watched(state, Ready(now, name), ask)
        return started

    def pass_on(
        self, state: RunState, now: float, number: DeliveryId, event: object, *, stays: bool
    ) -> Said | None:
        """Take in a `Returned`, by the short cut, if there is one."""
        stimulus = Returned(now, number, event, stays)
        ask = functools.partial(shortcuts.pass_on, state, now, number, event, stays=stays)
        return self._watched(state, stimulus, ask)

    def _watched(
        self, state: RunState, stimulus: Stimulus, ask: Callable[[], Said | None]
    ) -> Said | None:
        """Have the kernel asked, and look at what it says."""
        run = self.runs.get(id(state))
        if run is None:
            law = Laws(state.plan, run=state.run_id) if self.strict else None
            run = self.runs[id(state)] = Watched(state, law, RunState(state.plan, state.run_id))
            self.began(state.run_id)
        law, impossible = run.laws, False
        try:
            if law is not None:
                impossible = law.expect(stimulus) is laws.Impossible
            said = ask()
        except BaseException as error:
            self.faults.append(f"{type(error).__name__} at {stimulus}: {error}")
            raise
        if said is None:
            return None
        written, todo = said
        run.records += written
        if law is None:
            return said
        try:
            assert not impossible, "it cannot happen"
            for record in written:
                apply(run.twin, record)
            for changed in (run.twin.touched, run.twin.loose, run.twin.answered):
                changed.clear()
            state.check()
            law.watch(stimulus, written, _without_echo(law, stimulus, todo), state)
        except Exception as error:  # noqa: BLE001 - it is reported, and the run goes on
            self.faults.append(f"run {state.run_id}: {error!s} at {stimulus}")
            run.laws = None  # it has lost count
        return said


def _without_echo(law: Laws, stimulus: Stimulus, todo: Sequence[Effect]) -> list[Effect]:
    """To wind up a run again is to wind it up, unless somebody insists."""
    insists = isinstance(stimulus, laws.DEMANDS)
    kept: list[Effect] = []
    for effect in todo:
        again = law.wound and not insists
        if not isinstance(effect, effects.Wind) or not (again or effect in kept):
            kept.append(effect)
    return kept


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Watch all runs that are made meanwhile."""
    words: dict[str, Any] = {
        "Answer": HumanResponseEvent,
        "Stop": StopEvent,
        "Event": Event,
        "Watched": Shown,
        "Broken": StepFailedEvent,
    }
    with pytest.MonkeyPatch.context() as patch:
        for module in (laws, ledger):
            for name, meant in words.items():
                if hasattr(module, name):
                    patch.setattr(module, name, meant)
        for name in ("advance", "come", "pass_on"):
            patch.setattr(engine_shell, name, getattr(watch, name))
        patch.setattr(engine_shell.Shell, "_advance", staticmethod(watch.advance))
        yield
