"""What must hold after a simulation: the promises, on the records and on what the outside has seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from plait import StopEvent
from plait._kernel import records
from plait._kernel.apply import apply
from plait._kernel.state import RunState

from .endings import (
    ENDS,
    ends_of,
    every_failure_comes_out,
    loans,
    owners,
    streams,
    the_end,
    timeouts,
    times,
)
from .watch import Watch, Watched
from .world import Life, World


def broken(world: World, watch: Watch) -> Iterator[str]:
    """Name the promises that were broken."""
    yield from world.diary.violations
    yield from watch.faults
    for watched in watch.runs.values():
        yield from _sum_of_its_records(watched)
        yield from _each_body_once(world, watched)
    for life in world.lives.values():
        its = next((w for w in watch.runs.values() if w.state is life.run._shell.state), None)
        if its is None:
            yield f"{life.run.run_id} was never started"
            continue
        if not life.run.is_done():
            continue  # the diary has said so
        if life.trace is not None and [*map(id, life.trace.records)] != [*map(id, its.records)]:
            yield f"{life.run.run_id}: an observer was not told of each record, in order"
        yield from _nothing_is_dropped(world, life, its)
        yield from every_failure_comes_out(world, life, its)
        yield from the_end(world, life, its)
        yield from streams(world, life, its)
        yield from times(its)
        yield from timeouts(world, life, its)
        if life.called_again:
            yield f"{life.run.run_id}: an observer that raised was called again"
    yield from loans(world)
    yield from owners(world)
    for life in world.tops:
        gate = life.flow._gate
        if gate is not None and gate._free != gate.limit:
            yield f"promise 1: {gate._free} of {gate.limit} places for runs are free after the end"
    if world.limiter.borrowed_tokens:
        yield f"{world.limiter.borrowed_tokens} tokens of the shared limiter are borrowed"
    if world.limiter.statistics().tasks_waiting:
        yield "somebody waits for the shared limiter after the end"


# ---------------------------------------------------------------- promise 4


def _sum_of_its_records(its: Watched) -> Iterator[str]:
    replayed = RunState(its.state.plan, its.state.run_id)
    try:
        for record in its.records:
            apply(replayed, record)
    except (LookupError, AssertionError) as error:
        yield f"promise 4: the records of {its.state.run_id} do not follow each other: {error!r}"
        return
    if replayed != its.state:
        yield f"promise 4: {its.state.run_id} is not the sum of its records"
    elif [*map(id, replayed.undelivered)] != [*map(id, its.state.undelivered)]:
        yield f"promise 4: {its.state.run_id} replayed has other events left"


# ---------------------------------------------------------------- promise 2


def _each_body_once(world: World, its: Watched) -> Iterator[str]:
    run = its.state.run_id
    began: Counter[int] = Counter()
    ended: Counter[int] = Counter()
    for record in its.records:
        if isinstance(record, records.Started):
            began[record.delivery] += 1
        elif isinstance(record, ENDS):
            ended[record.delivery] += 1
    if began != ended:
        yield f"promise 2: {run}: a body that ended twice, or never: {began - ended or ended - began}"
    attempts = Counter(page.number for page in world.diary.of_run("pages", run))
    lent = {page.number for page in world.diary.pages if page.step in {"fetch", "spread"}}
    lacking = {r.delivery for r in its.records if isinstance(r, records.Started)} - attempts.keys()
    for number, count in attempts.items():
        if count > began[number] or (count < began[number] and number not in lent):
            yield f"promise 2: {run} #{number}: {count} bodies, {began[number]} on record"
    for record in its.records:
        if (
            isinstance(record, records.Started)
            and record.delivery in lacking
            and record.step not in {"fetch", "spread"}  # it may not get what it is to be lent
        ):
            yield f"promise 2: {run}: {record.step}#{record.delivery} has no body"
    order = [(p.step, p.number) for p in world.diary.of_run("pages", run)]
    on_record = [(r.step, r.delivery) for r in its.records if isinstance(r, records.Started)]
    for step in its.state.steps:
        if step in {"fetch", "spread"}:
            continue
        bodies = [number for name, number in order if name == step]
        if bodies != [number for name, number in on_record if name == step]:
            yield f"promise 4: {run}: bodies of {step!r} begin in another order than on record"


# ---------------------------------------------------------------- promise 3: events


def _nothing_is_dropped(world: World, life: Life, its: Watched) -> Iterator[str]:
    run, diary = life.run.run_id, world.diary
    decided = next((n for n, r in enumerate(its.records) if isinstance(r, records.Decided)), None)
    drains = its.state.plan.on_stop == "drain" and isinstance(its.state.outcome, records.Stopped)
    seen = {id(event) for page in diary.of_run("pages", run) for event in page.inputs}
    seen |= {id(event) for where, event in diary.answers if where == run}
    seen |= {id(event) for event in life.run.undelivered}
    seen |= {id(event) for event in life.shown}
    for record in its.records:
        match record:
            case records.Emitted(_, _, event, _, to) | records.Completed(_, _, event, _, to):
                if any(its.state.plan.step[name].gather is not None for name in to):
                    seen.add(id(event))  # a fan-in that has fired takes no more
            case _:
                pass
    cancelled_rest = any(isinstance(record, records.Dropped) for record in its.records)
    on_record = {id(r.event) for r in its.records if isinstance(r, records.Emitted)}
    lent = {id(event) for event in _held_by_what_was_never_lent(its)}
    resolved = {
        id(r.event)
        for r in its.records
        if isinstance(r, records.Emitted | records.Completed) and r.resolves
    }
    for sent in diary.of_run("sent", run):
        if sent.late and not drains and not sent.held:
            yield f"promise 3: {run} took {sent.event!r} after its decision"
        if sent.held:
            page = sent.by
            if page.raised is not None and id(sent.event) in on_record:
                yield f"promise 3: {run}: {sent.event!r} was held back, and sent though {page} failed"
            if page.returned is None or page.raised is not None or page.unwanted:
                continue
            if id(sent.event) not in on_record:
                if its.records[decided or 0].at <= (page.ended or 0.0):
                    continue
                yield f"promise 3: {run}: {sent.event!r} was held back, and never sent"
                continue
        elif id(sent.event) not in on_record:
            yield f"promise 3: {run}: {sent.event!r} was accepted, and is not on record"
        if isinstance(sent.event, StopEvent) or cancelled_rest:
            continue
        if id(sent.event) not in seen | lent | resolved:
            yield f"promise 3: {run}: {sent.event!r} was accepted, and is nowhere"
    ends = ends_of(its)
    for page in diary.of_run("pages", run):
        end = ends.get((page.number, page.attempt))
        if page.unwanted and not isinstance(end, records.Interrupted | records.Failed):
            yield f"promise 3: {page} was cancelled by {run} itself, and on record is {end!r}"
        if not isinstance(end, records.Completed):
            continue
        several = isinstance(page.returned, list)
        if page.raised is not None:
            yield f"promise 3: {page} raised {page.raised!r}, and is on record as completed"
        elif several is not isinstance(end.event, records.Listed | list) or (
            not several and page.returned is not end.event
        ):
            yield f"promise 2: {page} returned {page.returned!r}, on record is {end.event!r}"
        returned: list[Any] = page.returned if isinstance(page.returned, list) else [page.returned]
        for event in returned:
            if event is None or isinstance(event, StopEvent) or cancelled_rest:
                continue
            if id(event) not in seen | lent | resolved:
                yield f"promise 3: {run}: {page} returned {event!r}, and it is nowhere"


def _held_by_what_was_never_lent(its: Watched) -> Iterator[object]:
    """Events whose body got not so far as to begin: its resources failed."""
    number_of: dict[int, object] = {}
    for record in its.records:
        if isinstance(record, records.Emitted | records.Completed):
            for number, _ in enumerate(record.to, record.first):
                number_of[number] = record.event
    for record in its.records:
        if isinstance(record, records.Started) and record.step in {"fetch", "spread"}:
            yield number_of[record.delivery]
