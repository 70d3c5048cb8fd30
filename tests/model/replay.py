"""The log of a real run, read by the reference: may each fact be, and is none missing?

Of each fact it is told who did something, and when. It works out what that must have been, and
compares. Between two facts time passes; then nothing may have been left undone: no delivery beside a
free slot, no body that had something to do, no retry that was due.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Sequence
from typing import Any, TypeAlias

from tests.model import known
from tests.model import program as p
from tests.model.facts import Account, Fact
from tests.model.program import Program
from tests.model.reference import Body, Run, Unclear

#: How long a body does nothing before its next act, `None` as long as it is not woken; or its act.
Life: TypeAlias = Generator[float | tuple[str, Any] | None, None, None]


class Wrong(AssertionError):  # noqa: N818 - says what it is
    """The run is not what it must be."""


def life(replay: Replay, body: Body, number: int) -> Life:
    """One body: its pauses, and what it does after each."""
    run, script = body.run, body.script
    for pause, _, act in script.acts():
        yield pause
        match act:
            case p.Give():
                gift = script.gift(act)
                run.returned(body, gift)
                yield "returned", tuple(gift) if isinstance(gift, list) else gift
            case p.Fail():
                error = f"{'odd ' if act.odd else ''}{script.event('Failed').label}"
                run.raised(body, error)
                yield "raised", error
                return
            case p.Send():
                ev = script.event(act.kind)
                if act.held:
                    body.held.append((ev, act.target))
                    yield "held", ev
                else:
                    yield "sent" if run.send(body, ev, act.target) else "refused", ev
            case p.Collect():
                batch = run.collect(body, act)
                script.whole = batch is not None
                script.saw(*(batch or ()))
                yield "collected", batch
            case p.Write():
                ev = script.event("Shown")
                run.publish(str(ev))
                yield "wrote", ev
            case p.CancelStep():
                count = run.cancel_step(act.step)
                script.saw(count)
                yield "cancels", count
            case p.Wait():
                question = script.event("Question") if act.asks else None
                if question is not None and replay.is_ending(run):
                    raise Unclear("whether a question is still asked when the run has been decided")
                if run.outcome is not None or not replay.is_cut(number):
                    run.ask(body, act, question)
                yield "waits", question
                yield None
                answer = body.answer
                run.woken(body)
                script.saw(answer)
                yield "woke", answer
            case p.Nest():
                ev = script.event("Go")
                key = f"{run.key}/{number}.{script.made}"
                program = run.program.children[act.child]
                body.child = child = type(run)(program, key, run.now, ev, body, act.forward)
                yield "nests", ev
                yield None
                how, *what = child.end()
                script.saw("+".join(what))
                body.child = None
                yield "nested", "+".join(what)
                if how == "raised" and not act.careful:
                    yield 0.0
                    run.raised(body, "+".join(what))
                    yield "raised", "+".join(what)
                    return


class Replay:
    """The reference, driven by a log."""

    def __init__(self, program: Program, kind: type[Run] = Run) -> None:
        known.stream_in_itself(program)
        self.program = program
        self.now = 0.0
        self.runs: dict[str, Run] = {"top": kind(program, "top", 0.0, p.start(program))}
        self.lives: dict[int, tuple[Body, Life]] = {}
        self.numbers: dict[Body, int] = {}
        #: When each body acts next; `inf` while it is not woken.
        self.next: dict[Body, float] = {}
        #: The number by which the log knows a delivery.
        self.tags: dict[Any, int] = {}
        self.arrivals = iter(range(len(program.outside)))
        #: What the log says next.
        self.upcoming: Sequence[Fact] = ()

    def read(self, facts: Iterable[Fact]) -> None:
        """Take in a whole log."""
        facts = [*facts]
        for number, fact in enumerate(facts):
            self.upcoming = facts[number + 1 :]
            try:
                if fact.at != self.now:
                    self.pass_time(fact.at)
                self.take(fact)
            except Wrong as wrong:
                raise Wrong(f"fact {number}: {fact}\n  {wrong}") from None
        self.pass_time(math.inf)

    # ------------------------------------------------------------ time

    def pass_time(self, now: float) -> None:
        """Nothing may have been left undone in this instant."""
        for run in self.runs.values():
            if not run.closed:
                self._check_run(run, now)
        for body, at in self.next.items():
            self._check_body(body, at, now)
        if now < math.inf:
            self.now = now
            for run in self.runs.values():
                run.now = now

    def _check_run(self, run: Run, now: float) -> None:
        if not run.queues:
            if run.parent and self._may_be_cut(run.parent):
                return
            raise Wrong(f"{run.key} has not begun")
        if run.outcome is None:
            for step in run.program.steps:
                if run.queues[step.name] and run.free(step) > 0:
                    raise Wrong(f"{run.key}: {step.name} has a free slot, and something waits")
            for delivery in run.due:
                if delivery.due < now:
                    raise Wrong(f"{run.key}: a retry of {delivery.step.name} was due")
            for body in run.waits:
                assert body.wait is not None
                if body.wait.timeout is not None and body.since + body.wait.timeout < now:
                    raise Wrong(f"{run.key}: {body.delivery.step.name} has waited too long")
            if run.deadline < now:
                raise Wrong(f"{run.key}: its time was over")
            if self._disowned(run):
                raise Wrong(f"{run.key}: it was not cancelled with its parent")
        elif not run.bodies:
            raise Wrong(f"{run.key}: it has ended, and is not closed")

    def _check_body(self, body: Body, at: float, now: float) -> None:
        name = f"{body.run.key}: body {self.numbers[body]}"
        if at < now:
            raise Wrong(f"{name} has something to do")
        if body.waiting and body.doomed and body.run.outcome is None:
            raise Wrong(f"{name} was cancelled, and still waits")
        if body.leaving or (body.child is not None and body.child.queues and not body.child.closed):
            return
        if self._may_be_cut(body) and (body.slot or body.run.outcome is not None):
            raise Wrong(f"{name} was not cancelled")

    # ------------------------------------------------------------ who may be cancelled

    def _disowned(self, run: Run) -> bool:
        return run.parent is not None and self._may_be_cut(run.parent)

    def _may_be_cut(self, body: Body) -> bool:
        run = body.run
        over = self.now >= run.deadline or self._disowned(run) or run.cut_short
        over = over or (run.outcome is not None and not run.draining)
        return over or body.doomed or self.now >= body.deadline

    def is_ending(self, run: Run) -> bool:
        """Has the run been ended, perhaps from around it?"""
        return run.outcome is not None or self._disowned(run) or self.now >= run.deadline

    def is_cut(self, number: int) -> bool:
        """Is a body cancelled before its wait begins? Else it gives the wait up first."""
        body = self.lives[number][0]
        if not self._may_be_cut(body):
            return False
        gives_up = (body.run.key, "gave up", self.tags[body.delivery])
        for fact in self.upcoming:
            if fact.body == number or (fact.run, fact.what, fact.data) == gives_up:
                return fact.what == "cut"
        return False

    # ------------------------------------------------------------ facts

    def take(self, fact: Fact) -> None:
        """Take in one fact."""
        if fact.run not in self.runs:
            raise Wrong("nobody has begun this run")
        run = self.runs[fact.run]
        if run.closed:
            raise Wrong("this run is over")
        match fact.body, fact.what:
            case 0, _:
                self._rang(run, fact)
            case _, "began":
                self._begin(run, fact)
            case _, "cut" | "cancelled":
                self._cancel(*self._life(fact), fact)
            case _:
                self._act(*self._life(fact), fact)
        for other in self.runs.values():
            if other.queues and not other.closed:
                other.settle()
        for body, at in self.next.items():
            if at == math.inf and not body.leaving and self._is_woken(body):
                self.next[body] = self.now

    def _life(self, fact: Fact) -> tuple[Body, Life]:
        if fact.body not in self.lives:
            raise Wrong("this body has ended")
        return self.lives[fact.body]

    def _is_woken(self, body: Body) -> bool:
        if body.child is not None:
            return body.child.closed and body.child.end()[0] != "abandoned"
        return body.wait is not None and body.answer is not None and body.slot

    def _begin(self, run: Run, fact: Fact) -> None:
        name, inputs, attempt, tag = fact.data
        step = next(step for step in run.program.steps if step.name == name)
        if run.outcome is not None:
            raise Wrong(f"the run has ended: {run.outcome}")
        if not run.queues[name]:
            raise Wrong("nothing is queued for it")
        if run.free(step) <= 0:
            raise Wrong("it has no free slot")
        body = run.begin(step)
        delivery = body.delivery
        self._same(inputs, delivery.inputs)
        self._same(attempt, delivery.failures + 1)
        self._same(tag, self.tags.setdefault(delivery, tag))
        self.lives[fact.body] = body, life(self, body, fact.body)
        self.numbers[body] = fact.body
        self._go_on(body, fact.body)

    def _go_on(self, body: Body, number: int) -> None:
        """Look how long a body does nothing now."""
        pause = next(self.lives[number][1], None)
        if body not in body.run.bodies:
            del self.lives[number], self.next[body]
            return
        self.next[body] = math.inf if pause is None else self.now + pause
        if body.child is not None and body.child.key not in self.runs:
            self.runs[body.child.key] = body.child

    def _act(self, body: Body, alive: Life, fact: Fact) -> None:
        if fact.what == "raised" and body.leaving:
            self._ended_badly(body, fact)
            return
        if self.next[body] != self.now:
            raise Wrong(f"it has nothing to do before {self.next[body]}")
        if body.leaving:
            raise Wrong("it was cancelled")
        if fact.what in ("returned", "raised"):
            self._notice(body.run)
        if fact.what == "raised" and self.now >= body.deadline:
            raise Unclear("which error it is that is raised in the instant of a timeout")
        if body.child is not None and fact.what == "nested" and not body.child.closed:
            raise Wrong("the child is not over")
        did = next(alive)
        assert isinstance(did, tuple)
        self._same(fact.what, did[0])
        self._same(fact.data, did[1])
        self._go_on(body, fact.body)

    def _cancel(self, body: Body, alive: Life, fact: Fact) -> None:
        if fact.what == "cancelled":
            if not body.leaving or self.next[body] != self.now:
                raise Wrong(f"it cleans up until {self.next[body]}")
            self._end(body, fact, None)
            return
        if body.leaving or not self._may_be_cut(body):
            raise Wrong("nobody has cancelled it")
        if body.child is not None and body.child.queues and not body.child.closed:
            raise Wrong("its child goes on")
        body.leaving = True
        self.next[body] = self.now + (body.delivery.step.cleanup or 0.0)

    def _ended_badly(self, body: Body, fact: Fact) -> None:
        if self.next[body] != self.now:
            raise Wrong(f"it cleans up until {self.next[body]}")
        self._same(fact.data, f"{body.delivery.step.name} breaks {fact.body}")
        self._end(body, fact, fact.data)

    def _end(self, body: Body, fact: Fact, error: str | None) -> None:
        """A body that was cancelled is gone. Whoever is the first to see it says why."""
        run = body.run
        if run.outcome is None and not body.doomed and self.now < body.deadline:
            self._decide_late(run)
        late = self.now >= body.deadline and run.outcome is None and not body.doomed
        if error is None or late:
            run.cancelled(body)
        else:
            run.raised(body, error)
        del self.lives[fact.body], self.next[body]
        if body.child is not None and not body.child.queues:
            del self.runs[body.child.key]  # it was cancelled before it had begun

    def _notice(self, run: Run) -> None:
        """A body that ends may be the first to see that the run has been ended from around it."""
        seen = next(iter(self.upcoming), None)
        if run.outcome is not None or seen is None or (seen.run, seen.what) != (run.key, "decided"):
            return
        if seen.data[0] in ("TimedOut", "Cancelled"):
            self._decide_late(run)

    def _decide_late(self, run: Run) -> None:
        if self.now >= run.deadline:
            active = [s.name for s in run.program.steps if run.free(s) < s.workers]
            run.decide("TimedOut", active)
        elif self._disowned(run):
            run.decide("Abandoned")

    # ------------------------------------------------------------ what no body does

    def _rang(self, run: Run, fact: Fact) -> None:
        match fact.what:
            case "opened":
                self._open(run)
            case "closed":
                self._close(run)
            case "due":
                late = [one for one in run.due if self.tags[one] == fact.data]
                if not late or late[0].due != self.now:
                    raise Wrong("no retry of it is due")
                run.requeue(late[0])
            case "gave up":
                self._give_up(run, fact.data)
            case "decided":
                self._decided(run, *fact.data)
            case "cancel" | "sent" | "refused":
                self._outside(run, fact)

    def _outside(self, run: Run, fact: Fact) -> None:
        number = next(self.arrivals, None)
        arrival = None if number is None else p.arrival(self.program, number)
        self._same(fact.data, arrival)
        if arrival is None:
            run.cut_short = run.outcome is not None
            run.decide("Cancelled")
        else:
            self._same(fact.what, "sent" if run.send_in(*arrival) else "refused")

    def _open(self, run: Run) -> None:
        if run.queues:
            raise Wrong("it has begun")
        run.now = self.now
        run.open()

    def _close(self, run: Run) -> None:
        if run.outcome is None:
            raise Wrong("it has not ended")
        if run.bodies:
            raise Wrong("bodies of it are left")
        run.close()

    def _give_up(self, run: Run, tag: int) -> None:
        waits = [body for body in run.waits if self.tags[body.delivery] == tag]
        if not waits:
            raise Wrong("it does not wait")
        (body,) = waits
        assert body.wait is not None
        late = body.wait.timeout is not None and body.since + body.wait.timeout == self.now
        if not late and not self._may_be_cut(body):
            raise Wrong("it may wait longer")
        run.give_up(body)

    def _decided(self, run: Run, how: str, *active: str) -> None:
        if run.outcome is None and how == "TimedOut" and self.now >= run.deadline:
            self._decide_late(run)
        if run.outcome is None and how == "Cancelled" and self._disowned(run):
            run.decide("Abandoned")
        if run.outcome is None:
            raise Wrong("it goes on")
        self._same(how, run.outcome[0].replace("Abandoned", "Cancelled"))
        if how == "TimedOut":
            self._same(active, tuple(run.outcome[1]))

    def _same(self, seen: Any, predicted: Any) -> None:
        if seen != predicted:
            raise Wrong(f"seen {seen}\n  must {predicted}")

    # ------------------------------------------------------------ the end

    def account(self) -> Account:
        """What came of the run."""
        top = self.runs["top"]
        if not top.closed:
            raise Wrong("the run is not over")
        for run in self.runs.values():
            self._check_numbers(run)
        return Account(top.end(), tuple(top.stream), tuple(top.undelivered))

    def _check_numbers(self, run: Run) -> None:
        """Deliveries are numbered as their events came about; of two lists at once that is not said."""
        begun = [delivery for delivery in run.begun if delivery.step.shape != "list"]
        tags = [self.tags[delivery] for delivery in sorted(begun, key=lambda one: one.number)]
        if tags != sorted({*tags}):
            raise Wrong(f"{run.key}: the deliveries are numbered {tags}")
