"""What is over is gone: runs, and all that belonged to them, and what a run has done with.

Two ways to be gone. By the counting of references alone, at once: a run that has given a result, and
what a run has done with while it goes on (events, contexts of attempts, answers, batches). At the next
collection: what has failed, since a traceback leads to frames, and those to what raised it.
"""

import gc
import weakref

import anyio
import pytest
import trio

import plait
from plait import (
    Context,
    Event,
    HumanResponseEvent,
    StartEvent,
    StopEvent,
    Workflow,
    catch_error,
    step,
)
from plait._engine.attempt import Attempt
from plait.errors import WorkflowCancelledByUser, WorkflowTimeoutError
from plait.events import StepFailedEvent
from plait.retry import retry_policy, stop_after_attempt, wait_fixed
from plait.testing import run as in_virtual_time
from tests.engine.hanging import no_test_hangs as no_test_hangs
from tests.faults.census import counting_references


class Boom(Exception):  # noqa: N818 - it is one
    pass


class Thing:
    """A result that can be watched."""


class Item(Event):
    n: int


# ---------------------------------------------------------------- what is collectable


class Flow(Workflow):
    """Ends as it is told to, and remembers weakly what it was given."""

    def __init__(self, how, **options):
        super().__init__(**options)
        self.how = how
        self.seen = []
        self.runs = []

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Item | None:
        for n in range(3):
            ctx.send_event(Item(n=n))

    @step
    async def work(self, ctx: Context, ev: Item) -> StopEvent | None:
        self.seen.append(weakref.ref(ev))
        ctx.write_event_to_stream(ev)
        await ctx.store.set("last", ev)
        if ev.n < 2:
            return None
        match self.how:
            case "fails":
                raise Boom
            case "sleeps":
                await anyio.sleep_forever()
            case "cancelled":
                self.runs[0]().cancel()
                await anyio.sleep_forever()
        thing = Thing()
        self.seen.append(weakref.ref(thing))
        return StopEvent(result=thing)


async def awaited(run):
    await run


async def in_a_block(run):
    async with run:
        assert [event async for event in run.stream_events()]
        await run


async def in_a_nursery(run):
    async with trio.open_nursery() as nursery:
        run.start_soon(nursery)


async def in_a_runtime(run):
    await run


OWNERS = [awaited, in_a_block, in_a_nursery, in_a_runtime]
ENDS = {
    "stops": Boom,
    "fails": Boom,
    "sleeps": WorkflowTimeoutError,
    "cancelled": WorkflowCancelledByUser,
}


async def lived(how, owner, refs):
    """Have a run come to its end, with weak references to all that belonged to it."""
    flow = Flow(how, timeout=5 if how == "sleeps" else None)

    async def live():
        run = flow.run()
        flow.runs.append(weakref.ref(run))
        refs.update(run=run, shell=run._shell, store=run.ctx.store, flow=flow)
        for name, it in [*refs.items()]:
            refs[name] = weakref.ref(it)
        try:
            await owner(run)
        except* ENDS[how] as group:
            refs["error"] = weakref.ref(group.exceptions[0])

    if owner is in_a_runtime:
        async with plait.open_runtime():
            await live()
    else:
        await live()
    refs |= {f"given {n}": ref for n, ref in enumerate(flow.seen)}


def alive(refs):
    return {name for name, ref in refs.items() if ref() is not None}


@pytest.mark.parametrize("owner", OWNERS, ids=lambda owner: owner.__name__)
@pytest.mark.parametrize("how", ENDS)
def test_what_belonged_to_a_run_is_freed(how, owner):
    """At once after a result; with an error, whose traceback leads to the run, at the next collection."""

    async def main():
        refs = {}
        await lived(how, owner, refs)
        await trio.lowlevel.checkpoint()
        assert len(refs) >= 7
        if how != "stops":
            gc.collect()
        assert alive(refs) == set()

    with counting_references():
        in_virtual_time(main)


