"""The reference by itself, in a plain order of its own: no log, no plait.

For programs that come to the same whatever the order. They end since nothing is left to do, so that
all has been delivered by then; nothing in them goes by who comes first.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import attrs

from tests.model import program as p
from tests.model.facts import Fact
from tests.model.program import Act, Fail, Give, Nest, Program, Retry, Send, Step, Write
from tests.model.reference import Run
from tests.model.replay import Replay


def confluent(program: Program, *, inside: bool = False) -> Program:
    """Make of a program one that comes to the same in any order."""
    caught = any(step.handles == () for step in program.steps)
    # Nothing from outside races with the end of a run that does not end by itself.
    waits = not inside and any("Answer" in step.takes for step in program.steps)
    outside = tuple(inward for inward in program.outside if inward.kind is not None)
    steps = tuple(_confluent(step, caught=caught, inside=inside) for step in program.steps)
    return attrs.evolve(
        program,
        steps=steps,
        children=tuple(confluent(child, inside=True) for child in program.children),
        outside=outside if waits else (),
        timeout=None,
        drains=False,
    )


def _confluent(step: Step, *, caught: bool, inside: bool) -> Step:
    give = step.give.act
    assert isinstance(give, Give)
    give = attrs.evolve(give, how="none" if give.how == "stop" else give.how, whole=False)
    # A child that waits for an answer has no end, and one with a join goes by who comes first.
    takes = ["C" if kind == "Answer" and inside else kind for kind in step.takes]
    # How long a failure took is in the event that stands for it, and a retry may have queued.
    retry = step.retry if step.retry and not caught else None
    return attrs.evolve(
        step,
        takes=tuple(dict.fromkeys(takes)),
        acts=tuple(
            timed for timed in step.acts if _is_harmless(timed.act, step, retry, caught=caught)
        ),
        give=attrs.evolve(step.give, act=give),
        shape="one" if step.shape == "join" else step.shape,
        retry=retry,
        recoveries=99,
        limit=None,
        take=None,
        cancel_rest=False,
    )


def _is_harmless(act: Act | Give, step: Step, retry: Retry | None, *, caught: bool) -> bool:
    match act:
        case Send(kind=kind):
            return kind != "Stop"
        case Fail(attempts, odd):
            if caught:
                return step.handles is None and step.shape == "one"
            return retry is not None and attempts < retry.attempts and (odd or not retry.only_odd)
        case Write() | Nest():
            return True
    return False


class Alone(Replay):
    """Drives the reference: whoever is the first that can go on does."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.bodies = 0
        self.deliveries: Counter[Any] = Counter()

    def drive(self) -> None:
        """Play to the end."""
        arrivals = self._arrivals()
        while not self.runs["top"].closed:
            if (fact := self._next_fact()) is not None:
                self.take(fact)
            elif arrivals and arrivals[0] <= self._next_time():
                self.pass_time(arrivals.pop(0))
                arrived = p.arrival(self.program, next(self.arrivals))
                assert arrived is not None
                self.runs["top"].send_in(*arrived)
                self.runs["top"].settle()
            elif (at := self._next_time()) < math.inf:
                self.pass_time(at)
            else:
                self.runs["top"].decide("Cancelled")

    def _arrivals(self) -> list[float]:
        times, now = [], 0.0
        for inward in self.program.outside:
            now += inward.after
            times.append(now)
        return times

    def _next_time(self) -> float:
        dues = [d.due for run in self.runs.values() if not run.closed for d in run.due]
        return min([*dues, *self.next.values()], default=math.inf)

    def _next_fact(self) -> Fact | None:
        for run in self.runs.values():
            if not run.closed and (fact := self._fact_of(run)) is not None:
                return fact
        for number, (body, _) in self.lives.items():
            if self.next[body] == self.now:
                return Fact(self.now, body.run.key, number, "goes on")
        return None

    def _fact_of(self, run: Run) -> Fact | None:
        if not run.queues:
            return Fact(self.now, run.key, 0, "opened")
        if run.outcome is not None:
            return None if run.bodies else Fact(self.now, run.key, 0, "closed")
        late = [delivery for delivery in run.due if delivery.due == self.now]
        if late:
            return Fact(self.now, run.key, 0, "due", self.tags[late[0]])
        for step in run.program.steps:
            if run.queues[step.name] and run.free(step) > 0:
                return self._start(run, step)
        return None

    def _start(self, run: Run, step: Step) -> Fact:
        self.bodies += 1
        delivery = run.queues[step.name][0]
        given = (
            step.name,
            delivery.inputs,
            delivery.failures + 1,
            self.tags.get(delivery, self.bodies),
        )
        self.deliveries[_of_any_order(*given[:3])] += 1
        return Fact(self.now, run.key, self.bodies, "began", given)

    def _same(self, seen: Any, predicted: Any) -> None:
        """Nobody has seen anything."""


def deliveries(facts: list[Fact]) -> Counter[Any]:
    """What was delivered in a real run."""
    return Counter(_of_any_order(*fact.data[:3]) for fact in facts if fact.what == "began")


def _of_any_order(name: str, inputs: tuple[p.Ev, ...], attempt: int) -> Any:
    return name, tuple(sorted(map(str, inputs))), attempt
