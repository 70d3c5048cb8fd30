"""The context managers of an attempt, as if its body stood inside their blocks.

With one difference: no failure hides another. If the body fails, and a context manager then fails by
itself, both come out, as an `ExceptionGroup`.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, cast

from plait._engine import native

from .factory import enter

if TYPE_CHECKING:
    from plait._engine.native import CancelScope


class Blocks:
    """What has been entered, the newest last. All of it belongs to one task."""

    def __init__(self) -> None:
        self._open: list[tuple[str, AsyncExitStack]] = []
        #: It lies around the context managers, and becomes a shield when they are left.
        self._shelter: CancelScope | None = None

    async def enter(self, name: str, manager: object) -> object:
        """Enter a context manager; the next one will lie inside of it."""
        if self._shelter is None:
            shelter = native.current().cancel_scope()
            shelter.__enter__()
            self._shelter = shelter
        stack = AsyncExitStack()
        value = await enter(stack, manager)
        self._open.append((name, stack))
        return value

    async def leave(self, exc: BaseException | None) -> bool:
        """Leave them all, telling each how it ended inside; say whether they swallowed that."""
        if self._shelter is None:
            return False  # noqa: ASYNC910 - as an empty block
        self._shelter.shield = True
        left = exc
        while self._open:
            name, stack = self._open.pop()
            try:
                if await stack.__aexit__(
                    None if left is None else type(left),
                    left,
                    None if left is None else left.__traceback__,
                ):
                    left = None
            except BaseException as error:  # noqa: ASYNC103, BLE001 - raised below
                left = _beside(left, error, name)
        self._shelter.__exit__(None, None, None)
        if left is not None and left is not exc:
            raise left
        return left is not exc  # noqa: ASYNC910 - as the context managers do


def _beside(left: BaseException | None, error: BaseException, name: str) -> BaseException:
    """Put what a context manager raised beside what was on its way, unless it has that in it."""
    if left is not None and _contains(error, left):
        return error
    error.add_note(f"while closing resource {name!r}")
    if left is None or isinstance(left, native.current().cancelled):
        return error
    return BaseExceptionGroup("a step and its resources failed", [left, error])


def _contains(error: BaseException | None, sought: BaseException) -> bool:
    if error is None or error is sought:
        return error is not None
    inner: tuple[BaseException, ...] = ()
    if isinstance(error, BaseExceptionGroup):
        inner = cast("BaseExceptionGroup[BaseException]", error).exceptions
    return any(_contains(each, sought) for each in (*inner, error.__cause__))
