"""`Function`: what the decorator makes of a function, and all that an app needs to know of it."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Container, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from plait._annotations import visible_names
from plait._errors import ConfigError, Fault
from plait._journal.outputs import Output, output_of
from plait._naming import publish
from plait._show import show
from plait._steps.checks import SHOWN
from plait._steps.returned import returned

from .checks import is_text
from .context import Context, SyncContext
from .handlers import check_handler, data_of, is_async_function
from .setup import Setup
from .source import digest

if TYPE_CHECKING:
    from .roster import Roster

D = TypeVar("D")
T = TypeVar("T")


class Function(Generic[D, T]):
    """A durable function. It stays callable: `await fn(ctx)` is the user's function and nothing else.

    Attributes:
        id: Its name in the journal: `"<app_id>-<fn_id>"`.
        fn_id: Its name in the app.
        name: What people call it.
        handler: The user's function.
        source: A digest of the function's syntax tree, in which comments do not count; `None` if it
            has no source.
        setup: What its decoration said.
        is_async: Is it an `async def`, which takes a `Context`?

    Example:
        ```python
        @app.create_function(fn_id="greet", trigger=TriggerEvent("user/new"))
        async def greet(ctx: Context) -> str: ...


        greet.id  # 'shop-greet'
        ```
    """

    def __init__(
        self,
        app_id: str,
        fn_id: str,
        handler: Callable[..., Any],
        setup: Setup,
        *,
        name: str | None = None,
        names: Mapping[str, Any],
    ) -> None:
        functools.update_wrapper(self, handler, updated=())
        self.id: str = f"{app_id}-{fn_id}"
        self.fn_id: str = fn_id
        self.name: str = fn_id if name is None else name
        self.handler: Callable[..., Any] = handler
        self.source: str | None = digest(handler)
        self.setup: Setup = setup
        self.is_async: bool = is_async_function(handler)
        self._names = _mentioned(handler, names)
        #: Of its app, which has put itself here.
        self._roster: Roster | None = None

    @overload
    def __call__(self, ctx: Context[D], /) -> Awaitable[T]: ...
    @overload
    def __call__(self, ctx: SyncContext[D], /) -> T: ...
    def __call__(self, ctx: Any, /) -> Any:
        """Call the user's function."""
        return self.handler(ctx)

    def __repr__(self) -> str:
        return f"<Function {self.id!r}>"

    @functools.cached_property
    def output(self) -> Output:
        """What writes and reads what it returns.

        Raises:
            ConfigError: Its annotation names what does not exist.
        """
        declared: object = self.setup.output_type
        return output_of(returned(self.handler, self._names) if declared is None else declared)

    @functools.cached_property
    def data_type(self) -> object:
        """The type of the event's data: the `D` of `Context[D]`; `NOT_GIVEN` if it says none.

        Raises:
            UnresolvedAnnotation: Its annotation names what does not exist.
        """
        return data_of(self.handler, self._names)


class FunctionDecorator:
    """What `app.create_function(...)` gives.

    Args:
        app_id: The app.
        fn_id: The function's name in it.
        setup: What was said of it.
        name: What people call it; by default as the app does.
        taken: The names that the app has already.
        register: Called with the function.

    Example:
        ```python
        @app.create_function(fn_id="greet", trigger=TriggerEvent("user/new"))
        async def greet(ctx: Context) -> str: ...
        ```
    """

    def __init__(
        self,
        app_id: str,
        fn_id: str,
        setup: Setup,
        *,
        name: str | None = None,
        taken: Container[str],
        register: Callable[[Function[Any, Any]], object],
    ) -> None:
        self._app_id = app_id
        self._fn_id = fn_id
        self._setup = setup
        self._name = name
        self._taken = taken
        self._register = register

    @overload
    def __call__(self, handler: Callable[[Context[D]], Awaitable[T]], /) -> Function[D, T]: ...
    @overload
    def __call__(self, handler: Callable[[SyncContext[D]], T], /) -> Function[D, T]: ...
    def __call__(self, handler: Callable[[Any], Any], /) -> Function[Any, Any]:
        """Make a durable function of a function.

        Raises:
            ConfigError: With every mistake that was found.
            MissingExtra: There is a `TriggerCron`, and the library for it is not installed.
        """
        names = visible_names(1)
        faults = [
            *self._faults_of_names(),
            *self._setup.faults(),
            *check_handler(handler, names),
        ]
        if faults:
            code = getattr(inspect.unwrap(handler), "__code__", None)
            place = (code.co_filename, code.co_firstlineno) if code else (None, None)
            raise ConfigError(*(Fault(text, *place) for text in faults), function=str(self._fn_id))
        function: Function[Any, Any] = Function(
            self._app_id, self._fn_id, handler, self._setup, name=self._name, names=names
        )
        self._register(function)
        return function

    def _faults_of_names(self) -> list[str]:
        fn_id, name = self._fn_id, self._name
        faults: list[str] = []
        if not is_text(fn_id) or not fn_id:
            faults.append(f"fn_id must be a text that is not empty, not {show(fn_id, SHOWN)}")
        elif fn_id in self._taken:
            faults.append(f"fn_id {fn_id!r} is taken: the app has a function of this name")
        if name is not None and not is_text(name):
            faults.append(f"name must be a text, not {show(name, SHOWN)}")
        return faults


def _mentioned(handler: Callable[..., Any], names: Mapping[str, Any]) -> Mapping[str, Any]:
    """Keep of the local names what the annotations mention, and no other object alive."""
    texts = [one for one in inspect.get_annotations(handler).values() if isinstance(one, str)]
    words = {word for text in texts for word in re.findall(r"\w+", text)}
    return {name: value for name, value in names.items() if name in words}


publish("plait.durable", Function, FunctionDecorator)
