"""Who is around the runs: owners that start them, people who answer, readers of their streams, cuts."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import trio

import plait
from plait import Event
from plait._kernel import records
from plait.errors import WorkflowRuntimeError
from plait.events import WorkflowIdleEvent
from plait.testing import task_tree

from .diary import Reading, Sent
from .events import Approval, Token
from .scenario import DAY, HOUR, Cut, Reader
from .workflows import make
from .world import Life, World, mark

#: People wait that long. Then they cancel.
PATIENCE = 30 * DAY
#: By then everything has ended, or it hangs.
CENTURY = 36_500 * DAY
#: How the tasks of a run are called.
TASKS = ("run ", "step ", "worker", "resource ", "retry of ")


class Dead(Exception):  # noqa: N818 - it is
    """A reader's own failure."""


class Cuts(trio.abc.Instrument):
    """Counts the steps of the scheduler, and has cuts made just before some of them."""

    def __init__(self, world: World, cuts: tuple[Cut, ...]) -> None:
        self.world = world
        self.steps = 0
        self.due = {cut.step: cut for cut in cuts if cut.step}

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Make the cut that is due."""
        self.steps += 1
        if self.steps in self.due:
            make_cut(self.world, self.due.pop(self.steps))


def make_cut(world: World, cut: Cut) -> None:
    """End a run from outside, now."""
    tops = world.tops
    if not tops or all(life.run.is_done() for life in tops) or world.over:
        return
    world.diary.note(f"cut: {cut.what}")
    world.struck[f"cut: {cut.what}"] += 1
    match cut.what:
        case "run.cancel":
            world.dice.choice(tops).run.cancel()
        case "deadline":
            world.scope.deadline = trio.current_time()
        case "scope":
            world.scope.cancel()
        case _:
            world.asked[cut.what].set()


async def _at(world: World, cut: Cut) -> None:
    await trio.sleep(cut.at)
    make_cut(world, cut)


# ---------------------------------------------------------------- owners


async def own(world: World, actors: trio.Nursery, readers: trio.Nursery) -> None:
    """Start the runs, and own them to their end."""
    scenario = world.scenario
    mark.set("the owner's")
    cuts = Cuts(world, scenario.cuts)
    for cut in scenario.cuts:
        if not cut.step:
            actors.start_soon(_at, world, cut)
    actors.start_soon(_lose_patience, world)
    world.nurseries = actors, readers
    trio.lowlevel.add_instrument(cuts)
    try:
        with world.scope:
            await OWNERS[scenario.owner](world)
    except trio.Cancelled:
        raise
    except BaseException as error:  # noqa: BLE001 - it is looked at
        world.out = error
    finally:
        trio.lowlevel.remove_instrument(cuts)


def _flows(world: World) -> list[Any]:
    scenario = world.scenario
    limit = scenario.num_concurrent_runs
    first = make(world, scenario.flow, num_concurrent_runs=limit)
    if scenario.one_object:
        return [first] * scenario.runs
    rest = range(scenario.runs - 1)
    return [first, *(make(world, scenario.flow, num_concurrent_runs=limit) for _ in rest)]


def _made(world: World) -> list[Life]:
    lives = []
    for nth, flow in enumerate(_flows(world)):
        lives.append(world.adopt(flow.run(run_id=f"sim-{nth}"), flow))
        _look_on(world, lives[-1])
    return lives


def _look_on(world: World, life: Life) -> None:
    """Let those come who look on."""
    world.tops.append(life)
    actors, readers = world.nurseries
    actors.start_soon(_answer, world, life)
    if world.scenario.owner != "stepwise":  # there `run_step` has begun by then
        actors.start_soon(_cancel_run, world, life)
    for reader in world.scenario.readers:
        readers.start_soon(_read, world, life, reader)


async def _await(world: World) -> None:
    for life in _made(world):
        await life.run
        _goes_on(world, life)


def _goes_on(world: World, life: Life) -> None:
    """A run whose owner was cancelled has no result: the cancellation goes through."""
    outcome = life.run._shell.state.outcome
    if isinstance(outcome, records.Cancelled) and outcome.by_owner:
        world.diary.wrong(f"promise 1: the owner of {life.run.run_id} was cancelled, and goes on")


async def _block(world: World) -> None:
    for life in _made(world):
        async with life.run as run:
            with trio.move_on_after(world.dice.choice((0.0, 5.0, PATIENCE))):
                await world.asked["body of the block"].wait()
                world.failed_at = trio.current_time()
                raise world.injected("body of the block")
            if world.dice.random() < 0.5:
                await run.result()
        _goes_on(world, life)


async def _nursery(world: World) -> None:
    async with trio.open_nursery() as nursery:
        for life in _made(world):
            life.run.start_soon(nursery)
        left = [life.run.run_id for life in world.tops]

        def one_less() -> None:
            left.pop()
            if not left:
                world.siblings.cancel()

        for life in world.tops:
            life.run._shell.on_end.append(one_less)
        nursery.start_soon(_sibling, world)


async def _sibling(world: World) -> None:
    with world.siblings:
        await world.asked["sibling"].wait()
        raise world.injected("sibling")


async def _runtime(world: World) -> None:
    async with plait.open_runtime() as runtime:
        for nth, flow in enumerate(_flows(world)):
            _look_on(world, world.adopt(flow.run(run_id=f"sim-{nth}"), flow))
        with trio.move_on_after(world.dice.choice((0.0, 5.0, PATIENCE))):
            await world.asked["sibling"].wait()
            world.failed_at = trio.current_time()
            if world.dice.random() < 0.5:
                runtime.cancel()
            else:
                raise world.injected("sibling")


async def _stepwise(world: World) -> None:
    for life in _made(world):
        async with life.run.stepwise() as run:
            while (events := await run.run_step()) is not None:
                world.diary.note(f"a step of {run.run_id} gave {events!r}")


OWNERS = {
    "await": _await,
    "block": _block,
    "nursery": _nursery,
    "runtime": _runtime,
    "stepwise": _stepwise,
}


# ---------------------------------------------------------------- people


async def _lose_patience(world: World) -> None:
    await trio.sleep(PATIENCE)
    for life in world.tops:
        if not life.run.is_done():
            world.struck["patience is lost"] += 1
            world.diary.note(f"{life.run.run_id} has taken too long")
            life.run.cancel()


async def _cancel_run(world: World, life: Life) -> None:
    await life.started.wait()
    await world.asked["cancel_run"].wait()
    await life.run.cancel_run()
    if not life.run.is_done() or world.diary.bodies_of(run=life.run.run_id):
        world.diary.wrong(f"promise 1: cancel_run returned before the end of {life.run.run_id}")


async def _answer(world: World, life: Life) -> None:
    """Answer whatever the run may ask."""
    scenario, run = world.scenario, life.run
    await life.started.wait()
    if scenario.human == "never answers":
        return
    if scenario.human == "answers early":
        for about in range(3):
            say(world, life, Approval(n=world.next(), about=about))
    for turn in range(8):
        await run.wait_idle()
        if run.is_done():
            return
        await trio.sleep(max(1.0, scenario.delay * (30 if "late" in scenario.human else 1)))
        for _ in range(2 if "twice" in scenario.human else 1):
            say(world, life, Approval(n=world.next(), about=turn % 3))


def say(world: World, life: Life, event: Event) -> None:
    """Send an event from outside, if the run takes it."""
    late = world.decided(life.run.run_id)
    try:
        life.run.send_event(event)
    except WorkflowRuntimeError as refused:
        world.diary.refused.append(refused)
        return
    world.diary.sent.append(Sent(life.run.run_id, event, trio.current_time(), None, late))
    world.diary.note(f"the outside sends {event!r} to {life.run.run_id}")


# ---------------------------------------------------------------- readers


async def _read(world: World, life: Life, reader: Reader) -> None:
    reading = Reading(life.run.run_id, reader.what)
    world.diary.readings.append(reading)
    await life.started.wait()
    world.struck[f"a reader {reader.what}"] += 1
    if reader.what == "comes late":
        await trio.sleep(reader.pause)
    if reader.what == "comes after the end":
        await world.ended.wait()
    reading.opened, reading.opened_at = True, trio.current_time()
    with suppress(Dead):
        await _take(life, reader, reading)
    reading.ended = not reading.left
    world.diary.note(f"a reader of {reading.run} that {reader.what} is through")


async def _take(life: Life, reader: Reader, reading: Reading) -> None:
    stream = life.run.stream_events(expose_internal=reader.what == "looks inside")
    while True:
        reading.asking = True
        try:
            event = await anext(stream)
        except StopAsyncIteration:
            return
        finally:
            reading.asking = False
        if isinstance(event, plait.events.InternalDispatchEvent):
            reading.internal.append(event)
            assert not isinstance(event, WorkflowIdleEvent) or event.explanation
            continue
        reading.events.append(event)
        if len(reading.events) == reader.after + 1:
            if reader.what == "dies":
                reading.left = True
                raise Dead
            if reader.what == "leaves":
                await trio.sleep(HOUR)  # writers may come to wait for it
                reading.left = True
                await stream.aclose()
                return
            if reader.what == "stalls":
                await trio.sleep(PATIENCE + 10 * DAY)
        if reader.pause:
            await trio.sleep(reader.pause)


# ---------------------------------------------------------------- all of it


async def main(world: World) -> None:
    """Let a world live, and look at what it leaves."""
    before = task_tree()
    diary = world.diary
    with trio.CancelScope(deadline=CENTURY) as century:
        async with trio.open_nursery() as readers:
            async with trio.open_nursery() as actors:
                await own(world, actors, readers)
                _nothing_is_left(world)
                actors.cancel_scope.cancel()
            world.ended.set()
            diary.note("the owner goes on")
        await _ask_again(world)
    if century.cancelled_caught:
        running = ", ".join(map(str, world.hanging)) or "no body"
        diary.wrong(f"promise 3: it hangs; {running} was running")
    if (after := task_tree()) != before:
        diary.wrong(f"promise 1: tasks are left: {after}")


def _nothing_is_left(world: World) -> None:
    """Promise 1, in the very moment in which the owner goes on."""
    diary = world.diary
    world.over = True
    for page in diary.bodies_of():
        diary.wrong(f"promise 1: {page} outlives the owner of its run")
    for loan in diary.loans:
        if loan.closed is None:
            diary.wrong(f"promise 1: {loan.name} of {loan.run} is open after the end")
    left = [line.strip() for line in task_tree().splitlines()]
    for name in left:
        if name.startswith(TASKS):
            diary.wrong(f"promise 1: task {name!r} outlives the owner of its run")
    for life in world.tops:
        if not life.run.is_done():
            diary.wrong(f"promise 1: {life.run.run_id} has not ended")


async def _ask_again(world: World) -> None:
    """Whoever asks after the end is given the same, and can change nothing."""
    for life in world.lives.values():
        run = life.run
        if not run.is_done():
            continue
        life.outcome = await _outcome(life)
        if await _outcome(life) is not life.outcome:
            world.diary.wrong(f"{run.run_id} has two results")
        life.shown = [event async for event in run.stream_events()]
        with suppress(WorkflowRuntimeError):
            run.send_event(Token(n=0))
            world.diary.wrong(f"{run.run_id} accepts an event after its end")


async def _outcome(life: Life) -> object:
    try:
        return await life.run.result()
    except BaseException as error:
        if isinstance(error, trio.Cancelled):
            raise
        return error
