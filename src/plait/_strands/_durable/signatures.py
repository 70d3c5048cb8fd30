"""The types of `ctx.step.run` and `ctx.group.parallel`: protocols that the classes must satisfy.

Both checkers must infer `tuple[bool, str]` for two lambdas, and `tuple[bool, ...]` for a tuple that was
built in a loop: see `tests/typing/durable.py`. The overloads end at eight branches; a longer tuple is one
of branches of one type.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, Never, Protocol, TypeAlias, TypeVar, TypeVarTuple, overload

from plait._kernel.retry.policy import RetryPolicy

from .branches import Failed, Ok, OnError, Winner

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
T6 = TypeVar("T6")
T7 = TypeVar("T7")
T8 = TypeVar("T8")

#: A branch, and how it has ended.
Branch: TypeAlias = Callable[[], Awaitable[T]]
Ended: TypeAlias = Ok[T] | Failed


class RunsSteps(Protocol):
    """What `ctx.step` of a `Context` must have."""

    @overload
    async def run(
        self,
        step_id: str,
        handler: Callable[[*Ts], Awaitable[T]],
        *args: *Ts,
        output_type: type[T] | None = None,
        retry: int | RetryPolicy | None = None,
        rollback: Callable[[T], object] | None = None,
    ) -> T: ...
    @overload
    async def run(
        self,
        step_id: str,
        handler: Callable[[*Ts], T],
        *args: *Ts,
        output_type: type[T] | None = None,
        retry: int | RetryPolicy | None = None,
        rollback: Callable[[T], object] | None = None,
    ) -> T: ...


class RunsBranches(Protocol):
    """What `ctx.group` of a `Context` must have."""

    @overload
    async def parallel(
        self, branches: tuple[()], *, mode: Literal["all"] = "all", on_error: OnError = "cancel"
    ) -> tuple[()]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[Branch[T1]],
        *,
        mode: Literal["all"] = "all",
        on_error: OnError = "cancel",
    ) -> tuple[T1]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[Branch[T1], Branch[T2]],
        *,
        mode: Literal["all"] = "all",
        on_error: OnError = "cancel",
    ) -> tuple[T1, T2]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[Branch[T1], Branch[T2], Branch[T3]],
        *,
        mode: Literal["all"] = "all",
        on_error: OnError = "cancel",
    ) -> tuple[T1, T2, T3]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[Branch[T1], Branch[T2], Branch[T3], Branch[T4]],
        *,
        mode: Literal["all"] = "all",
        on_error: OnError = "cancel",
    ) -> tuple[T1, T2, T3, T4]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[Branch[T1], Branch[T2], Branch[T3], Branch[T4], Branch[T5]],
        *,
        mode: Literal["all"] = "all",
        on_error: OnError = "cancel",
    ) -> tuple[T1, T2, T3, T4, T5]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[Branch[T1], Branch[T2], Branch[T3], Branch[T4], Branch[T5], Branch[T6]],
        *,
        mode: Literal["all"] = "all",
        on_error: OnError = "cancel",
    ) -> tuple[T1, T2, T3, T4, T5, T6]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[
            Branch[T1], Branch[T2], Branch[T3], Branch[T4], Branch[T5], Branch[T6], Branch[T7]
        ],
        *,
        mode: Literal["all"] = "all",
        on_error: OnError = "cancel",
    ) -> tuple[T1, T2, T3, T4, T5, T6, T7]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[
            Branch[T1],
            Branch[T2],
            Branch[T3],
            Branch[T4],
            Branch[T5],
            Branch[T6],
            Branch[T7],
            Branch[T8],
        ],
        *,
        mode: Literal["all"] = "all",
        on_error: OnError = "cancel",
    ) -> tuple[T1, T2, T3, T4, T5, T6, T7, T8]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[Branch[T], ...],
        *,
        mode: Literal["all"] = "all",
        on_error: OnError = "cancel",
    ) -> tuple[T, ...]: ...

    @overload
    async def parallel(
        self, branches: tuple[()], *, mode: Literal["settled"], on_error: OnError = "cancel"
    ) -> tuple[()]: ...

    @overload
    async def parallel(
        self, branches: tuple[Branch[T1]], *, mode: Literal["settled"], on_error: OnError = "cancel"
    ) -> tuple[Ended[T1]]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[Branch[T1], Branch[T2]],
        *,
        mode: Literal["settled"],
        on_error: OnError = "cancel",
    ) -> tuple[Ended[T1], Ended[T2]]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[Branch[T1], Branch[T2], Branch[T3]],
        *,
        mode: Literal["settled"],
        on_error: OnError = "cancel",
    ) -> tuple[Ended[T1], Ended[T2], Ended[T3]]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[Branch[T1], Branch[T2], Branch[T3], Branch[T4]],
        *,
        mode: Literal["settled"],
        on_error: OnError = "cancel",
    ) -> tuple[Ended[T1], Ended[T2], Ended[T3], Ended[T4]]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[Branch[T1], Branch[T2], Branch[T3], Branch[T4], Branch[T5]],
        *,
        mode: Literal["settled"],
        on_error: OnError = "cancel",
    ) -> tuple[Ended[T1], Ended[T2], Ended[T3], Ended[T4], Ended[T5]]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[Branch[T1], Branch[T2], Branch[T3], Branch[T4], Branch[T5], Branch[T6]],
        *,
        mode: Literal["settled"],
        on_error: OnError = "cancel",
    ) -> tuple[Ended[T1], Ended[T2], Ended[T3], Ended[T4], Ended[T5], Ended[T6]]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[
            Branch[T1], Branch[T2], Branch[T3], Branch[T4], Branch[T5], Branch[T6], Branch[T7]
        ],
        *,
        mode: Literal["settled"],
        on_error: OnError = "cancel",
    ) -> tuple[Ended[T1], Ended[T2], Ended[T3], Ended[T4], Ended[T5], Ended[T6], Ended[T7]]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[
            Branch[T1],
            Branch[T2],
            Branch[T3],
            Branch[T4],
            Branch[T5],
            Branch[T6],
            Branch[T7],
            Branch[T8],
        ],
        *,
        mode: Literal["settled"],
        on_error: OnError = "cancel",
    ) -> tuple[
        Ended[T1], Ended[T2], Ended[T3], Ended[T4], Ended[T5], Ended[T6], Ended[T7], Ended[T8]
    ]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[Branch[T], ...],
        *,
        mode: Literal["settled"],
        on_error: OnError = "cancel",
    ) -> tuple[Ended[T], ...]: ...

    @overload
    async def parallel(
        self, branches: tuple[()], *, mode: Literal["race", "any"], on_error: OnError = "cancel"
    ) -> Never: ...

    @overload
    async def parallel(
        self,
        branches: tuple[Branch[T1]],
        *,
        mode: Literal["race", "any"],
        on_error: OnError = "cancel",
    ) -> Winner[T1]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[Branch[T1], Branch[T2]],
        *,
        mode: Literal["race", "any"],
        on_error: OnError = "cancel",
    ) -> Winner[T1 | T2]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[Branch[T1], Branch[T2], Branch[T3]],
        *,
        mode: Literal["race", "any"],
        on_error: OnError = "cancel",
    ) -> Winner[T1 | T2 | T3]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[Branch[T1], Branch[T2], Branch[T3], Branch[T4]],
        *,
        mode: Literal["race", "any"],
        on_error: OnError = "cancel",
    ) -> Winner[T1 | T2 | T3 | T4]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[Branch[T1], Branch[T2], Branch[T3], Branch[T4], Branch[T5]],
        *,
        mode: Literal["race", "any"],
        on_error: OnError = "cancel",
    ) -> Winner[T1 | T2 | T3 | T4 | T5]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[Branch[T1], Branch[T2], Branch[T3], Branch[T4], Branch[T5], Branch[T6]],
        *,
        mode: Literal["race", "any"],
        on_error: OnError = "cancel",
    ) -> Winner[T1 | T2 | T3 | T4 | T5 | T6]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[
            Branch[T1], Branch[T2], Branch[T3], Branch[T4], Branch[T5], Branch[T6], Branch[T7]
        ],
        *,
        mode: Literal["race", "any"],
        on_error: OnError = "cancel",
    ) -> Winner[T1 | T2 | T3 | T4 | T5 | T6 | T7]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[
            Branch[T1],
            Branch[T2],
            Branch[T3],
            Branch[T4],
            Branch[T5],
            Branch[T6],
            Branch[T7],
            Branch[T8],
        ],
        *,
        mode: Literal["race", "any"],
        on_error: OnError = "cancel",
    ) -> Winner[T1 | T2 | T3 | T4 | T5 | T6 | T7 | T8]: ...

    @overload
    async def parallel(
        self,
        branches: tuple[Branch[T], ...],
        *,
        mode: Literal["race", "any"],
        on_error: OnError = "cancel",
    ) -> Winner[T]: ...
