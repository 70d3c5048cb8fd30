"""Any number of steps of a durable function at once, from a tuple that is built in a loop."""

import functools
import typing

import trio

from plait.durable import App, Context, Event, TriggerEvent

app = App("shop")


async def update_user(user_id: int) -> bool:
    await trio.sleep(10 - user_id)
    print("Updated user", user_id)
    return user_id % 2 == 0


@app.create_function(
    fn_id="my-function",
    trigger=TriggerEvent(event="my-event"),
)
async def fn(ctx: Context) -> None:
    parallel_steps = tuple[typing.Callable[[], typing.Awaitable[bool]]]()
    for user_id in ctx.event.data["user_ids"]:
        parallel_steps += tuple(  # noqa: C409 - a list for each round, as one would write it
            [
                functools.partial(
                    ctx.step.run,
                    f"get-user-{user_id}",
                    functools.partial(update_user, user_id),
                )
            ]
        )

    updated_users = await ctx.group.parallel(parallel_steps)
    print(updated_users)


async def main() -> None:
    async with app.serve() as worker:
        await app.send(Event(name="my-event", data={"user_ids": [1, 2, 3]}))
        await worker.drain()


if __name__ == "__main__":
    trio.run(main)
