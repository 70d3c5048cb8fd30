"""Two steps of a durable function at once; what they return is one tuple."""

import trio

from plait.durable import App, Context, Event, TriggerEvent

app = App("shop")  # App("shop", journal="shop.db"): its runs survive the process


async def update_user(user_id: int) -> bool:
    print("Updating user", user_id)
    await trio.sleep(1)
    return True


async def send_email(user_id: int) -> str:
    print("Sending an email to user", user_id)
    await trio.sleep(2)
    return f"email to {user_id}"


@app.create_function(
    fn_id="my-function",
    trigger=TriggerEvent(event="my-event"),
)
async def fn(ctx: Context) -> None:
    user_id = ctx.event.data["user_id"]

    (updated_user, sent_email) = await ctx.group.parallel(
        (
            lambda: ctx.step.run("update-user", update_user, user_id),
            lambda: ctx.step.run("send-email", send_email, user_id),
        )
    )
    print((updated_user, sent_email))


async def main() -> None:
    async with app.serve() as worker:
        await app.send(Event(name="my-event", data={"user_id": 7}))
        await worker.drain()


if __name__ == "__main__":
    trio.run(main)
