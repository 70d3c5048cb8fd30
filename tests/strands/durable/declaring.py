"""Functions of an app called shop, for tests: `function(**options)`."""

from __future__ import annotations

from plait._strands._durable.context import Context
from plait._strands._durable.function import FunctionDecorator
from plait._strands._durable.setup import Setup
from plait._strands._durable.triggers import TriggerEvent


async def nothing(ctx: Context) -> None:
    """Do nothing."""


def function(fn_id="fn", *, on="order", handler=nothing, app_id="shop", **options):
    """Declare a function; `on` is the name of its event, or a class, or several triggers."""
    trigger = on if isinstance(on, list) else TriggerEvent(on)
    setup = Setup(trigger=trigger, **options)
    decorate = FunctionDecorator(app_id, fn_id, setup, taken=(), register=lambda made: None)
    return decorate(handler)
