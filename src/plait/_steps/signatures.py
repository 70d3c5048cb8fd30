"""The types of `ctx.step.run` and `ctx.group.parallel`: what the classes must satisfy.

Both checkers must infer `tuple[bool, str]` for two lambdas, and `tuple[bool, ...]` for a tuple that was
built in a loop: see `tests/typing/durable.py`. The overloads end at eight branches; a longer tuple is one
of branches of one type.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Never, Protocol, TypeAlias, TypeVar, TypeVarTuple, overload

from plait._kernel.retry.policy import RetryPolicy

from .branches import Failed, Ok, OnError, Winner, check_branches

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
    ) -> T: ...
    @overload
    async def run(
        self,
        step_id: str,
        handler: Callable[[*Ts], T],
        *args: *Ts,
        output_type: type[T] | None = None,
        retry: int | RetryPolicy | None = None,
    ) -> T: ...


class RunsBranches(ABC):
    """What `ctx.group.parallel` of a `Context` takes and gives."""

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

    async def parallel(self, branches: Any, *, mode: Any = "all", on_error: Any = "cancel") -> Any:
        """Run branches at a time, and return their results in the order of the branches.

        A branch may hold any code: several steps, groups, nurseries. In a loop, give `map` the items:
        lambdas would all see the last one.

        A checkpoint. A cancellation cancels the branches, and waits for their clean-up. Who wins is
        the same in a recovery: of branches that have ended before the next outcome is handed out, it
        is the first in the tuple.

        Args:
            branches: A tuple; each is an async function, or a lambda around a call.
            mode: `"all"` gives a tuple of what the branches return; `"settled"` a tuple of `Ok` and
                `Failed`; `"race"` the `Winner` that ends first; `"any"` the one that returns first.
                Race and any cancel the losers, and return after their clean-up.
            on_error: In mode `"all"`: `"cancel"` has the first failure cancel the others, `"wait"` lets
                all of them end.

        Raises:
            TypeError: `branches` is no tuple of functions.
            ValueError: There is no such word, or no branch that could win.
            Exception: The failure of one branch; in mode `"race"` of the one that came first.
            ExceptionGroup: The failures of several, in the order of the branches; in mode `"any"` of
                all of them.
            NestedStepError: The caller is inside a handler.
            UntrackedTaskError: The caller is not a task of this run.

        Example:
            ```python
            updated, sent = await ctx.group.parallel(
                (
                    lambda: ctx.step.run("update-user", update_user, user_id),
                    lambda: ctx.step.run("send-email", send_email, user_id),
                )
            )
            ```
        """
        check_branches(branches, mode, on_error)
        return await self._parallel(branches, mode, on_error)

    @abstractmethod
    async def _parallel(self, branches: tuple[Any, ...], mode: Any, on_error: Any) -> Any: ...
