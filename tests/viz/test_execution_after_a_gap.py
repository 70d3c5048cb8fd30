"""An execution that has missed records, and caught up: what goes on is what it would be without the gap."""

from __future__ import annotations

import random

import attrs
import pytest

import plait.testing
from plait._viz.executions.execution import Execution
from plait._viz.executions.followed import FollowedExecution
from plait._viz.executions.parts import OVER, UNKNOWN
from tests.model import compile as compiling
from tests.model.compile import perform
from tests.model.draw import draw, of_seed
from tests.model.play import one_schedule

BLOCK = 20


def going_on(execution):
    """What is not over: where it stands, since when it runs, and what it was given."""
    return {
        name: (
            one.state,
            one.name,
            one.given,
            one.current and (one.current.number, round(one.current.began, 6)),
            [pause.of for pause in one.pauses if pause.ended is None and pause.kind == "event"],
        )
        for name, one in execution.activities.items()
        if one.state not in OVER
    }


def collected(execution):
    return {name: attrs.asdict(one) for name, one in execution.buffers.items()}


class Gap:
    """Follows a run by its decisions, and at some of them compares."""

    def __init__(self, shell, chance):
        self.shell, self.chance = shell, chance
        self.records = []
        self.full = Execution(plan=shell.plan)
        self.created = 0.0
        self.compared = 0
        self.differs = None
        self.in_vain = []

    def __call__(self, records):
        if not self.records:
            self.created = records[0].epoch + records[0].at
        self.records += records
        self.full.feed_all(records)
        if self.differs is None and self.chance.random() < 0.2:
            try:
                self.compare()
            except AssertionError as error:  # a tap must not raise
                self.differs = error

    def compare(self):
        seen, missing = sorted(self.chance.sample(range(len(self.records) + 1), 2))
        late = FollowedExecution(plan=self.shell.plan)
        late.feed_all(self.records[:seen])
        late.leave_out(self.shell.state, self.created)
        late.feed_all(self.records[missing:])
        late.catch_up(self.shell.state)
        known, right = going_on(late), going_on(self.full)
        for name in right.keys() - known.keys():  # no record tells at once that it waits in vain
            self.in_vain.append(self.full.activities[name])
            del right[name]
        assert known == right
        assert collected(late) == collected(self.full)
        assert late.epoch == pytest.approx(self.full.epoch)
        assert UNKNOWN not in {one.name for one in late.activities.values()}
        assert late.activities.keys() <= self.full.activities.keys()
        self.compared += 1


@pytest.mark.parametrize("first", range(0, 200, BLOCK))
def test_what_goes_on_is_as_without_the_gap(first, monkeypatch):
    run_it = compiling.Recorded.run
    gaps = []
    for seed in range(first, first + BLOCK):
        chance = random.Random(seed)

        def run(self, *args, chance=chance, **fields):
            made = run_it(self, *args, **fields)
            gap = Gap(made._shell, chance)
            made._shell.tap(gap)
            gaps.append(gap)
            return made

        with monkeypatch.context() as patch, one_schedule(seed):
            patch.setattr(compiling.Recorded, "run", run)
            plait.testing.run(perform, draw(of_seed(seed)))
        for gap in gaps:
            assert gap.differs is None, f"seed {seed}: {gap.differs!r}"
            assert {one.state for one in gap.in_vain} <= {"dropped"}
            assert not any(one.attempts for one in gap.in_vain)
    assert sum(gap.compared for gap in gaps) > BLOCK
