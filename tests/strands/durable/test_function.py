"""What the decorator makes of a function, and how it refuses what cannot be one."""

from __future__ import annotations

import functools
import inspect
import re

import attrs
import pytest

import plait
import plait.testing
from plait._annotations import NOT_GIVEN
from plait._strands._durable.context import Context, SyncContext
from plait._strands._durable.event import Event
from plait._strands._durable.function import Function, FunctionDecorator
from plait._strands._durable.options import Throttle
from plait._strands._durable.setup import Setup
from plait._strands._durable.triggers import TriggerEvent
from plait.errors import ConfigError


class OrderPlaced(plait.Event):
    id: int


@attrs.frozen
class Receipt:
    lines: tuple[str, ...]


def decorator(*, fn_id="fn", name=None, registered=None, **options):
    registered = {} if registered is None else registered

    def register(function):
        registered[function.fn_id] = function

    setup = Setup(**{"trigger": TriggerEvent("a"), **options})
    return FunctionDecorator("shop", fn_id, setup, name=name, taken=registered, register=register)


def context(kind, data):
    event = Event(name="a", data=data)
    return plait.testing.context(event, sync=kind is SyncContext)


async def charge(ctx: Context[OrderPlaced]) -> Receipt:
    """Charge the customer."""
    return Receipt(lines=(str(ctx.event.data.id),))


def charge_in_a_thread(ctx: SyncContext) -> dict[int, str]:
    return {1: ctx.event.data["id"]}


async def test_it_stays_callable():
    function = decorator()(charge)
    assert isinstance(function, Function)
    assert await function(context(Context, OrderPlaced(id=3))) == Receipt(lines=("3",))
    assert function.handler is charge


def test_a_plain_function_stays_plain():
    function = decorator()(charge_in_a_thread)
    assert function(context(SyncContext, {"id": "7"})) == {1: "7"}
    assert not function.is_async


def test_it_knows_its_names():
    function = decorator(fn_id="charge")(charge)
    assert (function.id, function.fn_id, function.name) == ("shop-charge", "charge", "charge")
    assert decorator(fn_id="charge", name="Charge")(charge).name == "Charge"
    assert repr(function) == "<Function 'shop-charge'>"


def test_it_looks_like_the_function():
    function = decorator()(charge)
    assert function.__doc__ == "Charge the customer."
    assert function.__name__ == "charge"
    assert inspect.unwrap(function) is charge


def test_it_is_registered_once_it_is_right():
    registered = {}
    function = decorator(fn_id="one", registered=registered)(charge)
    assert registered == {"one": function}
    with pytest.raises(ConfigError):
        decorator(fn_id="two", registered=registered, retries=-1)(charge)
    assert registered == {"one": function}


def test_it_knows_the_type_of_its_data_and_of_what_it_returns():
    function = decorator()(charge)
    assert function.data_type is OrderPlaced
    value = Receipt(lines=("a",))
    assert function.output.settle(value)[1] == value
    assert decorator()(charge_in_a_thread).data_type is NOT_GIVEN
    assert decorator()(charge_in_a_thread).output.settle({1: "a"})[1] == {1: "a"}


def test_what_it_returns_can_be_said_beside_it():
    async def untyped(ctx):
        return ctx

    assert decorator(output_type=tuple[int, ...])(untyped).output.settle((1,))[1] == (1,)
    assert decorator()(untyped).output.settle((1,))[1] == [1]


def test_local_classes_are_known():
    @attrs.frozen
    class Local:
        n: int

    @decorator()
    async def function(ctx: Context[Local]) -> list[Local]:
        return [ctx.event.data]

    assert function.data_type is Local
    assert function.output.settle([Local(1)])[1] == [Local(1)]


def test_only_the_names_that_its_annotations_mention_are_kept_alive():
    class Local:
        pass

    large = object()

    @decorator()
    async def function(ctx: Context) -> Local: ...

    assert [*function._names] == ["Local"]
    del large


def test_a_class_that_comes_later_is_found_when_it_is_needed():
    @decorator()
    async def function(ctx: Context[Later]) -> Later: ...

    assert function.data_type is Later
    assert function.output.settle(Later(n=1))[1] == Later(n=1)


@attrs.frozen
class Later:
    n: int


def test_a_name_that_never_comes_is_told_when_it_is_needed():
    @decorator()
    async def function(ctx: Context) -> Nowhere: ...  # noqa: F821

    with pytest.raises(ConfigError, match="Nowhere") as raised:
        _ = function.output
    assert "under TYPE_CHECKING" in str(raised.value)


# ---------------------------------------------------------------- refused


async def of_an_event(ev: OrderPlaced) -> None: ...
async def of_the_other(ctx: SyncContext) -> None: ...
async def of_none() -> None: ...
async def of_two(ctx: Context, more: int) -> None: ...
async def of_a_keyword(*, ctx: Context) -> None: ...
async def generator(ctx: Context):
    yield 1


def plain_of_the_other(ctx: Context[OrderPlaced]) -> None: ...
def plain_generator(ctx: SyncContext):
    yield 1


class AClass:
    pass


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (of_an_event, "of_an_event() takes OrderPlaced, and an async def takes a Context: write"),
        (of_the_other, "takes SyncContext, and an async def takes a Context"),
        (plain_of_the_other, "and a def takes a SyncContext: write plain_of_the_other(ctx: Sync"),
        (of_none, "is called with the context alone: write of_none(ctx: Context)"),
        (of_two, "is called with the context alone"),
        (of_a_keyword, "is called with the context alone"),
        (generator, "generator() is a generator"),
        (plain_generator, "plain_generator() is a generator"),
        (AClass, "is no function: write async def f(ctx: Context), or def f(ctx: SyncContext)"),
        (functools.partial(charge), "is no function"),
        (7, "7 is no function"),
    ],
)
def test_what_cannot_be_called_with_a_context_is_refused(handler, text):
    with pytest.raises(ConfigError, match=re.escape(text)):
        decorator()(handler)


def test_more_parameters_may_have_defaults():
    async def function(ctx: Context, times: int = 1, *rest: int, loud: bool = False) -> None: ...

    assert decorator()(function).handler is function


def test_a_function_is_not_decorated_twice():
    with pytest.raises(ConfigError, match="is no function"):
        decorator(fn_id="again")(decorator()(charge))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"fn_id": ""}, "fn_id must be a text that is not empty, not ''"),
        ({"fn_id": 7}, "fn_id must be a text"),
        ({"name": 7}, "name must be a text, not 7"),
        ({"registered": {"fn": None}}, "fn_id 'fn' is taken"),
    ],
)
def test_wrong_names_are_refused(options, text):
    with pytest.raises(ConfigError, match=re.escape(text)):
        decorator(**options)(charge)


def test_all_mistakes_of_a_decoration_come_at_once_with_the_place():
    decorate = decorator(fn_id="fn", registered={"fn": None}, retries=-1, throttle=Throttle(0, 0))
    with pytest.raises(ConfigError) as raised:
        decorate(of_none)
    error = raised.value
    line = inspect.getsourcelines(of_none)[1]
    assert [(fault.file, fault.line) for fault in error.faults] == [(__file__, line)] * 5
    first, *texts, place = str(error).splitlines()
    assert first == "5 mistakes in function 'fn':"
    assert [text.removeprefix("  - ") for text in texts] == [fault.text for fault in error.faults]
    assert place == f"    at {__file__}:{line}"
