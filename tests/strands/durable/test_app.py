"""An app: served, sent to, invoked."""

from __future__ import annotations

from plait._strands._durable.app import App
from plait._strands._durable.context import Context
from plait._strands._durable.event import Event
from plait._strands._durable.triggers import TriggerEvent
from plait.durable import MemoryJournal
from tests.parity.clocks import in_virtual_time


def shop(journal=None):
    app = App("shop", journal=journal or MemoryJournal())
    done = []

    async def update_user(user_id: int) -> bool:
        done.append(("update", user_id))
        return True

    async def send_email(user_id: int) -> str:
        done.append(("email", user_id))
        return f"mail to {user_id}"

    @app.create_function(fn_id="fn", trigger=TriggerEvent(event="my-event"))
    async def fn(ctx: Context) -> str:
        user_id = ctx.event.data["user_id"]
        updated = await ctx.step.run("update-user", update_user, user_id)
        sent = await ctx.step.run("send-email", send_email, user_id)
        return f"{updated}, {sent}"

    return app, fn, done


@in_virtual_time
async def test_an_event_leads_to_a_run():
    app, _, done = shop()
    async with app.serve() as worker:
        assert len(await app.send(Event(name="my-event", data={"user_id": 7}))) == 1
        await worker.drain()
        assert done == [("update", 7), ("email", 7)]


@in_virtual_time
async def test_invoking_a_function_returns_its_result():
    app, fn, done = shop()
    assert await app.invoke(fn, {"user_id": 3}) == "True, mail to 3"
    async with app.serve():
        assert await app.invoke(fn, {"user_id": 4}) == "True, mail to 4"
    assert done == [("update", 3), ("email", 3), ("update", 4), ("email", 4)]
