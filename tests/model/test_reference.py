"""The reference is a judge: it knows nothing of plait, and a log that is not as it must be it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import attrs
import pytest

import plait.testing
from tests.model.compile import perform
from tests.model.draw import draw, of_seed
from tests.model.play import compare, one_schedule
from tests.model.program import Collect, Ev, Give, Program, Retry, Step, Timed
from tests.model.program import Fail as Failing
from tests.model.reference import Run, Unclear
from tests.model.replay import Replay, Wrong


def test_it_imports_nothing_of_plait():
    code = "import sys, tests.model.replay, tests.model.alone\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert not {name for name in done.stdout.split() if name.split(".")[0] in ("plait", "trio")}


def step(name, *takes, how="none", kinds=(), after=None, **options):
    return Step(name, takes, give=Timed(Give(how, kinds), after), **options)


FAN = Program(
    steps=(
        step("start", "Go", how="list", kinds=("A", "A", "A")),
        step("work", "A", how="one", kinds=("B",), after=1.0, workers=2),
        step("end", "B", how="stop", shape="list"),
    ),
    mass=30,
)


def log_of(program, seed=0):
    with one_schedule(seed):
        return plait.testing.run(perform, program)


def read(program, facts):
    replay = Replay(program)
    replay.read(facts)
    return replay


def test_a_log_that_is_as_it_must_be():
    facts, seen = log_of(FAN)
    compare(seen, read(FAN, facts).account())
    assert seen.end[0] == "result"
    assert [fact.at for fact in facts if fact.what == "began"] == [0, 0, 0, 1, 2]


def tampered(facts):
    """Each log that has one fact less, two in the other order, one later, or one of another step."""
    for n, fact in enumerate(facts):
        yield "less", [*facts[:n], *facts[n + 1 :]]
        yield "late", [*facts[:n], *(attrs.evolve(one, at=one.at + 0.25) for one in facts[n:])]
        if fact.what == "began":
            name, inputs, attempt, number = fact.data
            for data in (
                (name, inputs, attempt + 1, number),
                (name, (*inputs, Ev("A", "other")), attempt, number),
            ):
                yield "other", [*facts[:n], attrs.evolve(fact, data=data), *facts[n + 1 :]]


@pytest.mark.parametrize("first", [0, 20, 40])
def test_a_log_that_is_not_is_refused(first):
    """But for what leaves no trace: a refusal, a call that is told nothing, a later end."""
    refused = taken = 0
    for seed in range(first, first + 20):
        program = draw(of_seed(seed))
        facts, seen = log_of(program, seed)
        for how, log in tampered(facts) if 15 < len(facts) < 40 else ():
            try:
                compare(seen, read(program, log).account())
            except (Wrong, Unclear, KeyError, StopIteration):
                refused += 1
            else:
                taken += 1
                assert how != "other"
    assert refused > 9 * taken


def delivered(run, name):
    """Begin all that is queued for a step, one after the other; what each was given."""
    plan = next(one for one in run.program.steps if one.name == name)
    given = []
    while run.queues[name] and run.free(plan):
        given.append(run.begin(plan))
    return given


def opened(program):
    run = Run(program, "top", 0.0, Ev("Go", "go", program.mass))
    run.open()
    return run


def test_a_fan_in_by_hand():
    run = opened(FAN)
    (start,) = delivered(run, "start")
    run.returned(start, [Ev("A", "1"), Ev("A", "2"), Ev("A", "3")])
    run.settle()
    one, two = delivered(run, "work")
    run.returned(two, Ev("B", "second"))
    (three,) = delivered(run, "work")
    run.returned(one, None)
    run.settle()
    assert not run.queues["end"]
    run.returned(three, Ev("B", "third"))
    run.settle()
    (end,) = delivered(run, "end")
    assert [ev.label for ev in end.script.inputs] == ["second", "third"]


def test_a_collection_by_hand():
    act = Collect(("B", "A", "B"))
    program = Program((Step("take", ("Go", "A", "B"), workers=9),))
    run = opened(program)
    for kind, label in (("A", "a1"), ("B", "b1"), ("A", "a2"), ("B", "b2"), ("B", "b3")):
        assert run.send_in(Ev(kind, label), None)
    _, *bodies = delivered(run, "take")
    told = [run.collect(body, act) for body in bodies]
    assert told[:3] == [None, None, None]
    assert [ev.label for ev in told[3]] == ["b1", "a1", "b2"]
    assert told[4] is None
    assert run.collect(bodies[3], act) == told[3]


def test_a_retry_by_hand():
    plan = Step("try", ("Go",), (Timed(Failing()),), retry=Retry(attempts=3, delay=1.0, more=0.5))
    run = opened(Program((plan,)))
    for attempt, due in ((1, 1.0), (2, 2.5)):
        (body,) = delivered(run, "try")
        assert body.script.attempt == attempt
        run.raised(body, "boom")
        assert [one.due for one in run.due] == [due]
        run.now = due
        run.requeue(run.due[0])
    (body,) = delivered(run, "try")
    run.raised(body, "boom")
    assert run.end() == ("raised", "boom")
