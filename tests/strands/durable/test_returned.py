"""What a handler is annotated to return, however it is wrapped."""

import asyncio
import functools
from collections.abc import Awaitable, Coroutine
from typing import Annotated, Any, TypeVar

import attrs
import pytest

from plait._annotations import NOT_GIVEN
from plait._steps.returned import innermost, name_of_handler, returned
from plait.errors import ConfigError

T = TypeVar("T")


async def an_async(n: int) -> tuple[int, ...]:
    return (n,)


def a_plain(n: int) -> tuple[int, ...]:
    return (n,)


def of_a_coroutine(n: int) -> Coroutine[Any, Any, tuple[int, ...]]:
    return an_async(n)


def of_an_awaitable(n: int) -> Awaitable[tuple[int, ...]]:
    return an_async(n)


def of_a_future(n: int) -> "asyncio.Future[tuple[int, ...]]":
    return asyncio.ensure_future(an_async(n))


def in_words(n: int) -> "tuple[int, ...]":
    return (n,)


class Service:
    def method(self, n: int) -> tuple[int, ...]:
        return (n,)

    @classmethod
    def of_class(cls, n: int) -> tuple[int, ...]:
        return (n,)

    @staticmethod
    def static(n: int) -> tuple[int, ...]:
        return (n,)

    async def __call__(self, n: int) -> tuple[int, ...]:
        return (n,)


@functools.wraps(an_async)
async def wrapped(*args):
    return await an_async(*args)


cached = functools.lru_cache(a_plain)

HANDLERS = {
    "async": an_async,
    "plain": a_plain,
    "coroutine": of_a_coroutine,
    "awaitable": of_an_awaitable,
    "future": of_a_future,
    "words": in_words,
    "method": Service().method,
    "class method": Service.of_class,
    "static method": Service.static,
    "object": Service(),
    "wrapped": wrapped,
    "cached": cached,
    "partial": functools.partial(an_async, 1),
    "partial of a partial": functools.partial(functools.partial(Service().method), 1),
    "partial of an object": functools.partial(Service(), 1),
}


@pytest.mark.parametrize("handler", HANDLERS.values(), ids=HANDLERS)
def test_it_is_found_in_the_innermost_function(handler):
    assert returned(handler) == tuple[int, ...]


def untyped(n):
    return n


def of_anything(n) -> Any:
    return n


def of_an_object(n) -> object:
    return n


def generic(n: T) -> T:
    return n


@pytest.mark.parametrize(
    "handler",
    [untyped, lambda: an_async(1), of_anything, of_an_object, generic, len, functools.partial(max)],
)
def test_an_annotation_that_is_not_there_or_says_nothing_is_none(handler):
    assert returned(handler) is NOT_GIVEN


def test_a_class_returns_its_objects():
    @attrs.frozen
    class Point:
        x: int

    assert returned(Point) is Point
    assert returned(functools.partial(Point, 1)) is Point


def test_none_is_a_type():
    def nothing() -> None: ...

    assert returned(nothing) is type(None)


def test_what_only_an_async_function_returns_is_not_awaited():
    async def later() -> Awaitable[int]:
        return asyncio.sleep(0, 1)

    assert returned(later) == Awaitable[int]


def test_extras_are_kept():
    def annotated() -> Annotated[int, "n"]:
        return 1

    assert returned(annotated) == Annotated[int, "n"]


def test_local_names_that_it_closes_over_are_known():
    class Local:
        pass

    def make() -> "Local":
        return Local()

    assert returned(make) is Local


def test_a_name_that_is_not_there_is_told():
    def make() -> "Lokal":  # noqa: F821
        return 1

    with pytest.raises(ConfigError, match="Lokal") as raised:
        returned(make)
    assert "pass output_type=" in str(raised.value)


def test_a_handler_is_called_by_its_innermost_name():
    assert name_of_handler(functools.partial(an_async, 1)) == "an_async"
    assert name_of_handler(Service().method) == "Service.method"
    assert name_of_handler(Service()) == "Service.__call__"
    assert name_of_handler(len) == "len"
    assert innermost(wrapped) is an_async
