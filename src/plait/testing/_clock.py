"""`run`: a week of timeouts in milliseconds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple

import trio
import trio.testing

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


def run(async_fn: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
    """Run an async function under Trio, on a clock that jumps to the next deadline when all wait.

    Time starts at 0, so `trio.current_time()` is the virtual time that has passed. Works under
    Hypothesis, where a fixture for the clock does not. The semantics are those of
    `trio.testing.MockClock(autojump_threshold=0)`.

    Args:
        async_fn: What to run.
        *args: Its arguments.

    Raises:
        Exception: What `async_fn` raises.

    Example:
        ```python
        async def test() -> None:
            assert await Flow().run(topic="x") == "done"
            assert trio.current_time() == 5


        plait.testing.run(test)
        ```
    """
    return trio.run(async_fn, *args, clock=trio.testing.MockClock(autojump_threshold=0))
