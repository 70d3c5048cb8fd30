"""One run of steps that follow one another, driven by hand, and watched after every stimulus.

What is watched: the state's own invariants; that its records, and nothing else, make the state that it
is in; that what is refused changes nothing; and that nobody is launched whose start was not recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from plait._ids import DeliveryId, RunId
from plait._kernel import effects, records, stimuli
from plait._kernel.decide import ImpossibleStimulus
from plait._kernel.graph.admission import Admit, everyone
from plait._kernel.graph.advance import advance
from plait._kernel.graph.apply import apply
from plait._kernel.graph.effects import Effect, Launch
from plait._kernel.graph.records import Readied, Record, Reused, Skipped
from plait._kernel.graph.state import GraphState
from plait._kernel.life import GOING
from plait._kernel.plan import After, Plan, StepPlan, Word
from plait._kernel.retry.ask import AnyRetryPolicy
from plait._kernel.stimuli import Stimulus
from tests.kernel.strategies import KINDS, Start

RUN = RunId("run-1")
BAD = ValueError("bad")


def step(
    name: str,
    *needs: str,
    on: Mapping[str, Word] | None = None,
    workers: int = 1,
    group: str | None = None,
    fail_fast: bool = True,
    aborts: bool = False,
    retry: AnyRetryPolicy | None = None,
) -> StepPlan:
    """Write a step: whom it waits for; `on`: what the failure of some of them means for it."""
    words: dict[str, Word] = {**dict.fromkeys(needs, "fail"), **(on or {})}
    after = After(tuple(words.items()), group, fail_fast, aborts)
    return StepPlan(name, (), workers, retry=retry, after=after)


def plan(*steps: StepPlan, workers: int = 4, groups: Mapping[str, int] | None = None) -> Plan:
    """Write a plan."""
    return Plan("flow", steps, KINDS, max_workers=workers, groups=groups or {})


def clear(state: GraphState) -> None:
    """Forget what only the steps from one record to the next need."""
    for marks in (state.called, state.failed, state.hurt):
        marks.clear()


def fold(drawn: Plan, kept: Sequence[Record]) -> GraphState:
    """Make a state out of its records."""
    state = GraphState(drawn, RUN)
    for record in kept:
        apply(state, record)
    clear(state)
    return state


class Board:
    """One run."""

    def __init__(
        self,
        *steps: StepPlan,
        workers: int = 4,
        groups: Mapping[str, int] | None = None,
        admit: Admit = everyone,
        begin: bool = True,
    ) -> None:
        self.plan = plan(*steps, workers=workers, groups=groups)
        self.state = GraphState(self.plan, RUN)
        self.state.admit = admit
        self.twin = GraphState(self.plan, RUN)
        self.now = 0.0
        self.records: list[Record] = []
        self.latest: list[Record] = []
        self.effects: list[Effect] = []
        #: The deliveries of each step, and how each step has ended.
        self.numbers: dict[str, list[DeliveryId]] = {}
        self.skipped: dict[str, str] = {}
        #: What the shell was told: who begins, in order; who is to be cancelled.
        self.launched: list[tuple[str, int]] = []
        self.interrupted: list[tuple[str, int]] = []
        if begin:
            self.hear(stimuli.Opened(self.now, Start()))

    # ------------------------------------------------------------ one stimulus

    def hear(self, stimulus: Stimulus) -> None:
        """Tell the kernel, and watch."""
        self.latest, self.effects = advance(self.state, stimulus)
        for record in self.latest:
            assert record.at == stimulus.now
            apply(self.twin, record)
            self._note(record)
        clear(self.twin)
        self.records += self.latest
        self.state.check()
        self.twin.check()
        assert self.state == self.twin, "the state is not the sum of its records"
        started = [r.delivery for r in self.latest if isinstance(r, records.Started)]
        assert started == [e.delivery for e in self.effects if isinstance(e, Launch)]
        for effect in self.effects:
            if isinstance(effect, Launch):
                assert self.state.running[effect.delivery].attempt >= 1
                self.launched.append(self.who(effect.delivery))
            elif isinstance(effect, effects.Interrupt):
                self.interrupted += [self.who(number) for number in effect.deliveries]
        decided = [r for r in self.latest if isinstance(r, records.Decided)]
        assert len(decided) == self.effects.count(effects.Wind()) <= 1

    def _note(self, record: Record) -> None:
        if isinstance(record, Readied):
            assert record.step not in self.numbers, "its turn came twice"
            needs = (self.plan.step[record.step].after or After()).needs
            assert record.after == tuple(name for name, _ in needs), "it has waited for others"
            numbers = range(record.first, record.first + record.count)
            self.numbers[record.step] = [*map(DeliveryId, numbers)]
        elif isinstance(record, Skipped):
            for name in record.steps:
                assert name not in self.skipped, "skipped twice"
                self.skipped[name] = record.reason

    def cannot_hear(self, stimulus: Stimulus) -> None:
        """Tell the kernel what cannot have happened: it raises, and changes nothing."""
        with pytest.raises(ImpossibleStimulus):
            self.hear(stimulus)
        self.state.check()
        assert self.state == self.twin

    # ------------------------------------------------------------ telling a story

    def who(self, number: DeliveryId) -> tuple[str, int]:
        """Say whose delivery this is, and which of its items."""
        name = next(name for name, mine in self.numbers.items() if number in mine)
        return name, self.numbers[name].index(number)

    def number(self, name: str, item: int = 0) -> DeliveryId:
        """The delivery of a step, or of one of its items."""
        return self.numbers[name][item]

    def returns(self, *names: str | tuple[str, int], value: object = None) -> None:
        """Let bodies return."""
        for name in names:
            pair = (name, 0) if isinstance(name, str) else name
            self.hear(stimuli.Returned(self.now, self.number(*pair), value))

    def raises(
        self, name: str, item: int = 0, error: BaseException = BAD, *, final: bool = False
    ) -> None:
        """Let a body raise."""
        self.hear(stimuli.Raised(self.now, self.number(name, item), error, final))

    def unwinds(self, name: str, item: int = 0) -> None:
        """Let a cancelled body end."""
        self.hear(stimuli.Unwound(self.now, self.number(name, item)))

    def rings(self, name: str, item: int = 0) -> None:
        """Let the time of a retry come."""
        self.hear(stimuli.Due(self.now, self.number(name, item)))

    def settles(self) -> None:
        """Report that nothing is left."""
        self.hear(stimuli.Settled(self.now))

    # ------------------------------------------------------------ what there is to see

    @property
    def running(self) -> list[str]:
        """Whose bodies run, in the order in which they began; `a[1]` for an item."""
        found: list[str] = []
        for delivery in self.state.running.values():
            several = len(self.numbers[delivery.step]) > 1
            found.append(f"{delivery.step}[{delivery.event}]" if several else delivery.step)
        return found

    @property
    def pending(self) -> list[str]:
        """Whose turn has not come."""
        return [*self.state.pending]

    @property
    def outcome(self) -> records.Outcome | None:
        """How the run has been decided."""
        return self.state.outcome

    @property
    def going(self) -> bool:
        """Does the run go on?"""
        return self.state.phase is GOING

    def told(self, *kinds: type) -> list[Record]:
        """The records of these classes."""
        return [record for record in self.records if isinstance(record, kinds)]

    @property
    def reused(self) -> list[tuple[str, int]]:
        """Who needed no body."""
        return [self.who(r.delivery) for r in self.records if isinstance(r, Reused)]
