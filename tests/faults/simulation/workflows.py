"""The programs: what people write workflows for, small, and with every number thrown by the dice."""

from collections.abc import Callable
from typing import Any

import trio

from plait import Context, StartEvent, StopEvent, Timeout, step

from .conversations import agent, desk, saga
from .events import Chapter, Written
from .fans import crawler, pairs, parts, race
from .options import options
from .world import Program, World, lives


def make(world: World, kind: str, **more: Any) -> Program:
    """Make one workflow object of a kind."""
    scenario = world.scenario
    timeout: Timeout | None = None
    if scenario.timeout is not None:
        timeout = Timeout(scenario.timeout, while_idle=scenario.while_idle)
    on_stop: Any = scenario.on_stop
    world.making = label = f"{kind} {world.next()}"
    flow = KINDS[kind](world)(
        timeout=timeout,
        on_stop=on_stop,
        stream_buffer=scenario.stream_buffer,
        disable_validation=True,  # which event goes where is thrown by the dice as well
        **world.ports(),
        **more,
    )
    flow.world, flow.label = world, label
    return flow


# ---------------------------------------------------------------- a book of workflows


def book(world: World) -> type[Program]:
    dice = world.dice
    chapters, child = dice.randint(1, 2), dice.choice(("agent", "saga", "parts"))
    forgiving, way = dice.random() < 0.4, dice.choice(("await", "block", "child", "forward"))

    class Book(Program):
        @step(**options(world, "begin"))
        @lives
        async def begin(self, ctx: Context, ev: StartEvent) -> Chapter | None:
            for _ in range(chapters):
                world.send(ctx, Chapter(n=world.next()))
            await world.call()
            return None

        @step(**options(world, "write"))
        @lives
        async def write(self, ctx: Context, ev: Chapter) -> Written:
            await world.call()
            flow = make(world, child)
            try:
                await _run(world, ctx, flow, way)
            except Exception as failure:
                if not forgiving:
                    raise
                world.diary.forgiven.append(failure)
            return Written(n=world.next(), of=chapters)

        @step(**options(world, "bind"))
        @lives
        async def bind(self, ctx: Context, ev: Written) -> StopEvent | None:
            done = ctx.collect_events(ev, [Written] * ev.of)
            await world.call()
            return None if done is None else StopEvent(result="bound")

    return Book


async def _run(world: World, ctx: Context[Any], flow: Program, way: str) -> None:
    """Run a workflow inside a step, in one of the ways there are."""
    if way in {"child", "forward"}:
        await ctx.run_child(flow, forward_events=way == "forward")
        return
    run = flow.run(run_id=f"{ctx.run_id}-{world.next()}")
    world.adopt(run, flow)
    if way == "await":
        await run
        return
    async with run:
        await trio.sleep(world.dice.choice((0.0, 1.0)))
        if world.dice.random() < 0.2:
            run.cancel()


KINDS: dict[str, Callable[[World], type[Program]]] = {
    "agent": agent,
    "crawler": crawler,
    "saga": saga,
    "parts": parts,
    "pairs": pairs,
    "book": book,
    "race": race,
    "desk": desk,
}
