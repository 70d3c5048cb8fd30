"""Row 43: `collect_events` is typed, for pyright (strict) and mypy (strict). Checked, never run.

An expected error has an ignore of its own on its line, by rule, for each checker that reports it.
"""

from typing import assert_type

from plait import Context, Event, StopEvent, Workflow, step


class A(Event):
    n: int = 0


class B(Event):
    text: str = ""


class C(Event):
    pass


class Flow(Workflow):
    @step
    async def collect(self, ctx: Context, ev: A | B | C) -> StopEvent | None:
        # A list, or a mapping, gives a list.
        assert_type(ctx.collect_events(ev, [A]), list[A] | None)
        assert_type(ctx.collect_events(ev, [A] * 3), list[A] | None)
        assert_type(ctx.collect_events(ev, {A: 1000}), list[A] | None)
        assert_type(ctx.collect_events(ev, [A] * 3, "buffer", key=lambda e: e.n), list[A] | None)

        # Several classes in a list: pyright infers their union, mypy must be told.
        both = ctx.collect_events(ev, [A, B])  # type: ignore[var-annotated]
        assert_type(both, list[A | B] | None)  # type: ignore[assert-type]
        told: list[A | B] | None = ctx.collect_events(ev, [A, B])
        several = ctx.collect_events(ev, {A: 2, B: 1})  # type: ignore[var-annotated]
        assert_type(several, list[A | B] | None)  # type: ignore[assert-type]
        del told

        # A number that comes from the store is not known, and yet the class is.
        assert_type(ctx.collect_events(ev, {A: await ctx.store.get("n")}), list[A] | None)

        # A tuple gives the tuple of their instances: the precise form for both checkers.
        assert_type(ctx.collect_events(ev, (A,)), tuple[A] | None)
        assert_type(ctx.collect_events(ev, (A, B)), tuple[A, B] | None)
        assert_type(ctx.collect_events(ev, (A, B, C)), tuple[A, B, C] | None)
        assert_type(ctx.collect_events(ev, (A, B, C, A)), tuple[A, B, C, A] | None)
        assert_type(ctx.collect_events(ev, (A, B, C, A, B)), tuple[A, B, C, A, B] | None)
        assert_type(ctx.collect_events(ev, (A, B, C, A, B, C)), tuple[A, B, C, A, B, C] | None)
        assert_type(ctx.collect_events(ev, (A, A, A, A, A, A, A)), tuple[A, ...] | None)

        # What a batch holds is known.
        batch = ctx.collect_events(ev, (A, B))
        if batch is None:
            return None
        a, b = batch
        assert_type(a.n, int)
        assert_type(b.text, str)

        # What is no event class is refused.
        ctx.collect_events(ev, [int])  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportCallIssue]
        ctx.collect_events(ev, A)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
        ctx.collect_events(ev, {A: "2"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType, reportCallIssue]
        ctx.collect_events(ev, [A()])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
        ctx.collect_events(ev, (A, 2))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
        ctx.collect_events(ev, [A], 7)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
        ctx.collect_events(ev, [A], key="n")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
        ctx.collect_events(1, [A])  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
        return StopEvent(result=(a, b))
