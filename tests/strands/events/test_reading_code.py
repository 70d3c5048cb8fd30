"""Which steps are hosted as bodies that make durable calls is read off their code."""

import functools

import pytest

from plait._strands._events.reading_code import may_make_calls


async def sends(self, ctx, ev):
    ctx.send_event(ev)
    await ctx.store.set("a", ctx.run_id)
    ctx.write_event_to_stream(ev)
    return ctx.idempotency_key if ev is None else ev


async def nothing(self, ctx, ev):
    return ev


async def waits(self, ev, ctx):
    a, b = await ctx.wait_for_event(ev), ctx.retry_info()
    async with ctx.store.edit_state() as state:
        state.x = a, b
    return ctx.collect_events(ev, [int] * 3)


async def runs(self, ctx, ev):
    return await ctx.step.run("a", sends)


async def groups(self, ctx, ev):
    group = ctx.group
    return await group.map("a", sends, [])


async def deadline(self, ctx, ev):
    with ctx.move_on_after(1):
        pass


async def fails(self, ctx, ev):
    with ctx.fail_after(1):
        pass


async def hands_on(self, ctx, ev):
    return await helper(ctx, ev)


async def hands_on_last(self, ctx, ev):
    return await helper(ev, ctx)


async def hands_on_by_name(self, ctx, ev):
    return await helper(ev, ctx=ctx)


async def keeps(self, ctx, ev):
    self.ctx = ctx


async def renames(self, ctx, ev):
    other = ctx
    await other.step.run("a", sends)


async def closes_over(self, ctx, ev):
    return lambda: ctx.step


async def in_a_list(self, ctx, ev):
    return [ctx.step for _ in range(3)]


async def by_name(self, ctx, ev):
    return getattr(ctx, "step")  # noqa: B009 - that is what is asked


async def helper(*args, **kwargs):
    pass


@functools.wraps(sends)
async def wrapped(*args, **kwargs):
    return await sends(*args, **kwargs)


@pytest.mark.parametrize("func", [sends, nothing, waits], ids=lambda func: func.__name__)
def test_who_uses_the_context_for_something_else_makes_no_calls(func):
    assert not may_make_calls(func, "ctx")


MAKES = [
    runs,
    groups,
    deadline,
    fails,
    hands_on,
    hands_on_last,
    hands_on_by_name,
    keeps,
    renames,
    closes_over,
    in_a_list,
    by_name,
    wrapped,
    functools.partial(sends, None),
]


@pytest.mark.parametrize("func", MAKES, ids=lambda func: getattr(func, "__name__", "partial"))
def test_who_may_make_calls_is_hosted(func):
    assert may_make_calls(func, "ctx")
