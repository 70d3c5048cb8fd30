"""What an example has come upon: the reference, with a counter beside each thing that it decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from tests.model import program as p
from tests.model.program import Ev, Step
from tests.model.reference import Body, Branch, Delivery, Line, Run, Stream

FOUND: Final[Counter[str]] = Counter()


class Noting(Run):
    """Counts what it does, in `FOUND`."""

    def begin(self, step: Step) -> Body:
        body = super().begin(step)
        delivery = body.delivery
        _note(
            union=step.shape == "one" and len(step.takes) > 1,
            subclass=step.subclasses
            and any(ev.kind not in step.takes for ev in body.script.inputs),
            attempt=delivery.failures > 0,
            third_attempt=delivery.failures > 1,
            last_slot=self.free(step) == 0 and step.workers > 1,
            queue_behind=bool(self.queues[step.name]),
            in_a_stream=delivery.branch is not None,
            in_a_child=self.parent is not None,
        )
        return body

    def send(self, body: Body, ev: Ev, target: str | None) -> bool:
        sent = super().send(body, ev, target)
        late = self.outcome is not None and ev.kind != "Stop"
        _note(
            sent=sent,
            refused=not sent and not late,
            refused_late=not sent and late,
            targeted=target is not None and sent,
            sent_stop=ev.kind == "Stop",
            drained_event=sent and late,
            two_receivers=sent and target is None and len(self.program.takers(ev.kind)) > 1,
        )
        return sent

    def send_in(self, ev: Ev, target: str | None) -> bool:
        sent = super().send_in(ev, target)
        _note(
            sent_in=sent,
            refused_in=not sent,
            answer_to_a_child=sent and self.parent is not None,
        )
        return sent

    def collect(self, body: Body, act: p.Collect) -> tuple[Ev, ...] | None:
        again = bool(body.delivery.told)
        batch = super().collect(body, act)
        buffers = [b for which, b in self.buffers.items() if which[0] == body.delivery.step.name]
        whole = batch is not None
        _note(
            collected=whole,
            kept=not whole,
            batch_of_several=whole and len(batch or ()) > 1,
            batch_of_classes=whole and len({ev.kind for ev in batch or ()}) > 1,
            keyed_batch=whole and act.keyed and len(batch or ()) > 1,
            surplus_kept=whole and any(any(buffer.values()) for buffer in buffers),
            batch_again=whole and again and body.delivery.failures > 0,
            two_buffers=len(buffers) > 1,
            collected_late=whole and self.outcome is not None,
        )
        return batch

    def ask(self, body: Body, act: p.Wait, question: Ev | None) -> None:
        super().ask(body, act, question)
        _note(
            waits=body.waiting,
            question=question is not None and body.waiting,
            early_answer=isinstance(body.answer, Ev),
            waits_in_a_stream=body.delivery.branch is not None,
        )

    def _answered_by(self, ev: Ev, leaving: Body | None) -> list[Body]:
        found = super()._answered_by(ev, leaving)
        _note(
            answers_one_of_several=0 < len(found) < len(self.waits),
            answers_several=len(found) > 1,
            passes_a_wait=bool(self.waits) and not found and ev.kind == "Answer",
            own_wait_left_out=leaving is not None and bool(self.waits),
        )
        return found

    def woken(self, body: Body) -> None:
        _note(woken=isinstance(body.answer, Ev), gave_up=body.answer == "timeout")
        super().woken(body)

    def _resume(self) -> None:
        for step in self.program.steps:
            waiting, queued = self.resuming[step.name], self.queues[step.name]
            _note(
                resumes_before_the_queue=bool(waiting and queued and self.free(step)),
                resumes_without_a_slot=bool(waiting) and not self.free(step),
            )
        super()._resume()

    def cancel_step(self, name: str) -> int:
        count = super().cancel_step(name)
        _note(cancels_a_step=count > 0, cancels_nobody=count == 0)
        return count

    def returned(self, body: Body, gift: Ev | list[Ev] | None) -> None:
        listed = isinstance(gift, list)
        _note(
            fan_out=listed and len(gift or ()) > 1,
            empty_list=gift == [],
            nested_stream=listed and body.delivery.branch is not None,
            doomed_returns=body.doomed and gift is not None,
            late_return=self.outcome is not None and gift is not None,
            held=bool(body.held),
        )
        super().returned(body, gift)

    def raised(self, body: Body, error: str) -> None:
        going, due, queued = self.outcome is None, len(self.due), self._number
        super().raised(body, error)
        step, line = body.delivery.step, body.delivery.line
        _note(
            retry_due=len(self.due) > due,
            retries_used_up=step.retry is not None and going and len(self.due) == due,
            odd_only=step.retry is not None and step.retry.only_odd,
            recovered=self._number > queued,
            recovered_twice=self._number > queued and sum(line.values()) > 0,
            budget_used_up=going and self.outcome is not None and sum(line.values()) > 0,
            group_of_failures=len(self.failures) > 1,
            step_timeout=error == "StepTimeoutError",
            doomed_raises=going and body.doomed,
            handler_fails=step.handles is not None,
        )

    def cancelled(self, body: Body) -> None:
        _note(
            cancelled_alone=self.outcome is None,
            cleaned_up=body.delivery.step.cleanup is not None,
        )
        super().cancelled(body)

    def deliver(self, step: Step, ev: Ev, branch: Branch | None, line: Line) -> None:
        late = step.shape == "list" and branch is not None and step.name not in branch.stream.open
        _note(
            too_late_for_the_fan_in=late,
            failure_in_a_list=step.shape == "list" and ev.kind == "Failed",
        )
        super().deliver(step, ev, branch, line)

    def _slot(self, step: Step, number: int, ev: Ev, branch: Branch | None, line: Line) -> None:
        super()._slot(step, number, ev, branch, line)
        slots = self.joins[step.name, branch and branch.stream]
        whole = bool(self.queues[step.name]) and self.queues[step.name][-1].number == number
        _note(
            joined=whole,
            join_keeps_surplus=whole and any(slots),
            join_in_a_stream=whole and branch is not None,
            join_of_one_class=whole and len({*step.takes}) < len(step.takes),
            joins_of_two_streams=sum(where[0] == step.name for where in self.joins) > 1,
        )

    def _fire_one(
        self, stream: Stream, step: Step, arrived: Sequence[tuple[int, int, Ev, Line]]
    ) -> None:
        super()._fire_one(stream, step, arrived)
        indexes = [kept[0] for kept in arrived]
        _note(
            fired_empty=not arrived,
            fired=len(arrived) > 1,
            other_order=step.by_input and indexes != sorted(indexes),
            arrival_order=not step.by_input and indexes != sorted(indexes),
            took_some=step.take is not None
            and len(arrived) >= step.take
            and stream in self._alive(),
            took_all=step.take is not None and len(arrived) < step.take,
            fired_twice=len(self._ends(stream.opener)) > 1,
            inner_fired=stream.parent is not None,
        )

    def _cancel_rest(self, stream: Stream) -> None:
        doomed, queued = self._count()
        super()._cancel_rest(stream)
        now = self._count()
        _note(dooms_the_rest=now[0] > doomed, drops_the_rest=now[1] < queued)

    def _count(self) -> tuple[int, int]:
        queued = sum(map(len, self.queues.values())) + len(self.due)
        return sum(body.doomed for body in self.bodies), queued

    def decide(self, how: str, what: Any = None) -> None:
        first = self.outcome is None
        super().decide(how, what)
        _note(**{how.lower(): first, "too_late": not first, "drains": first and self.draining})

    def settle(self) -> None:
        left = self._left
        super().settle()
        _note(
            idle=self.outcome is None and self.quiet and self.open_ended,
            clock_stands=left is None and self._left is not None and self.deadline == float("inf"),
        )

    def requeue(self, delivery: Delivery) -> None:
        super().requeue(delivery)
        _note(retry_behind_others=len(self.queues[delivery.step.name]) > 1)

    def publish(self, what: str) -> None:
        super().publish(what)
        _note(forwarded=what.startswith("child "))

    def close(self) -> None:
        super().close()
        left = [*chain(*self.queues.values()), *self.due]
        _note(
            left_in_a_queue=bool(left),
            left_in_a_mailbox=bool(self.mailbox),
            left_in_a_buffer=any(any(buffer.values()) for buffer in self.buffers.values()),
            left_in_a_join=any(any(slots) for slots in self.joins.values()),
            left_unrouted=bool(self.unrouted),
            stopped_and_failed=bool(self.failures) and (self.outcome or " ")[0] == "Stopped",
        )


def _note(**found: bool) -> None:
    FOUND.update({name: int(is_so) for name, is_so in found.items()})
