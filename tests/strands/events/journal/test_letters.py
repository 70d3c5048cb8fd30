"""Answers that come before the run that they are for: they lie in the mailbox around it, and are handed over."""

import anyio
import pytest

from plait import (
    Context,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from plait._kernel.records import HandedOver
from plait.errors import WorkflowRuntimeError
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A
from tests.strands.events.journal.lives import Held, Kept, entries_of, live_for


class Question(InputRequiredEvent):
    pass


class Answer(HumanResponseEvent):
    n: int


class Other(HumanResponseEvent):
    n: int


class Takes(Workflow):
    """A step takes an answer."""

    @step
    async def ask(self, ev: StartEvent) -> Question:
        return Question()

    @step
    async def take(self, ev: Answer) -> StopEvent:
        return StopEvent(result=ev.n)


class Waits(Workflow):
    """A body waits for an answer, after a while in which it is busy."""

    @step
    async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
        await anyio.sleep(1)
        answer = await ctx.wait_for_event(Answer, waiter_event=Question())
        return StopEvent(result=answer.n)


class Between(Workflow):
    """A run around a run."""

    def __init__(self, child, **options):
        super().__init__(**options)
        self.child = child

    @step
    async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
        return StopEvent(result=await ctx.run_child(self.child(), forward_events=True))


class Parent(Workflow):
    """Runs its children one after the other, each after a second; a human may also be for itself."""

    def __init__(self, *children, waits=False, **options):
        super().__init__(**options)
        self.children, self.waits = children, waits

    @step
    async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
        results = []
        if self.waits:
            results.append((await ctx.wait_for_event(Answer, waiter_event=Question())).n)
        for child in self.children:
            await anyio.sleep(1)
            results.append(await ctx.run_child(child(), forward_events=True))
        return StopEvent(result=results)


def handed(run):
    """Watch what a run hands over."""
    found = []
    run.observe(lambda record: found.append(record) if isinstance(record, HandedOver) else None)
    return found


@in_virtual_time
@pytest.mark.parametrize("journal", [None, Kept])
async def test_an_answer_that_comes_before_the_child(journal):
    """It need not be resumed for that: whoever knows what will be asked may answer early."""
    run = Parent(Takes, journal=journal and journal()).run()
    found = handed(run)
    async with run:
        await anyio.sleep(0.5)
        run.send_event(Answer(n=5))
        assert run.undelivered == (Answer(n=5),)
        assert await run.result() == [5]
    assert [(record.event, record.letter) for record in found] == [(Answer(n=5), 0)]
    assert run.undelivered == ()


@in_virtual_time
async def test_the_oldest_first_and_only_what_the_child_takes():
    """The rest stays where it is, for whoever comes next."""
    run = Parent(Takes, Takes).run()
    async with run:
        await anyio.lowlevel.checkpoint()
        for event in (Other(n=1), Answer(n=2), Other(n=3), Answer(n=4)):
            run.send_event(event)
        await anyio.sleep(1.5)
        run.send_event(Answer(n=6))
        assert await run.result() == [2, 6]
    assert run.undelivered == (Other(n=1), Other(n=3))


@in_virtual_time
async def test_a_grandchild_is_reached():
    """Letters lie in the outermost run, and go to the one that takes them."""
    run = Parent(lambda: Between(Takes)).run()
    found = handed(run)
    async with run:
        await anyio.lowlevel.checkpoint()
        run.send_event(Answer(n=5))
        assert await run.result() == [5]
    assert len(found) == 1


@in_virtual_time
async def test_what_cannot_be_kept_is_refused_as_ever():
    """The mailbox takes what may be asked for, and no other event."""
    async with Parent(Takes).run() as run:
        await anyio.lowlevel.checkpoint()
        with pytest.raises(WorkflowRuntimeError):
            run.send_event(A(n=1))
        run.send_event(Answer(n=1))


CHILDREN = {"takes": Takes, "waits": Waits, "between": lambda: Between(Waits)}


@in_virtual_time
@pytest.mark.parametrize("child", CHILDREN.values(), ids=CHILDREN)
@pytest.mark.parametrize("late", [0, 0.5, 1.5, 2.5])
async def test_an_answer_in_the_next_life(child, late):
    """Before the child is there again, before its body waits again, and after that."""
    journal = Kept()
    await live_for(5, Parent(child, journal=journal).run(run_id="r"))
    async with Parent(child, journal=journal).resume("r") as run:
        await anyio.sleep(late)
        run.send_event(Answer(n=5))
        with anyio.fail_after(9):
            assert await run.result() == [5]


class SlowlyRead(Kept):
    """A journal that takes three seconds to say that it has no more of a child."""

    async def read(self, stream, *, after=0, limit=1000):
        if stream != "r" and after:
            await anyio.sleep(3)
        return await super().read(stream, after=after, limit=limit)


@in_virtual_time
@pytest.mark.parametrize("child", CHILDREN.values(), ids=CHILDREN)
async def test_an_answer_while_the_child_is_being_read(child):
    """Nobody knows yet what it takes: the answer waits where it is."""
    journal = Kept()
    await live_for(5, Parent(child, journal=journal).run(run_id="r"))
    async with Parent(child, journal=SlowlyRead(journal.appends)).resume("r") as run:
        await anyio.sleep(2)
        run.send_event(Answer(n=5))
        with anyio.fail_after(20):
            assert await run.result() == [5]


@in_virtual_time
async def test_each_wait_that_will_be_begun_again_has_its_answer():
    """One answer is for one of them; the next one is for another child."""

    class Both(Workflow):
        @step
        async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
            results = []

            async def one():
                results.append(await ctx.run_child(Waits(), forward_events=True))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(one)
                await anyio.sleep(0.1)
                tasks.start_soon(one)
            return StopEvent(result=sorted(results))

    journal = Kept()
    await live_for(5, Both(journal=journal).run(run_id="r"))
    async with Both(journal=journal).resume("r") as run:
        await anyio.sleep(0.5)
        run.send_event(Answer(n=1))
        run.send_event(Answer(n=2))
        run.send_event(Answer(n=3))
        with anyio.fail_after(9):
            assert await run.result() == [1, 2]
    assert run.undelivered == (Answer(n=3),)


@in_virtual_time
async def test_what_the_run_itself_will_ask_for_is_its_own():
    """A wait that the parent will begin again comes before its children, as an open one does."""

    class Beside(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> list[A]:
            return [A(n=0), A(n=1)]

        @step
        async def work(self, ctx: Context, ev: A) -> StopEvent | None:
            if ev.n == 0:
                await anyio.sleep(1)
                own = await ctx.wait_for_event(Answer, waiter_event=Question())
                return StopEvent(result=own.n)
            await ctx.run_child(Takes(), forward_events=True)
            return None

    journal = Kept()
    await live_for(5, Beside(journal=journal).run(run_id="r"))
    async with Beside(journal=journal).resume("r") as run:
        await anyio.sleep(0.5)
        run.send_event(Answer(n=7))
        with anyio.fail_after(9):
            assert await run.result() == 7


@in_virtual_time
async def test_wherever_the_process_is_killed_the_letter_arrives_once():
    """The child has it when the parent has it no more: that is one append."""
    journal = Kept()
    async with Parent(Takes, Waits, journal=journal).run(run_id="r") as run:
        await anyio.lowlevel.checkpoint()
        run.send_event(Answer(n=5))
        await anyio.sleep(4)
        run.send_event(Answer(n=6))
        assert await run.result() == [5, 6]
    (both,) = (
        {entry.stream for entry in entries}
        for entries in journal.appends
        if any(entry.kind == "event.handed_over" for entry in entries)
    )
    assert len(both) == 2
    for number in range(1, len(journal.appends) + 1):
        left = journal.killed_after(number)
        sent = sum(b"Answer" in e.body for e in entries_of(left, "r") if e.kind == "event.emitted")
        async with Parent(Takes, Waits, journal=left).resume("r") as run:
            if not sent and not run.is_done():
                run.send_event(Answer(n=5))
            await anyio.sleep(4)
            if not run.is_done():
                run.send_event(Answer(n=6))
            with anyio.fail_after(9):
                assert await run.result() == [5, 6], number
        assert run.undelivered == (), number


@in_virtual_time
async def test_a_letter_is_handed_over_when_it_is_on_disk():
    """Nobody is told before, and a slow disk holds up neither run for ever."""
    journal = Held()
    run = Parent(Takes, journal=journal).run(run_id="r")
    found = handed(run)
    async with run:
        await anyio.sleep(0.5)
        run.send_event(Answer(n=5))
        await anyio.sleep(0.4)
        journal.hold()
        await anyio.sleep(3)
        assert found == []
        journal.release()
        assert await run.result() == [5]
    assert len(found) == 1
