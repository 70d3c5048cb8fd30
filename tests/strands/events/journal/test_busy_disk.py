"""While the disk is busy: who waits for it, and who goes on with what is there already."""

import anyio
import pytest

from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A, B
from tests.strands.events.journal.lives import Held, Moment

SIZE = 200


class Gather(Workflow):
    """It collects what was sent, and tells who has run."""

    def __init__(self, **options):
        super().__init__(**options)
        self.log = []
        self.gate = anyio.Event()

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> A | None:
        for n in range(SIZE):
            ctx.send_event(A(n=n))

    async def gather(self, ctx, ev):
        await self.gate.wait()
        self.log.append((ev.n, ctx.idempotency_key))
        got = ctx.collect_events(ev, {A: SIZE})
        return None if got is None else B(n=sum(one.n for one in got))

    @step
    async def end(self, ev: B) -> StopEvent:
        self.log.append("end")
        return StopEvent(result=ev.n)


class OneByOne(Gather):
    @step(num_workers=1)
    async def gather(self, ctx: Context, ev: A) -> B | None:
        return await super().gather(ctx, ev)


class Several(Gather):
    @step(num_workers=8)
    async def gather(self, ctx: Context, ev: A) -> B | None:
        return await super().gather(ctx, ev)


@in_virtual_time
@pytest.mark.parametrize("kind", [OneByOne, Several])
async def test_bodies_do_not_wait_for_each_others_ends(kind):
    """What they were given is on disk. What they returned is not, and nobody sees it."""
    journal = Held()
    flow = kind(journal=journal)
    async with flow.run(run_id="r") as run:
        await anyio.wait_all_tasks_blocked()
        journal.hold()
        flow.gate.set()
        await anyio.wait_all_tasks_blocked()
        seen, done = [n for n, _ in flow.log], run.is_done()
        journal.release()
        assert await run.result() == sum(range(SIZE))
    assert (sorted(seen), done) == ([*range(SIZE)], False)
    assert flow.log[-1] == "end"


@in_virtual_time
@pytest.mark.parametrize("kind", [OneByOne, Several])
async def test_those_whose_ends_were_not_on_disk_run_again(kind):
    """The last ones, with the same keys, to the same result: wherever the process is killed."""
    journal = Held()
    flow = kind(journal=journal)
    async with flow.run(run_id="r") as run:
        await anyio.wait_all_tasks_blocked()
        sent = len(journal.appends)
        journal.hold()
        flow.gate.set()
        await anyio.wait_all_tasks_blocked()
        journal.release()
        await run
    for kept in (sent, sent + 1, sent + SIZE // 2, len(journal.appends)):
        again = kind(journal=journal.killed_after(kept))
        again.gate.set()
        assert await again.resume("r") == sum(range(SIZE))
        begun = [one for one in again.log if one != "end"]
        first = [one for one in flow.log if one != "end"]
        assert sorted(begun) == sorted(first[SIZE - len(begun) :])
        assert len(begun) >= SIZE - (kept - sent)


class Round(Event):
    n: int


class Rounds(Workflow):
    """Each body sends the next one to its own step."""

    def __init__(self, **options):
        super().__init__(**options)
        self.log = []
        self.begun = Moment()
        self.gate = anyio.Event()

    @step(num_workers=1)
    async def go(self, ev: StartEvent | Round) -> Round | StopEvent:
        n = ev.n if isinstance(ev, Round) else 0
        self.log.append(n)
        self.begun.set()
        await self.gate.wait()
        return StopEvent(result=n) if n == 3 else Round(n=n + 1)


@in_virtual_time
async def test_a_worker_waits_for_what_it_has_returned_itself():
    """What a body returns is seen by nobody before it is on disk, not even by its own step."""
    journal = Held()
    flow = Rounds(journal=journal)
    async with flow.run() as run:
        await flow.begun.wait()
        journal.hold()
        flow.gate.set()
        await anyio.wait_all_tasks_blocked()
        assert flow.log == [0]
        journal.release()
        assert await run.result() == 3
    assert flow.log == [0, 1, 2, 3]
