"""What must hold of how runs end: failures, results, times, streams, resources, owners."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import trio

from plait import StopEvent
from plait._kernel import records
from plait._kernel.life import Phase
from plait._kernel.records import Record
from plait.errors import (
    PlaitError,
    PlaitInternalError,
    StepTimeoutError,
    WorkflowCancelledByUser,
    WorkflowRuntimeError,
    WorkflowStalledError,
    WorkflowTimeoutError,
)
from plait.events import (
    WorkflowCancelledEvent,
    WorkflowFailedEvent,
    WorkflowTimedOutEvent,
)

from .injected import Doom, Injected
from .watch import Watched
from .world import Life, World

#: What goes into a workflow here, and what it says of itself.
WORKFLOWS_OWN = (Doom, Injected, WorkflowCancelledByUser, WorkflowTimeoutError)
#: How an attempt may end.
ENDS = (
    records.Completed,
    records.Failed,
    records.Interrupted,
    records.Retrying,
    records.Recovered,
)


def parts(error: object) -> Iterator[BaseException]:
    """An exception, and all that are in it if it is a group."""
    if isinstance(error, BaseException):
        yield error
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from parts(inner)


def leaves(error: object) -> Iterator[BaseException]:
    """Those that are no group."""
    return (part for part in parts(error) if not isinstance(part, BaseExceptionGroup))


def ends_of(its: Watched) -> dict[tuple[int, int], Record]:
    """How each attempt of each delivery ended."""
    found: dict[tuple[int, int], Record] = {}
    failures: Counter[int] = Counter()
    for record in its.records:
        if isinstance(record, ENDS):
            failures[record.delivery] += 1
            found[record.delivery, failures[record.delivery]] = record
    return found


# ---------------------------------------------------------------- promise 3: failures


def every_failure_comes_out(world: World, life: Life, its: Watched) -> Iterator[str]:
    run, diary = life.run.run_id, world.diary
    error = life.outcome if isinstance(life.outcome, BaseException) else None
    out = {id(part) for part in parts(error)}
    on_record: set[int] = set()
    for record in its.records:
        if isinstance(record, records.Retrying | records.Recovered | records.Failed):
            cause: BaseException | None = record.error
            while cause is not None:  # of a timeout, of a policy that raises
                on_record |= {id(part) for part in parts(cause)}
                cause = cause.__cause__
        if isinstance(record, records.Failed) and id(record.error) not in out:
            yield f"promise 3: {run}: {record.error!r} of #{record.delivery} does not come out"
    for page in diary.of_run("pages", run):
        for leaf in leaves(page.raised):
            if not isinstance(leaf, (*WORKFLOWS_OWN, PlaitError, trio.Cancelled)):
                yield f"{page} raises {leaf!r}, which nobody has put there"
            if isinstance(leaf, Injected | Doom) and id(leaf) not in on_record:
                yield f"promise 3: {run}: {leaf!r} of {page} is not on record"
    for loan in diary.of_run("loans", run):
        if loan.times_closed != 1:
            yield f"promise 1: {loan.name} of {run} was closed {loan.times_closed} times"
    if error is not None:
        yield from _fair(world, life, error)


def _fair(world: World, life: Life, error: BaseException) -> Iterator[str]:
    """What comes out is what was put in, or what plait says about the workflow."""
    run = life.run.run_id
    known = {id(part) for raised in world.diary.raised for part in parts(raised)}
    known |= {id(refused) for refused in world.diary.refused}
    for leaf in leaves(error):
        if isinstance(leaf, PlaitInternalError):
            yield f"{run}: {leaf!r}"
        elif id(leaf) in known or isinstance(leaf, WORKFLOWS_OWN):
            pass
        elif isinstance(leaf, WorkflowStalledError):
            if world.diary.bodies_of(run=run):
                yield f"promise 3: {run} is stalled, and bodies are running"
            for wait in leaf.waiting:
                if repr(wait.step) not in str(leaf):
                    yield f"promise 3: {run} is stalled, and does not say that {wait.step} waits"
        elif isinstance(leaf, WorkflowRuntimeError) and "nobody cancelled it" in str(leaf):
            if not world.struck["raises a stray Cancelled"]:
                yield f"{run}: {leaf!r}"
        else:
            yield f"{run}: {leaf!r} comes out of nowhere"


# ---------------------------------------------------------------- the end


def the_end(world: World, life: Life, its: Watched) -> Iterator[str]:
    run, state, outcome = life.run.run_id, its.state, life.outcome
    failed = isinstance(outcome, BaseException)
    if state.phase is not Phase.OVER:
        yield f"{run} has ended, and its kernel is {state.phase}"
    last = life.shown[-1] if life.shown else None
    terminal = [type(each) for each in life.shown if each is last]
    if not terminal:
        yield f"{run}: the stream has no last event"
    kinds = [type(leaf) for leaf in leaves(outcome)] if failed else []
    match state.outcome:
        case records.Stopped(event):
            assert isinstance(event, StopEvent)
            if not failed and last is not event:
                yield f"{run}: the stream ends with {last!r}, and not with the stop event"
            if not failed and outcome != event.result:
                yield f"{run}: the result is {outcome!r}, and the stop event has another"
            if failed and not isinstance(last, WorkflowFailedEvent):
                yield f"{run}: has failed after its stop, and the stream ends with {last!r}"
        case records.Crashed():
            if not failed or not isinstance(last, WorkflowFailedEvent):
                yield f"{run} has crashed, and gives {outcome!r} and {last!r}"
        case records.Stalled():
            if WorkflowStalledError not in kinds or not isinstance(last, WorkflowFailedEvent):
                yield f"{run} is stalled, and gives {outcome!r} and {last!r}"
        case records.TimedOut():
            if WorkflowTimeoutError not in kinds or not isinstance(last, WorkflowTimedOutEvent):
                yield f"{run} has timed out, and gives {outcome!r} and {last!r}"
        case records.Cancelled(by_owner):
            if not by_owner and WorkflowCancelledByUser not in kinds:
                yield f"{run} was cancelled, and gives {outcome!r}"
            if not isinstance(last, WorkflowCancelledEvent | WorkflowFailedEvent):
                yield f"{run} was cancelled, and the stream ends with {last!r}"
        case _:
            yield f"{run} has ended without a decision"
    yield from _in_time(world, life, its)
    if isinstance(state.outcome, records.Stopped):
        late = [r for r in _after_decision(its) if isinstance(r, records.Failed)]
        if bool(late) > failed:
            yield f"promise 3: {run} gives a result, and a clean-up has failed"


def _in_time(world: World, life: Life, its: Watched) -> Iterator[str]:
    """A run ends when nothing of it is left, and when its owner wants it to."""
    run = life.run.run_id
    *before, closed = its.records
    decided = next((r.at for r in before if isinstance(r, records.Decided)), math.inf)
    lent = [loan.closed or 0.0 for loan in world.diary.of_run("loans", run)]
    last = max(record.at for record in before)
    if closed.at > max(last, *lent, 0.0):
        yield f"promise 1: nothing is left of {run} at {last}, and it ends at {closed.at}"
    if life in world.tops and decided > world.failed_at:
        yield f"promise 1: the block of {run} was left at {world.failed_at}, and it goes on"


def _after_decision(its: Watched) -> Iterator[Record]:
    decided = False
    for record in its.records:
        if decided:
            yield record
        decided = decided or isinstance(record, records.Decided)


def times(its: Watched) -> Iterator[str]:
    """The clock: a retry when it is due, records in the order of time, the deadline when it is."""
    run, due, last = its.state.run_id, {}, 0.0
    for record in its.records:
        if record.at < last:
            yield f"{run}: time goes back at {record}"
        last = record.at
        if isinstance(record, records.Retrying):
            due[record.delivery] = record.due
        elif isinstance(record, records.Requeued) and record.at != due.pop(record.delivery):
            yield f"{run}: the retry of #{record.delivery} comes at {record.at}"
        elif isinstance(record, records.Dropped):
            for delivery in record.deliveries:
                due.pop(delivery, None)
        elif isinstance(record, records.Decided):
            for delivery, when in due.items():
                if when < record.at:
                    yield f"{run}: the retry of #{delivery} was due at {when}, and never came"


def clocked(world: World, its: Watched, now: float) -> float:
    """The time of a run on which its timeout counts."""
    idle, since = 0.0, math.inf
    for record in its.records:
        if record.at > now:
            break
        if isinstance(record, records.Idled) and not world.scenario.while_idle:
            since = min(since, record.at)
        elif _moves_on(record):
            idle += max(0.0, record.at - since)
            since = math.inf
    return now - its.records[0].at - idle - max(0.0, now - since)


def _moves_on(record: Record) -> bool:
    """Is a run that was idle no longer so?"""
    if isinstance(record, records.Emitted):
        return bool(record.to or record.resolves)
    still = records.Idled | records.Waited | records.Streamed | records.Permitted
    return not isinstance(record, still)


def timeouts(world: World, life: Life, its: Watched) -> Iterator[str]:
    """Nobody is timed out too early."""
    run = life.run.run_id
    limit = life.run._shell.timeout
    for record in its.records:
        if isinstance(record, records.Decided) and isinstance(record.outcome, records.TimedOut):
            took = clocked(world, its, record.at)
            queued = world.scenario.num_concurrent_runs is not None
            if limit is None or took < limit or (took > limit and not queued):
                yield f"{run}: its timeout of {limit} s came after {took} s"
    began: dict[tuple[int, int], float] = {}
    attempts: Counter[int] = Counter()
    for record in its.records:
        if isinstance(record, records.Started):
            attempts[record.delivery] += 1
            began[record.delivery, attempts[record.delivery]] = record.at
    for page in world.diary.of_run("pages", run):
        end = ends_of(its).get((page.number, page.attempt))
        stray = page.fault is not None and page.fault.what == "raises a stray Cancelled"
        if page.several or stray:  # a clean-up without a timeout may be overtaken by one
            continue
        if not (page.cancelled and isinstance(getattr(end, "error", None), StepTimeoutError)):
            continue
        limit = world.timeouts.get((life.flow.label, page.step))
        took = page.cancelled_at - began[page.number, page.attempt]
        if limit is None or took < limit:
            yield f"{page} was timed out after {took} s, and may run {limit} s"


# ---------------------------------------------------------------- streams


def streams(world: World, life: Life, its: Watched) -> Iterator[str]:
    run = life.run.run_id
    if [type(event) for event in life.shown].count(WorkflowCancelledEvent) > 1:
        yield f"{run}: two ends in one stream"
    written = [id(r.event) for r in its.records if isinstance(r, records.Streamed)]
    shown = [id(event) for event in life.shown]
    rest = iter(shown)
    if not all(event in rest for event in written):
        yield f"promise 3: {run}: the stream lacks what was written, or has it in another order"
    for reading in world.diary.of_run("readings", run):
        if not reading.opened:
            yield f"{run}: a reader never came to its stream"
        taken = [id(event) for event in reading.events]
        if not reading.left and not reading.ended:
            yield f"promise 3: {run}: a reader that {reading.what} was never told of the end"
        if taken != (shown[: len(taken)] if reading.left else shown):
            yield f"promise 3: {run}: a reader that {reading.what} has seen another stream"


# ---------------------------------------------------------------- resources and owners


def loans(world: World) -> Iterator[str]:
    for run in dict.fromkeys(loan.run for loan in world.diary.loans):
        loans: list[Any] = world.diary.of_run("loans", run)
        of_run = [loan for loan in loans if loan.scope == "run"]
        names = Counter(loan.name for loan in of_run)
        if any(count > 1 for count in names.values()):
            yield f"{run} has two resources of one kind: {names}"
        for loan in loans:
            if loan.in_use:
                yield f"promise 1: {loan.name} of {run} is closed while bodies are using it"
        closed = [loan.closed for loan in of_run if loan.closed is not None]
        if closed != sorted(closed, reverse=True):
            yield f"{run}: the oldest resource is closed first"


def owners(world: World) -> Iterator[str]:
    """What went wrong with a run comes out of its owner too, unless somebody was told before."""
    out = {id(part) for part in parts(world.out)}
    for life in world.tops:
        error = life.outcome
        if not isinstance(error, BaseException) or isinstance(error, WorkflowCancelledByUser):
            continue
        if id(error) not in out and not out & {id(part) for part in parts(error)}:
            yield f"promise 3: {error!r} of {life.run.run_id} does not come out of its owner"
    for life in world.tops:
        outcome = life.run._shell.state.outcome
        by_owner = isinstance(outcome, records.Cancelled) and outcome.by_owner
        if (
            by_owner
            and isinstance(life.outcome, WorkflowCancelledByUser)
            and id(life.outcome) in out
        ):
            yield f"promise 1: the owner of {life.run.run_id} is not told of its own cancellation"
    for life in world.tops[:1]:
        if world.out is not None:
            yield from _fair(world, life, world.out)