def test_a_run_that_never_started_is_freed_at_the_next_collection():
    run = Flow("stops").run()
    refs = {"run": weakref.ref(run), "shell": weakref.ref(run._shell)}
    run._tried = True  # else it warns
    del run
    gc.collect()
    assert alive(refs) == set()


async def test_a_reader_and_a_trace_keep_what_they_show_and_no_more():
    flow = Flow("stops")
    run = flow.run()
    trace = run.trace()
    await run
    stream = run.stream_events()
    gone = weakref.ref(run), weakref.ref(flow)
    del run, flow
    gc.collect()
    assert trace.records
    assert [event async for event in stream][:-1] == [Item(n=n) for n in range(3)]
    del stream, trace
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


# ---------------------------------------------------------------- while a run goes on


class Answer(HumanResponseEvent):
    n: int


class Child(Workflow):
    @step
    async def s(self, ev: StartEvent) -> StopEvent:
        return StopEvent(result=Thing())


class Long(Workflow):
    """Does one thing after the other, and looks at the end what is still alive."""

    def __init__(self, acts):
        super().__init__()
        self.acts = acts
        self.refs = {}

    def see(self, **things):
        self.refs |= {name: weakref.ref(thing) for name, thing in things.items()}

    @step
    async def start(self, ev: StartEvent) -> Item:
        return Item(n=0)

    @step(num_workers=1, retry_policy=retry_policy(wait=wait_fixed(1), stop=stop_after_attempt(2)))
    async def work(self, ctx: Context, ev: Item) -> Item | StopEvent:
        self.see(**{f"item {ev.n}": ev})
        if ev.n == len(self.acts):
            self.at_once = alive(self.refs)
            self.attempts = count(Attempt, ctx._attempt.shell)
            self.contexts = count(Context, ctx._attempt.shell)
            gc.collect()
            self.collected = alive(self.refs)
            return StopEvent()
        match self.acts[ev.n]:
            case "retry" if ctx.retry_info().retry_number == 0:
                self.fail("retried")
            case "fail":
                self.fail("failed")
            case "wait":
                ctx.send_event(Answer(n=1))
                answer = await ctx.wait_for_event(Answer)
                self.see(answer=answer)
            case "run":
                self.see(result=await Child().run())
            case "collect":
                batch = ctx.collect_events(ev, [Item])
                self.see(batched=batch[0])
        return Item(n=ev.n + 1)

    def fail(self, name):
        error = Boom()
        self.see(**{name: error})
        try:
            raise error
        finally:
            del error  # else this frame and the error keep each other

    @catch_error(max_recoveries=2)
    async def mend(self, ev: StepFailedEvent) -> Item:
        self.see(failure=ev)
        return Item(n=ev.input_event.n + 1)


def count(kind, shell):
    """Count what the collector knows of a run; what another test has left is not this one's."""
    slot = "shell" if kind is Attempt else "_shell"
    alive = [each for each in gc.get_objects() if type(each) is kind]
    return sum(getattr(each, slot) is shell for each in alive)


#: A worker knows what it was given and what it returned last, until it gets the next one: that of
#: `start` has returned the first item, that of `work` has the last.
LAST = {"item 0", "item 11", "item 12"}


def test_what_a_run_has_done_with_is_freed_at_once():
    async def main():
        flow = Long(["wait", "collect", "go on"] * 4)
        await flow.run()
        assert len(flow.refs) == 15
        assert flow.at_once <= LAST
        assert flow.attempts <= 2, "one that lives, and one that `start` has had"
        assert flow.contexts == 2, "that of the run, and that of the attempt"

    with counting_references():
        in_virtual_time(main)


def test_what_has_failed_and_what_has_run_inside_is_freed_at_the_next_collection():
    """The traceback of a failed attempt leads to its context, and that to its delivery."""

    async def main():
        flow = Long(["retry", "run", "fail", "retry", "run", "fail", *["go on"] * 6])
        await flow.run()
        assert {"retried", "result", "failed", "failure"} <= {*flow.refs}
        handled = {"failure", "failed", "item 5", "item 6"}  # by the worker of `mend`, at last
        assert flow.collected <= LAST | handled

    with counting_references():
        in_virtual_time(main)
