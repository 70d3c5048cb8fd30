"""plait's promises about one run, checked on its records and on what its bodies were really given.

A second, slow account of the run beside the kernel's: it routes nothing, it follows what the records
say and adds up. It knows three things of its own: how batches come together (`_batches`), that what
is returned stays in its stream, and in which order a fan-in is given its list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from typing import TypeAlias

from plait._ids import DeliveryId
from plait._kernel import records
from plait._kernel.plan import Plan
from plait._kernel.records import AnyRecord
from plait._kernel.state import parts
from plait._show import show

from ._batches import Batches
from ._watch import Watch

#: In which list, under which member of it.
Place: TypeAlias = tuple[int, int]


def broken(
    kept: Sequence[AnyRecord], plan: Plan, watch: Watch, undelivered: Sequence[object]
) -> Iterator[str]:
    """Say in words which promises the run has not kept."""
    yield from _bodies(kept, watch)
    yield from _queues(kept)
    yield from _batches(kept, watch)
    yield from _lists(kept, plan, watch, undelivered)


def _bodies(kept: Sequence[AnyRecord], watch: Watch) -> Iterator[str]:
    """A body runs once per event, and once more for each retry."""
    steps = {r.delivery: r.step for r in kept if isinstance(r, records.Started)}
    retries = Counter(r.delivery for r in kept if isinstance(r, records.Retrying))
    for number, begun in watch.begun.items():
        allowed = 1 + retries[number]
        if begun > allowed:
            yield f"{steps[number]}#{number}: its body has run {begun} times for one event, with {allowed - 1} retries"


def _queues(kept: Sequence[AnyRecord]) -> Iterator[str]:
    """First come, first served: the deliveries of a step begin in the order of their numbers."""
    latest: dict[str, DeliveryId] = {}
    begun = set[DeliveryId]()
    for record in kept:
        if not isinstance(record, records.Started) or record.delivery in begun:
            continue  # a retry is queued again
        before = latest.get(record.step)
        if before is not None and before > record.delivery:
            yield f"{record.step}#{record.delivery} began after {record.step}#{before}"
        begun.add(record.delivery)
        latest[record.step] = record.delivery


def _batches(kept: Sequence[AnyRecord], watch: Watch) -> Iterator[str]:
    """Batches are whole, and in the order that was asked for; no event is in two."""
    steps = {r.delivery: r.step for r in kept if isinstance(r, records.Started)}
    batches = Batches()
    wanted = {
        (r.delivery, id(r.event), r.shape, r.buffer_id, r.key): batches.add(steps[r.delivery], r)
        for r in kept
        if isinstance(r, records.Collected)
    }
    for call in watch.calls:
        asked = (call.delivery, id(call.event), call.shape, call.buffer_id, call.key)
        due = wanted.get(asked) if call.shape.runs else ()
        if not _same(due, call.batch):
            who = f"{steps[call.delivery]}#{call.delivery}"
            yield f"{who}: collect_events() gave {_several(call.batch)}, not {_several(due)}"


class _Lists:
    """Follows what comes of returned lists, and where every event goes."""

    def __init__(self, plan: Plan, watch: Watch) -> None:
        self._plan = plan
        self._watch = watch
        #: Where a delivery is, and where the list was returned that a stream belongs to.
        self._places: dict[int, Place | None] = {}
        self._around: dict[int, Place | None] = {}
        #: What a step has been handed, by the number of the delivery; for a join, by the event.
        self.handed: dict[DeliveryId, tuple[str, object]] = {}
        self._joining: dict[tuple[str, int], Place | None] = {}
        #: What has come to a fan-in, and whether it has fired with all that it wanted.
        self._arrived: dict[tuple[int, str], list[tuple[int, object]]] = {}
        self._fired: dict[tuple[int, str], bool] = {}

    def follow(self, record: AnyRecord) -> Iterator[str]:
        match record:
            case records.Emitted():
                branch = record.branch
                place = None if branch is None else (branch.stream, branch.index)
                yield from self._hand(record.first, record.to, record.event, place)
            case records.Completed(event=records.Listed() as listed):
                self._around[listed.stream] = self._places.get(record.delivery)
            case records.Completed():
                around = self._places.get(record.delivery)
                yield from self._hand(record.first, record.to, record.event, around)
            case records.Recovered():
                around = self._places.get(record.delivery)
                yield from self._hand(record.first, (record.to,), record.event, around)
            case records.Started() if self._plan.step[record.step].slots:
                first = parts(self._watch.inputs[record.delivery])[0]
                self._places[record.delivery] = self._joining.get((record.step, id(first)))
            case records.Fired():
                yield from self._fire(record)
            case _:
                pass

    def _hand(
        self, first: int, to: tuple[str, ...], event: object, place: Place | None
    ) -> Iterator[str]:
        for number, name in zip(map(DeliveryId, count(first)), to, strict=False):
            step = self._plan.step[name]
            if step.plain:
                self._places[number] = place
                self.handed[number] = (name, event)
            elif step.slots:
                self._joining[name, id(event)] = place
            elif place is not None:
                stream, index = place
                if self._fired.get((stream, name)) is False:
                    yield f"{name}: its list was short of {show(event)}, which came later"
                self._arrived.setdefault((stream, name), []).append((index, event))

    def _fire(self, record: records.Fired) -> Iterator[str]:
        gather = self._plan.step[record.step].gather
        assert gather is not None
        key = (record.stream, record.step)
        arrived = self._arrived.get(key, [])[: gather.take]
        self._fired[key] = len(arrived) == gather.take
        self._places[record.first] = self._around.get(record.stream)
        if gather.by_input:
            arrived.sort(key=lambda kept: kept[0])
        due = [event for _, event in arrived]
        given = parts(self._watch.inputs.get(record.first, record.events))
        if not _same(due, given):
            who = f"{record.step}#{record.first}"
            yield f"{who}: it was given the list {_several(given)}, not {_several(due)}"


def _lists(
    kept: Sequence[AnyRecord], plan: Plan, watch: Watch, undelivered: Sequence[object]
) -> Iterator[str]:
    """Fan-ins are given all of their list in the right order; no event vanishes on its way."""
    lists, dropped = _Lists(plan, watch), set[int]()
    for record in kept:
        yield from lists.follow(record)
        if isinstance(record, records.Dropped):
            dropped.update(record.deliveries)
    reported = {*map(id, undelivered)}
    for number, (name, event) in lists.handed.items():
        if number in watch.inputs:
            if watch.inputs[number] is not event:
                yield f"{name}#{number}: it was given {show(watch.inputs[number])}, not {show(event)}"
        elif number not in dropped and id(event) not in reported:
            yield f"{name}#{number}: {show(event)} was accepted, and has vanished"


def _several(batch: Sequence[object] | None) -> str:
    return "None" if batch is None else f"[{', '.join(map(show, batch))}]"


def _same(one: Sequence[object] | None, other: Sequence[object] | None) -> bool:
    """Are these the very same events?"""
    if one is None or other is None:
        return one is other
    return [*map(id, one)] == [*map(id, other)]
