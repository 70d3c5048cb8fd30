"""Waits for events over a crash at each append: no event is lost, none is given twice."""

from __future__ import annotations

from plait._strands._durable.context import Context
from plait._strands._durable.event import Event
from plait._strands._durable.triggers import TriggerEvent
from tests.parity.clocks import in_virtual_time
from tests.strands.durable.crashing import lives


def message(n):
    return Event(name="msg", data={"n": n})


def number(event):
    return event and event.data["n"]


@in_virtual_time
async def test_buffered_waits():
    def make(app, world):
        @app.create_function(fn_id="fn", trigger=TriggerEvent("begin"))
        async def fn(ctx: Context) -> list[int | None]:
            await ctx.step.send_event("send", [message(1), message(2)])
            await ctx.step.run("between", world.step("between"))
            plain = await ctx.step.wait_for_event("plain", event="msg", timeout=5)
            first = await ctx.step.wait_for_event("w", event="msg", timeout=5, buffer=True)
            await ctx.step.send_event("again", message(3))
            second = await ctx.step.wait_for_event("w", event="msg", timeout=5, buffer=True)
            third = await ctx.step.wait_for_event(
                "w", event="msg", timeout=5, buffer=True, if_exp=lambda e: e.data["n"] > 1
            )
            none = await ctx.step.wait_for_event("w", event="msg", timeout=5, buffer=True)
            return [number(one) for one in (plain, first, second, third, none)]

        return fn

    result, *_ = await lives(make)
    assert result == [None, 1, 2, 3, None]


@in_virtual_time
async def test_a_wait_and_who_ends_it():
    def make(app, world):
        @app.create_function(fn_id="child", trigger=TriggerEvent("never"))
        async def child(ctx: Context) -> str:
            await ctx.step.run("before", world.step("before"))
            await ctx.step.sleep("nap", 1)
            await ctx.step.send_event("send", message(1))
            await ctx.step.run("after", world.step("after"))
            return "sent"

        @app.create_function(fn_id="fn", trigger=TriggerEvent("begin"))
        async def fn(ctx: Context) -> list[object]:
            event, sent = await ctx.group.parallel(
                (
                    lambda: ctx.step.wait_for_event("w", event="msg", timeout=1000),
                    lambda: ctx.step.invoke("child", function=child),
                )
            )
            return [number(event), sent]

        return fn

    result, *_ = await lives(make)
    assert result == [1, "sent"]
