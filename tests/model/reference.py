"""What a run must be: the contract of the events strand, as a sequential program that is obviously right.

A `Run` has queues, buffers, joins, streams and waits, as plain lists. Each method says what one thing
means that a body, the outside or a clock has done; `settle` then draws the conclusions. There are no
tasks, no clock and no schedule here, and nothing of plait is imported: who acts next is said by
whoever drives it, be it the log of a real run (`replay`) or a plain order of its own (`alone`).

Nothing is counted that can be looked up. So it is slow, and has nothing to get out of step.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import attrs

from tests.model import program as p
from tests.model.paths import fan_ins, handler_of
from tests.model.program import OBSERVABLE, Ev, Program, Step, is_a


class Unclear(Exception):  # noqa: N818 - says what it is
    """The contract leaves open what happens now, or it is known that plait does something else."""


#: The handlers of failures that something descends from, each as often as it has been used.
Line = Counter[str]


@attrs.define(eq=False)
class Stream:
    """What a returned list has opened."""

    opener: Step
    parent: Branch | None
    line: Line
    #: The fan-ins that have not fired.
    open: list[str]
    gathered: dict[str, list[tuple[int, int, Ev, Line]]] = attrs.field(factory=dict)


@attrs.frozen(eq=False)
class Branch:
    """Where a delivery is: in which stream, under which member of the list."""

    stream: Stream
    index: int


@attrs.define(eq=False)
class Delivery:
    """Something handed to a step, until it is done with."""

    number: int
    step: Step
    inputs: tuple[Ev, ...]
    branch: Branch | None
    line: Line
    failures: int = 0
    began: float = 0.0
    due: float = math.inf
    #: What each collection said to it. It is told the same again.
    told: dict[Any, tuple[Ev, ...] | None] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Body:
    """One attempt at a delivery."""

    run: Run
    delivery: Delivery
    script: p.Script
    #: Has it a slot of its step? Not while it waits.
    slot: bool = True
    #: When it must be over, and what was left of that when it began to wait.
    deadline: float = math.inf
    left: float | None = None
    held: list[tuple[Ev, str | None]] = attrs.field(factory=list)
    wait: p.Wait | None = None
    since: float = 0.0
    #: What has ended the wait.
    answer: Ev | str | None = None
    #: Somebody wants it gone; it is on its way out.
    doomed: bool = False
    leaving: bool = False
    child: Run | None = None

    @property
    def waiting(self) -> bool:
        """Is it waiting for an event that has not come?"""
        return self.wait is not None and self.answer is None


@attrs.define(eq=False)
class Run:
    """A run. Time is told by whoever drives it."""

    program: Program
    key: str
    now: float
    start: Ev
    parent: Body | None = None
    forwards: bool = False

    outcome: tuple[str, Any] | None = None
    failures: list[str] = attrs.field(factory=list)
    stream: list[str] = attrs.field(factory=list)
    closed: bool = False
    cut_short: bool = False
    deadline: float = math.inf
    _left: float | None = None
    queues: dict[str, list[Delivery]] = attrs.field(factory=dict)
    #: Bodies whose wait is over and who need a slot.
    resuming: dict[str, list[Body]] = attrs.field(factory=dict)
    bodies: list[Body] = attrs.field(factory=list)
    #: The bodies that wait, the oldest question first.
    waits: list[Body] = attrs.field(factory=list)
    due: list[Delivery] = attrs.field(factory=list)
    begun: list[Delivery] = attrs.field(factory=list)
    awaited: set[tuple[str, bool]] = attrs.field(factory=set)
    mailbox: list[tuple[int, Ev]] = attrs.field(factory=list)
    unrouted: list[tuple[int, Ev]] = attrs.field(factory=list)
    buffers: dict[Any, dict[str, list[tuple[int, Ev]]]] = attrs.field(factory=dict)
    joins: dict[tuple[str, Stream | None], list[list[tuple[int, Ev, Branch | None, Line]]]] = (
        attrs.field(factory=dict)
    )
    streams: list[Stream] = attrs.field(factory=list)
    children: list[Run] = attrs.field(factory=list)
    _number: int = 0
    _known: dict[str, list[str]] = attrs.field(factory=dict)

    # ------------------------------------------------------------ the run

    def open(self) -> None:
        """Begin."""
        if self.parent is not None:
            self.parent.run.children.append(self)
        self.queues = {step.name: [] for step in self.program.steps}
        self.resuming = {step.name: [] for step in self.program.steps}
        if self.program.timeout is not None:
            self.deadline = self.now + self.program.timeout
        for step in self.program.takers("Go"):
            self.deliver(step, self.start, None, Line())
        inside = self
        while inside.forwards and inside.parent is not None:
            inside = inside.parent.run
            inside.hand_on()

    def hand_on(self) -> None:
        """A run inside that forwards its events begins: letters that it takes have waited for it."""
        for letter in [*self.mailbox]:
            _, ev = letter
            child = next((one for one in self._shown if one.reaches(ev)), None)
            if self.outcome is None and child is not None and not self.takes(ev):
                self.mailbox.remove(letter)
                child.send_in(ev, None)

    def decide(self, how: str, what: Any = None) -> None:
        """The first decision stands."""
        self.outcome = self.outcome or (how, what)

    @property
    def draining(self) -> bool:
        """Has it been stopped, and may the bodies that run finish?"""
        stopped = self.outcome is not None and self.outcome[0] == "Stopped"
        return stopped and self.program.drains and any(body.slot for body in self.bodies)

    @property
    def quiet(self) -> bool:
        """Is nothing queued, running or due?"""
        return not (
            any(self.queues.values()) or self.due or any(not body.waiting for body in self.bodies)
        )

    @property
    def open_ended(self) -> bool:
        """Can the outside move it on?"""
        return bool(self.waits) or any("Answer" in step.takes for step in self.program.steps)

    def settle(self) -> None:
        """Draw the conclusions of what has happened."""
        if self.outcome is None:
            while self._fire():
                pass
            self._resume()
            if self.quiet and not self.open_ended:
                self.decide("Stalled")
        idle = self.outcome is None and self.quiet
        if not self.program.while_idle and idle and self._left is None:
            self._left, self.deadline = self.deadline - self.now, math.inf
        elif self._left is not None and not idle:
            self._left, self.deadline = None, self.now + self._left

    def end(self) -> tuple[str, ...]:
        """What it came to."""
        assert self.outcome is not None
        how, what = self.outcome
        also = {
            "Stalled": "WorkflowStalledError",
            "TimedOut": "WorkflowTimeoutError",
            "Cancelled": "WorkflowCancelledByUser",
        }
        errors = [also[how], *self.failures] if how in also else self.failures
        if errors:
            return ("raised", *"+".join(errors).split("+"))
        return ("result", what.label) if how == "Stopped" else ("abandoned",)

    def close(self) -> None:
        """Nothing of it is left."""
        assert self.outcome is not None
        self.closed = True
        how, what = self.outcome
        if how == "Stopped" and not self.failures:
            self.publish(str(what))
        elif how == "TimedOut":
            self.publish("WorkflowTimedOutEvent")
        elif how in ("Cancelled", "Abandoned"):
            self.publish("WorkflowCancelledEvent")
        else:
            self.publish("WorkflowFailedEvent")
        if self.parent is not None:
            self.parent.run.children.remove(self)

    def publish(self, what: str) -> None:
        """Put something on the stream, and on that of the run around it."""
        self.stream.append(what)
        if self.forwards and self.parent is not None:
            self.parent.run.publish(what if what.startswith("child ") else f"child {what}")

    @property
    def undelivered(self) -> list[str]:
        """What was accepted and reached nobody, the oldest first."""
        left = [*self.mailbox, *self.unrouted]
        for delivery in (*chain(*self.queues.values()), *self.due):
            left += [(delivery.number, ev) for ev in delivery.inputs]
        for buffer in self.buffers.values():
            left += chain(*buffer.values())
        for slots in self.joins.values():
            left += [kept[:2] for slot in slots for kept in slot]
        for stream in self.streams:
            left += [kept[1:3] for arrived in stream.gathered.values() for kept in arrived]
        for body in chain(*self.resuming.values()):
            if isinstance(body.answer, Ev):
                left.append((body.delivery.number, body.answer))
        return [str(ev) for _, ev in sorted(left, key=lambda kept: kept[0])]

    # ------------------------------------------------------------ events

    def emit(
        self,
        ev: Ev,
        line: Line,
        *,
        branch: Branch | None = None,
        leaving: Body | None = None,
        target: str | None = None,
    ) -> bool:
        """Route an event to all who take it, in the order of the steps; false if nobody does."""
        if ev.kind == "Stop":
            self.decide("Stopped", ev)
            return True
        takers, answered = self._receivers(ev, branch, leaving, target)
        if not (takers or answered or self._needs_none(ev, target)):
            return False
        if ev.kind in OBSERVABLE:
            self.publish(str(ev))
        for body in answered:
            self._end_wait(body, ev)
        for step in takers:
            self.deliver(step, ev, branch, line)
        if not takers and not answered and self._is_kept(ev):
            self.mailbox.append((self._next(), ev))
        return True

    def _receivers(
        self, ev: Ev, branch: Branch | None, leaving: Body | None, target: str | None
    ) -> tuple[list[Step], list[Body]]:
        """The steps and the waits that get an event."""
        takers = [step for step in self.program.takers(ev.kind) if self._reaches(step, branch)]
        if target is not None:
            return [step for step in takers if step.name == target], []
        return takers, self._answered_by(ev, leaving)

    def _needs_none(self, ev: Ev, target: str | None) -> bool:
        return target is None and (ev.kind in OBSERVABLE or self._is_kept(ev))

    def _is_kept(self, ev: Ev) -> bool:
        """May somebody ask for it later?"""
        return ev.kind == "Answer" or any(
            ev.kind == kind or (subclasses and is_a(ev.kind, kind))
            for kind, subclasses in self.awaited
        )

    def takes(self, ev: Ev) -> bool:
        """Would a step or a wait get it?"""
        steps = any(step.shape != "list" for step in self.program.takers(ev.kind))
        return steps or ev.kind in (*OBSERVABLE, "Stop") or bool(self._answered_by(ev, None))

    def reaches(self, ev: Ev) -> bool:
        """Would it get somewhere, here or in a run inside?"""
        if self.outcome is not None:
            return False
        return self.takes(ev) or any(child.reaches(ev) for child in self._shown)

    def send_in(self, ev: Ev, target: str | None) -> bool:
        """The outside sends an event. A child that forwards its own may get it."""
        if target is None and not self.takes(ev):
            for child in self._shown:
                if child.reaches(ev):
                    return child.send_in(ev, None)
        return self.outcome is None and self.emit(ev, Line(), target=target)

    @property
    def _shown(self) -> list[Run]:
        return [child for child in self.children if child.forwards]

    def _reaches(self, step: Step, branch: Branch | None) -> bool:
        """A fan-in takes what is in a stream that ends in it."""
        if step.shape != "list":
            return True
        return branch is not None and step.name in self._ends(branch.stream.opener)

    def deliver(self, step: Step, ev: Ev, branch: Branch | None, line: Line) -> None:
        """Hand an event to a step."""
        number = self._next()
        if step.shape == "one":
            self.queues[step.name].append(Delivery(number, step, (ev,), branch, line))
        elif step.shape == "join":
            self._slot(step, number, ev, branch, line)
        elif branch is not None and step.name in branch.stream.open:
            gathered = branch.stream.gathered.setdefault(step.name, [])
            gathered.append((branch.index, number, ev, line))

    def _slot(self, step: Step, number: int, ev: Ev, branch: Branch | None, line: Line) -> None:
        """A join takes the oldest of each class, within one stream."""
        where = (step.name, branch and branch.stream)
        slots = self.joins.setdefault(where, [[] for _ in step.takes])
        able = [
            slot
            for slot, kind in zip(slots, step.takes, strict=True)
            if ev.kind == kind or (step.subclasses and is_a(ev.kind, kind))
        ]
        min(able, key=len).append((number, ev, branch, line))
        if all(slots):
            parts = [slot.pop(0) for slot in slots]
            lines = merged(part[3] for part in parts)
            inputs = tuple(part[1] for part in parts)
            self.queues[step.name].append(Delivery(number, step, inputs, parts[0][2], lines))

    def _next(self) -> int:
        self._number += 1
        return self._number

    # ------------------------------------------------------------ bodies

    def free(self, step: Step) -> int:
        """How many more of its bodies may run."""
        return step.workers - sum(body.slot for body in self.bodies if body.delivery.step is step)

    def begin(self, step: Step) -> Body:
        """The oldest delivery of a step begins."""
        delivery = self.queues[step.name].pop(0)
        if not delivery.failures:
            delivery.began = self.now
            self.begun.append(delivery)
        script = p.Script(self.program, step, delivery.inputs, delivery.failures + 1)
        body = Body(self, delivery, script)
        if step.limit is not None:
            body.deadline = self.now + step.limit
        self.bodies.append(body)
        return body

    def send(self, body: Body, ev: Ev, target: str | None) -> bool:
        """A body sends an event. That leaves the stream."""
        if self.outcome is None:
            return self.emit(ev, body.delivery.line, target=target)
        taken = ev.kind == "Stop" or any(self._receivers(ev, None, None, target))
        stopped = self.outcome[0] == "Stopped" and self.program.drains
        if not stopped or not (taken or self._needs_none(ev, target)):
            return False
        if ev.kind != "Stop":
            self.unrouted.append((self._number + 1, ev))
        return True

    def collect(self, body: Body, act: p.Collect) -> tuple[Ev, ...] | None:
        """A body gives its first input to a collection; the batch, if it is whole."""
        delivery, step, ev = body.delivery, body.delivery.step, body.delivery.inputs[0]
        wants = Counter(act.wants)
        key = ev.key if act.keyed else None
        which = (step.name, act.buffer, frozenset(wants.items()), key)
        if which in delivery.told:
            return delivery.told[which]
        bases = [ev.kind, p.BASES[ev.kind]] if step.subclasses else [ev.kind]
        counts_as = next((kind for kind in bases if kind in wants), None)
        if counts_as is None:
            return None
        buffer = self.buffers.setdefault(which, {kind: [] for kind in wants})
        buffer[counts_as].append((delivery.number, ev))
        batch = None
        if all(len(buffer[kind]) >= count for kind, count in wants.items()):
            batch = tuple(buffer[kind].pop(0)[1] for kind in expected(act))
        delivery.told[which] = batch
        return batch

    def ask(self, body: Body, act: p.Wait, question: Ev | None) -> None:
        """A body waits: for a letter that is there, or without its slot."""
        body.wait, body.answer, body.since = act, None, self.now
        self.awaited.add((act.kind, body.delivery.step.subclasses))
        letter = next((kept for kept in self.mailbox if wants(body, kept[1])), None)
        if letter is not None:
            self.mailbox.remove(letter)
            body.answer = letter[1]
            return
        if question is not None:
            self.publish(str(question))
        body.slot = False
        body.left, body.deadline = body.deadline - self.now, math.inf
        self.waits.append(body)

    def _answered_by(self, ev: Ev, leaving: Body | None) -> list[Body]:
        """The oldest that wants it alone, and all that share it."""
        able = [body for body in self.waits if body is not leaving and wants(body, ev)]
        alone = [body for body in able if body.wait and not body.wait.broadcast]
        return alone[:1] + [body for body in able if body.wait and body.wait.broadcast]

    def _end_wait(self, body: Body, answer: Ev | str) -> None:
        self.waits.remove(body)
        body.answer = answer
        self.resuming[body.delivery.step.name].append(body)

    def give_up(self, body: Body) -> None:
        """A wait has taken too long, or is no longer wanted."""
        self._end_wait(body, "timeout")

    def _resume(self) -> None:
        """Who has waited comes first."""
        for step in self.program.steps:
            line = self.resuming[step.name]
            while line and self.free(step):
                line.pop(0).slot = True

    def woken(self, body: Body) -> None:
        """A body goes on."""
        body.wait = None
        if body.left is not None:
            body.deadline, body.left = self.now + body.left, None

    def cancel_step(self, name: str) -> int:
        """Cancel what runs of a step."""
        found = [b for b in self.bodies if b.delivery.step.name == name and not b.doomed]
        for body in found:
            body.doomed = True
        return len(found)

    # ------------------------------------------------------------ how bodies end

    def returned(self, body: Body, gift: Ev | list[Ev] | None) -> None:
        """A body returns: what it has held back comes first."""
        delivery = body.delivery
        if not body.doomed:
            for ev, target in body.held:
                if not self.send(body, ev, target):
                    if self.outcome is None:
                        raise Unclear("whether a held event that nobody takes is tried again")
                    self._leave(body)
                    return
                self.settle()
        self._leave(body)
        if body.doomed or gift is None:
            return
        if self.outcome is not None:
            for ev in gift if isinstance(gift, list) else [gift]:
                if ev.kind != "Stop":
                    self.unrouted.append((self._number + 1, ev))
        elif isinstance(gift, list):
            names = self._ends(delivery.step)
            stream = Stream(delivery.step, delivery.branch, delivery.line, [*names])
            self.streams.append(stream)
            for index, ev in enumerate(gift):
                if not self.emit(ev, delivery.line, branch=Branch(stream, index), leaving=body):
                    raise Unclear("whether the members before one that nobody takes have gone")
        elif not self.emit(gift, delivery.line, branch=delivery.branch, leaving=body):
            self.crash("WorkflowRuntimeError")

    def raised(self, body: Body, error: str) -> None:
        """A body fails: its policy, its handler, its fan-in are asked; else the run has failed."""
        self._leave(body)
        odd = error.startswith("odd ") and "+" not in error
        delivery, step = body.delivery, body.delivery.step
        if self.outcome is not None:
            self.failures.append(error)
            return
        delivery.failures += 1
        if body.doomed:
            self.crash(error)
            return
        pause = step.retry.after(delivery.failures, odd=odd) if step.retry else None
        if pause is not None:
            delivery.due = self.now + pause
            self.due.append(delivery)
            return
        elapsed = self.now - delivery.began
        failed = p.failure(step.name, delivery.inputs, error, delivery.failures, elapsed)
        handler = handler_of(self.program, step)
        if handler and delivery.line[handler.name] < handler.recoveries:
            line = delivery.line + Line([handler.name])
            self.deliver(handler, failed, delivery.branch, line)
            return
        if delivery.branch is not None:
            for name in self._ends(delivery.branch.stream.opener):
                taker = next(one for one in self.program.steps if one.name == name)
                if "Failed" in taker.takes:
                    self.deliver(taker, failed, delivery.branch, delivery.line)
                    return
        self.crash(error)

    def crash(self, error: str) -> None:
        """The run fails."""
        self.failures.append(error)
        self.decide("Crashed")

    def cancelled(self, body: Body) -> None:
        """A body was cancelled, and has cleaned up."""
        late = self.outcome is None and not body.doomed and self.now >= body.deadline
        if late:
            self.raised(body, "StepTimeoutError")
        else:
            self._leave(body)

    def _leave(self, body: Body) -> None:
        self.bodies.remove(body)
        if body in self.waits:
            self.waits.remove(body)
        for line in self.resuming.values():
            if body in line:
                line.remove(body)

    def requeue(self, delivery: Delivery) -> None:
        """A retry is due: it goes to the back of the queue."""
        self.due.remove(delivery)
        self.queues[delivery.step.name].append(delivery)

    # ------------------------------------------------------------ streams

    def _fire(self) -> bool:
        """Look for a stream whose fan-in has its list, or that is over; false if there is none."""
        alive = self._alive()
        for stream in self.streams:
            over = stream not in alive
            for name in stream.open:
                step = next(one for one in self.program.steps if one.name == name)
                arrived = stream.gathered.get(name, [])
                if over or (step.take is not None and len(arrived) >= step.take):
                    self._fire_one(stream, step, arrived)
                    return True
            if over:
                self.streams.remove(stream)
                return True
        return False

    def _fire_one(
        self, stream: Stream, step: Step, arrived: Sequence[tuple[int, int, Ev, Line]]
    ) -> None:
        taken = arrived[: step.take]
        if step.by_input:
            taken = sorted(taken, key=lambda kept: kept[0])
        line = merged([stream.line, *(kept[3] for kept in arrived)])
        stream.open.remove(step.name)
        stream.gathered.pop(step.name, None)
        inputs = tuple(kept[2] for kept in taken)
        delivery = Delivery(self._next(), step, inputs, stream.parent, line)
        self.queues[step.name].append(delivery)
        if step.cancel_rest:
            self._cancel_rest(stream)

    def _cancel_rest(self, stream: Stream) -> None:
        inside = [stream]
        for outer in inside:
            inside += [one for one in self.streams if one.parent and one.parent.stream is outer]
        for inner in inside[1:]:  # its branches are no more: it comes to nothing
            inner.open.clear()
            inner.gathered.clear()

        def is_inside(branch: Branch | None) -> bool:
            return branch is not None and branch.stream in inside

        for queue in (*self.queues.values(), self.due):
            queue[:] = [one for one in queue if not is_inside(one.branch)]
        for where in [*self.joins]:
            if where[1] in inside:
                del self.joins[where]
        for body in self.bodies:
            body.doomed = body.doomed or is_inside(body.delivery.branch)

    def _alive(self) -> set[Stream]:
        """The streams with something inside that may still come to a fan-in."""
        pending = [*chain(*self.queues.values()), *self.due]
        pending += [body.delivery for body in self.bodies]
        branches = [delivery.branch for delivery in pending]
        branches += [inner.parent for inner in self.streams]
        branches += [kept[2] for slots in self.joins.values() for slot in slots for kept in slot]
        return {branch.stream for branch in branches if branch is not None}

    def _ends(self, opener: Step) -> list[str]:
        """The fan-ins that the streams of a step end in."""
        if opener.name not in self._known:
            self._known[opener.name] = fan_ins(self.program, opener)
        return self._known[opener.name]


def wants(body: Body, ev: Ev) -> bool:
    """Say whether an event answers a body that waits."""
    wait = body.wait
    assert wait is not None
    able = ev.kind == wait.kind or (body.delivery.step.subclasses and is_a(ev.kind, wait.kind))
    return able and wait.key in (None, ev.key)


def expected(act: p.Collect) -> Sequence[str]:
    """The order of a batch: that in which the classes were asked for."""
    if not act.as_mapping:
        return act.wants
    return [kind for kind in dict.fromkeys(act.wants) for _ in range(act.wants.count(kind))]


def merged(lines: Iterable[Line]) -> Line:
    """The line of what comes together: each handler as often as in any of them."""
    most = Line()
    for line in lines:
        most |= line
    return most
