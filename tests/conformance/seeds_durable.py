"""The programs of the contract of durable functions, which run on every backend.

What their functions do is said by `Users`: how long each takes, and how often it ran.
"""

import functools
import typing
from collections import Counter

import attrs

from plait.durable import App, Context, TriggerEvent
from tests.conformance.seeds import pause


@attrs.define
class Users:
    """What is outside."""

    delays: dict[str, int] = attrs.field(factory=dict)
    ran: Counter = attrs.field(factory=Counter)
    #: In the order in which they were done.
    done: list[str] = attrs.field(factory=list)

    async def work(self, name):
        self.ran[name] += 1
        await pause(self.delays.get(name, 1))
        self.done.append(name)


def two_steps(app: App, users: Users):
    """Running two steps in parallel."""

    async def update_user(user_id: int) -> bool:
        await users.work(f"update {user_id}")
        return True

    async def send_email(user_id: int) -> str:
        await users.work(f"email {user_id}")
        return f"email to {user_id}"

    @app.create_function(
        fn_id="my-function",
        trigger=TriggerEvent(event="my-event"),
    )
    async def fn(ctx: Context) -> tuple[bool, str]:
        user_id = ctx.event.data["user_id"]

        (updated_user, sent_email) = await ctx.group.parallel(
            (
                lambda: ctx.step.run("update-user", update_user, user_id),
                lambda: ctx.step.run("send-email", send_email, user_id),
            )
        )
        return updated_user, sent_email

    return fn


def steps_in_a_loop(app: App, users: Users):
    """Dynamically building a tuple of parallel steps."""

    async def update_user(user_id: int) -> bool:
        await users.work(f"update {user_id}")
        return user_id % 2 == 0

    @app.create_function(
        fn_id="my-function",
        trigger=TriggerEvent(event="my-event"),
    )
    async def fn(ctx: Context) -> tuple[bool, ...]:
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

        return await ctx.group.parallel(parallel_steps)

    return fn
