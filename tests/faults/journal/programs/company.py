"""Programs that are not alone: with humans, with other runs, with the store."""

from __future__ import annotations

from typing import Annotated

from plait import (
    Collect,
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
    step,
)

from .program import Case, Program


class Part(Event):
    n: int


class Done(Event):
    n: int
    text: str = ""


class Question(InputRequiredEvent):
    about: int


class Answer(HumanResponseEvent):
    about: int
    text: str


class Bell(HumanResponseEvent):
    n: int


class Asking(Program):
    """Three bodies ask a human, one of them twice; each takes its answer and no other."""

    others = (Question, Answer)

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> list[Part]:
        async with self.body(ctx):
            return [Part(n=n) for n in range(3)]

    @step(num_workers=2)
    async def ask(self, ctx: Context, ev: Part) -> Done:
        async with self.body(ctx, ev.n):
            await self.sleep(ev.n)
            text = await self._ask(ctx, ev.n)
            if ev.n == 1:
                text += await self._ask(ctx, 11)
            await self.sleep(0.5)
        return Done(n=ev.n, text=text)

    async def _ask(self, ctx: Context, about: int) -> str:
        answer = await ctx.wait_for_event(
            Answer,
            waiter_event=Question(about=about),
            waiter_id=f"about {about}",
            requirements={"about": about},
            timeout=None,
        )
        self.witness.note("answer", ctx, answer.text)
        return answer.text

    @step
    async def end(
        self, ctx: Context, evs: Annotated[list[Done], Collect(order="input")]
    ) -> StopEvent:
        async with self.body(ctx):
            return StopEvent(result=[ev.text for ev in evs])


ASKING = Case(
    make=Asking,
    asks=True,
    right=lambda got: got == ["yes to 0", "yes to 1yes to 11", "yes to 2"],
    streams=tuple(f"Question(about={n})" for n in (0, 1, 2, 11)),
)


class Waiting(Program):
    """A body waits in vain, then for another step; what comes too early lies in the mailbox."""

    others = (Bell,)

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> list[Part]:
        async with self.body(ctx):
            return [Part(n=n) for n in range(2)]

    @step(num_workers=1)
    async def work(self, ctx: Context, ev: Part) -> Done:
        async with self.body(ctx, ev.n):
            if ev.n == 1:
                await self.sleep(1)
                ctx.send_event(Bell(n=7))
                await self.sleep(1)
                ctx.send_event(Bell(n=8))
                return Done(n=1)
            try:
                await ctx.wait_for_event(Bell, requirements={"n": 99}, timeout=5 * self.unit)
            except TimeoutError:
                self.witness.note("in vain", ctx, 5)
            bell = await ctx.wait_for_event(Bell, requirements={"n": 7}, timeout=500)
            await self.sleep(1)
            other = await ctx.wait_for_event(Bell, timeout=500)
        return Done(n=bell.n + other.n)

    @step
    async def end(self, ctx: Context, evs: list[Done]) -> StopEvent:
        async with self.body(ctx):
            return StopEvent(result=sorted(ev.n for ev in evs))


WAITING = Case(make=Waiting, right=lambda got: got == [1, 15])


class ChapterStart(StartEvent):
    n: int


class Line(Event):
    n: int


class Written(Event):
    n: int


class Chapter(Program):
    """A child: two lines, and their sum."""

    @step
    async def start(self, ctx: Context, ev: ChapterStart) -> list[Line]:
        async with self.body(ctx):
            await self.sleep(0.5)
        return [Line(n=10 * ev.n), Line(n=10 * ev.n + 1)]

    @step(num_workers=1)
    async def line(self, ctx: Context, ev: Line) -> Written:
        async with self.body(ctx, ev.n):
            await self.sleep(1)
            ctx.write_event_to_stream(ev)
        return Written(n=ev.n)

    @step
    async def end(self, ctx: Context, evs: list[Written]) -> StopEvent:
        async with self.body(ctx):
            return StopEvent(result=sum(ev.n for ev in evs))


class Nesting(Program):
    """Each body has children, awaited in both ways, one after the other."""

    others = (Line, Written)

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> list[Part]:
        async with self.body(ctx):
            return [Part(n=n) for n in range(2)]

    @step(num_workers=2)
    async def write(self, ctx: Context, ev: Part) -> Done:
        async with self.body(ctx, ev.n):
            one = await Chapter(self.witness, self.unit).run(n=ev.n)
            await self.sleep(0.5)
            chapter = Chapter(self.witness, self.unit)
            two = await ctx.run_child(chapter, n=ev.n + 5, forward_events=ev.n == 1)
        return Done(n=one + two)

    @step
    async def end(self, ctx: Context, evs: list[Done]) -> StopEvent:
        async with self.body(ctx):
            return StopEvent(result=sorted(ev.n for ev in evs))


NESTING = Case(
    make=Nesting,
    right=lambda got: got == [102, 142],
    streams=("ChildEvent(event=Line(n=60)", "ChildEvent(event=Line(n=61)"),
)


class Keeping(Program):
    """Writes to the store in every way there is; later steps rely on what earlier ones wrote."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Part:
        async with self.body(ctx):
            await ctx.store.set("users.ada.age", 36)
            await ctx.store.set("gone", "soon")
            await self.sleep(1)
            await ctx.store.set("list", [1, 2])
        return Part(n=0)

    @step
    async def change(self, ctx: Context, ev: Part) -> Done:
        async with self.body(ctx, ev.n):
            async with ctx.store.edit_state() as state:
                state.pop("gone", None)
                state["list"] = [*await ctx.store.get("list"), 3][:3]
            await self.sleep(1)
            await ctx.store.set("users.bob.age", 40)
            await self.sleep(1)
        return Done(n=1)

    @step
    async def end(self, ctx: Context, ev: Done) -> StopEvent:
        async with self.body(ctx, ev.n):
            return StopEvent(result=dict(await ctx.store.get_state()))


KEEPING = Case(
    make=Keeping,
    right=lambda got: got == {"users": {"ada": {"age": 36}, "bob": {"age": 40}}, "list": [1, 2, 3]},
)
