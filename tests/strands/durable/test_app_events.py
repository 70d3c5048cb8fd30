"""Events in an app: typed ones, what middleware does to them, and those that tell of runs."""

from __future__ import annotations

import anyio
import attrs
import pytest

import plait
from plait._strands._durable.app import App
from plait._strands._durable.context import Context
from plait._strands._durable.event import Event, FunctionFailed
from plait._strands._durable.middleware import Middleware
from plait._strands._durable.triggers import TriggerEvent
from plait.durable import MemoryJournal
from plait.errors import ContextSerdeError
from tests.parity.clocks import in_virtual_time


class OrderPlaced(plait.Event, name="tests/order.placed"):
    id: int
    notes: tuple[str, ...] = ()


@attrs.frozen
class Parcel:
    weight: float


class Secret(Middleware):
    """Turns the bytes round, so that nobody can read them in the journal."""

    def encode(self, data):
        return data[::-1]

    def decode(self, data):
        return data[::-1]


def stored(journal):
    """All that a journal in memory holds, as one text."""
    return b"".join(
        entry.body for kept in journal._streams.values() for entry in kept.entries
    ).decode()


@in_virtual_time
async def test_typed_events_and_typed_data_arrive_as_what_they_were():
    journal, got = MemoryJournal(), []

    def make():
        app = App("shop", journal=journal)

        @app.create_function(fn_id="order", trigger=TriggerEvent(OrderPlaced))
        async def order(ctx: Context[OrderPlaced]) -> int:
            await ctx.step.sleep("nap", 10)
            got.append((ctx.event.name, ctx.event.data))
            return ctx.event.data.id

        @app.create_function(fn_id="parcel", trigger=TriggerEvent("parcel"))
        async def parcel(ctx: Context[Parcel]) -> float:
            got.append((ctx.event.name, ctx.event.data))
            return ctx.event.data.weight

        return app, parcel

    app, parcel = make()
    async with app.serve():
        await app.send(OrderPlaced(id=3, notes=("a",)))
        assert await app.invoke(parcel, Parcel(2.5)) == 2.5
    app, parcel = make()
    async with app.serve() as worker:
        await worker.drain()
    assert got == [
        ("plait/function.invoked", Parcel(2.5)),
        ("tests/order.placed", OrderPlaced(id=3, notes=("a",))),
    ]


@in_virtual_time
async def test_one_bad_event_and_none_is_accepted():
    app = App("shop")
    ran = []

    @app.create_function(fn_id="fn", trigger=TriggerEvent("e"))
    async def fn(ctx: Context) -> None:
        ran.append(ctx.event.data)

    async with app.serve() as worker:
        with pytest.raises(ContextSerdeError, match="2 of 2"):
            await app.send([Event(name="e"), Event(name="e", data={"parcel": Parcel(1.0)})])
        with pytest.raises(TypeError, match="write Event"):
            await app.send([Event(name="e"), "e"])
        await worker.drain()
    assert not ran
    assert await app.runs() == []


@in_virtual_time
async def test_what_middleware_encodes_nobody_reads_in_the_journal_and_everybody_in_the_app():
    journal, got = MemoryJournal(), []
    app = App("shop", journal=journal, middleware=[Secret()])

    async def give(text: str) -> str:
        return text

    @app.create_function(fn_id="child", trigger=TriggerEvent("never"))
    async def child(ctx: Context) -> str:
        return "secret-" + ctx.event.data["text"]

    @app.create_function(
        fn_id="fn", trigger=TriggerEvent("e", expression=lambda e: e.data["text"] == "secret-1")
    )
    async def fn(ctx: Context) -> str:
        got.append(ctx.event.data["text"])
        got.append(await ctx.step.run("give", give, "secret-2"))
        event = await ctx.step.wait_for_event(
            "w", event="w", timeout=10, if_exp=lambda e: e.data["text"] == "secret-3"
        )
        got.append(event and event.data["text"])
        got.append(await ctx.step.invoke("child", function=child, data={"text": "4"}))
        return "secret-5"

    @app.create_function(
        fn_id="after",
        trigger=TriggerEvent(
            "plait/function.finished", expression=lambda e: e.data["function_id"] == "shop-fn"
        ),
    )
    async def after(ctx: Context) -> None:
        got.append(ctx.event.data["result"])

    async with app.serve() as worker:
        await app.send(Event(name="e", data={"text": "secret-1"}))
        await app.send(Event(name="e", data={"text": "other"}))
        await anyio.sleep(1)
        await app.send(Event(name="w", data={"text": "secret-3"}))
        await worker.drain()
    assert got == [f"secret-{n}" for n in range(1, 6)]
    assert "secret-" not in stored(journal)


class Adds(Middleware):
    def before_send(self, events):
        return [*events, Event(name="e", data={"n": "added"})]


class Drops(Middleware):
    def before_send(self, events):
        return []


@in_virtual_time
async def test_middleware_sees_what_is_sent():
    ran = []
    app = App("shop", middleware=[Adds()])

    @app.create_function(fn_id="fn", trigger=TriggerEvent("e"))
    async def fn(ctx: Context) -> None:
        ran.append(ctx.event.data["n"])

    async with app.serve() as worker:
        assert len(await app.send(Event(name="e", data={"n": 1}))) == 2
        await worker.drain()
    assert sorted(map(str, ran)) == ["1", "added"]

    app = App("shop", middleware=[Drops()])
    async with app.serve():
        assert await app.send(Event(name="e")) == []


# ---------------------------------------------------------------- events that tell of runs


@in_virtual_time
async def test_what_tells_of_runs_has_values_not_records():
    got = {}
    app = App("shop")

    def listen(name):
        async def body(ctx: Context) -> None:
            if ctx.event.data["function_id"] == "shop-order":
                got.setdefault(name, []).append(ctx.event.data)

        app.create_function(fn_id=name, trigger=TriggerEvent(f"plait/function.{name}"))(body)

    listen("finished")
    listen("failed")

    async def on_failure(ctx: Context[FunctionFailed]) -> None:
        failed = ctx.event.data
        got["on_failure"] = (str(failed.error), failed.event.data, failed.function_id)

    @app.create_function(
        fn_id="order", trigger=TriggerEvent(OrderPlaced), retries=0, on_failure=on_failure
    )
    async def order(ctx: Context[OrderPlaced]) -> OrderPlaced:
        if ctx.event.data.id < 0:
            raise ValueError("no such order")
        return ctx.event.data

    async with app.serve() as worker:
        await app.send(OrderPlaced(id=3))
        await worker.drain()
        await app.send(OrderPlaced(id=-1))
        await worker.drain()
    finished, finished_badly = got["finished"]
    assert finished["result"] == OrderPlaced(id=3)
    assert finished["event"]["data"] == OrderPlaced(id=3)
    [failed] = got["failed"]
    assert failed["error"]["message"] == "no such order"
    assert failed["events"][0]["data"] == OrderPlaced(id=-1)
    assert finished_badly["error"] == failed["error"]
    assert got["on_failure"] == ("no such order", OrderPlaced(id=-1), "shop-order")
