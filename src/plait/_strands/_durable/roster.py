"""What an app has: its functions, by their ids, and what is around all of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import attrs

from plait._errors import ConfigError
from plait._kernel.admission.plan import AppPlan

from .arrivals import Events
from .compile import on_failure_id, plan_of
from .function import Function
from .middleware import Middleware
from .setup import Setup


@attrs.define(eq=False)
class Roster:
    """The functions of one app, and what they share."""

    app_id: str
    middleware: tuple[Middleware, ...]
    logger: logging.Logger
    #: By `Function.id`, with those of `on_failure`.
    functions: dict[str, Function[Any, Any]] = attrs.field(factory=dict[str, Function[Any, Any]])
    #: By `Function.fn_id`, as the user has made them.
    own: dict[str, Function[Any, Any]] = attrs.field(factory=dict[str, Function[Any, Any]])
    #: Which of them are an `on_failure`.
    on_failures: set[str] = attrs.field(factory=set[str])
    #: How many have the app's journal open: its plan is settled then.
    users: int = 0

    def add(self, function: Function[Any, Any]) -> None:
        """Take a function in.

        Raises:
            ConfigError: The app's journal is open, and its functions are settled.
        """
        if self.users:
            raise ConfigError(
                "the app is being served, and its functions are settled: create them before serve()",
                function=function.fn_id,
            )
        function._roster = self
        self.own[function.fn_id] = function
        self.functions[function.id] = function
        handler: Callable[..., Any] | None = function.setup.on_failure
        if handler is not None:
            setup = Setup(trigger=(), retries=0, middleware=function.setup.middleware)
            failure: Function[Any, Any] = Function(
                self.app_id, on_failure_id(function.fn_id), handler, setup, names={}
            )
            self.functions[failure.id] = failure
            self.on_failures.add(failure.id)

    def find(self, name: str) -> Function[Any, Any] | None:
        """Find a function by its id, or by its name in the app."""
        return self.functions.get(name) or self.own.get(name)

    def known(self, function: object) -> Function[Any, Any] | None:
        """Find a function by itself; `None` if it is not of this app."""
        return next((one for one in self.functions.values() if one is function), None)

    def around(self, function: Function[Any, Any]) -> tuple[Middleware, ...]:
        """List what is around a function: the app's, then its own."""
        return (*self.middleware, *function.setup.middleware)

    def check(self) -> None:
        """Look at what each function returns, before one of them runs.

        Raises:
            ConfigError: Its annotation names what does not exist.
        """
        for function in self.functions.values():
            _ = function.output

    def plan(self, events: Events) -> AppPlan:
        """Make the plan of flow control."""
        return plan_of(self.own.values(), events, app_id=self.app_id)
