"""Resources: what steps are lent beside their events, made when first asked for, closed in time.

    workflow    ResourceManager     values alone: nothing here is ever closed
    └── run     RunScope            a nursery; a task of its own keeps each context manager open
        └── step    StepScope       one attempt; its context managers lie around the body

Rule 1: there is one instance for each scope and factory. Whoever asks while it is being made waits
    for whoever makes it. If that one fails or is cancelled, the next one makes it: only what was
    made is kept.
Rule 2: what a factory needs is in its signature, so a cycle is found before anything is made, and
    waits follow the arrows of a graph without cycles: no deadlock, no false cycle.
Rule 3: a context manager is entered and left by one task, because what it is made of (a nursery, a
    cancel scope) may demand that. In a run the askers come and go, hence the keepers.
Rule 4: nothing outlives what it was made from. What has no scope of its own lasts no longer than
    that; a declared scope that is too long is an error.
Rule 5: whether a factory's value is a context manager, and how long it may last, may be known only
    when it has been made once. Until then one asker at a time makes it, in all runs together.
"""

from __future__ import annotations

import contextvars
import enum
import functools
import inspect
import json
import sys
import types
import typing
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, MutableSet
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path, PurePath
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    Self,
    TypeAlias,
    TypeGuard,
    cast,
    final,
)

import attrs

from plait._engine import native
from plait._errors import WorkflowRuntimeError, WorkflowValidationError
from plait._naming import publish

from .context import Context

if TYPE_CHECKING:
    from plait._engine.native import Backend, CancelScope, Happening, Nursery

Factory: TypeAlias = Callable[..., Any]

MANAGED_BY_WORKFLOW: Final = (
    "A context manager resource cannot have scope 'workflow'. Use scope='run'."
)


class Scope(enum.IntEnum):
    """How long something lasts; the shorter, the less."""

    STEP = 0
    RUN = 1
    WORKFLOW = 2


# ---------------------------------------------------------------- the markers


def _a_factory(_marker: object, _attribute: object, factory: Factory) -> None:
    if not callable(factory):
        raise TypeError(f"Resource() takes a function that makes it, not {factory!r}")
    a = "async" if inspect.isasyncgenfunction(factory) else ""
    if a or inspect.isgeneratorfunction(factory):
        raise TypeError(
            f"Resource() takes no generator function: decorate {name_of(factory)} with "
            f"@contextlib.{a}contextmanager"
        )


@final
@attrs.define(eq=False, on_setattr=attrs.setters.frozen)
class Resource:
    """Lends a parameter what a factory makes: `db: Annotated[Database, Resource(connect)]`.

    The factory is a function, plain or async; a plain one runs on the event loop and must not
    block. Its parameters may be resources, configs and, except in scope `"workflow"`, a `Context`.
    If it returns a context manager, plain or async, the resource is what entering that gives; it
    is left at the end of the scope, the newest first, also after a failure or a cancellation, and
    what leaving it raises is a failure. Locks and limiters (what has `acquire`) are not entered.

    | scope | there is one for each | a context manager is left |
    |---|---|---|
    | `"step"` | attempt | when the body has ended, as by an `async with` around it |
    | `"run"` | run | when all steps have ended, as by a block that went well |
    | `"workflow"` | workflow object | refused: an object has no end |

    By default it is `"run"` for a context manager, else `"workflow"` with `cache` and `"step"`
    without, and never longer than what the factory is given. That a function returns a context
    manager is known from `@contextmanager`, `@asynccontextmanager` or its return annotation, or
    else from what it returned: without these signs and with `cache=False` its scope is `"step"`.

    A value of scope `"workflow"` serves every run of the object, also those of a second
    `trio.run`: it must not belong to an event loop.

    Args:
        factory: Makes it. Two markers of one factory and scope stand for one resource.
        cache: Keep what is no context manager for all runs.
        scope: `"step"`, `"run"` or `"workflow"`.

    Raises:
        TypeError: The factory cannot be called, or is a generator function without decorator.
        ValueError: There is no such scope.

    Example:
        ```python
        @asynccontextmanager
        async def connect(settings: Annotated[Settings, ResourceConfig("db.json")]):
            async with Database(settings.url) as db:
                yield db


        class Flow(Workflow):
            @step
            async def count(
                self, ev: StartEvent, db: Annotated[Database, Resource(connect)]
            ) -> StopEvent:
                return StopEvent(result=await db.count(ev.table))
        ```
    """

    factory: Factory = attrs.field(validator=_a_factory, repr=lambda it: name_of(it))  # noqa: PLW0108
    cache: bool = True
    scope: Literal["run", "workflow", "step"] | None = attrs.field(
        default=None,
        kw_only=True,
        validator=attrs.validators.in_((None, "run", "workflow", "step")),
    )
    #: The scope, in the words of this module.
    declared: Scope | None = attrs.field(
        init=False, repr=False, default=None, on_setattr=attrs.setters.NO_OP
    )
    #: The local names that its annotations may use, until they have been read.
    _names: Mapping[str, Any] = attrs.field(init=False, repr=False, on_setattr=attrs.setters.NO_OP)
    _recipe: Recipe | None = attrs.field(
        init=False, repr=False, default=None, on_setattr=attrs.setters.NO_OP
    )

    def __attrs_post_init__(self) -> None:
        self.declared = None if self.scope is None else Scope[self.scope.upper()]
        self._names = _local_names(self.factory)

    @property
    def recipe(self) -> Recipe:
        """The factory's signature, read. The strand's, not for users."""
        recipe = self._recipe or _read(self.factory, self._names)
        if not recipe.faults:  # else: a name that does not exist may be defined further down
            self._recipe = recipe
            self._names = {}
        return recipe


@final
@attrs.frozen
class ResourceConfig:
    """Lends a parameter a part of a JSON file: `s: Annotated[Settings, ResourceConfig("s.json")]`.

    It is made into the annotated class: an attrs class, a dataclass, or a pydantic model; `dict`,
    `list`, `str`, `int`, `float` and `bool` are given as they are. Nothing is converted (except by
    pydantic). The file is read once for each workflow object, before its first run.

    Args:
        config_file: The file, relative to the current directory.
        path_selector: Which part of it, as `"servers.0.host"`; by default the whole.
        label: A name for pictures.
        description: What it is for.

    Example:
        ```python
        @step
        async def send(
            self, ev: Mail, host: Annotated[str, ResourceConfig("app.json", "mail.host")]
        ) -> StopEvent: ...
        ```
    """

    config_file: str
    path_selector: str | None = None
    label: str | None = None
    description: str | None = None


Marker: TypeAlias = Resource | ResourceConfig


def find(annotation: object) -> Marker | None:
    """Find the marker in an annotation that has been resolved with its extras."""
    if typing.get_origin(annotation) is not Annotated:
        return None
    extras = cast("tuple[object, ...]", typing.get_args(annotation)[1:])
    return next((e for e in extras if isinstance(e, Resource | ResourceConfig)), None)


# ---------------------------------------------------------------- what a factory needs


@attrs.frozen
class Recipe:
    """A factory's signature, read."""

    #: Its parameters that are resources and configs, with their types.
    needs: tuple[tuple[str, Marker, object], ...]
    contexts: tuple[str, ...]
    #: Is it known to return a context manager?
    managed: bool
    faults: tuple[str, ...]


def _bare(factory: Factory) -> Any:
    while isinstance(factory, functools.partial):
        factory = factory.func
    return factory


def name_of(factory: Factory) -> str:
    """Return the name of a factory, for messages and pictures."""
    bare = _bare(factory)
    return str(getattr(bare, "__name__", type(bare).__name__))


def _full_names(factory: Factory) -> tuple[str, str]:
    bare = _bare(factory)
    name = getattr(bare, "__qualname__", type(bare).__qualname__)
    return name, f"{bare.__module__}.{name}"


def _globals(factory: Factory) -> dict[str, Any]:
    bare = inspect.unwrap(_bare(factory))
    found: dict[str, Any] | None = getattr(bare, "__globals__", None)
    return found if found is not None else vars(sys.modules.get(bare.__module__, types))


def _signature(factory: Factory) -> inspect.Signature:
    try:
        return inspect.signature(factory)
    except ValueError:  # a builtin
        return inspect.Signature()


def _local_names(factory: Factory) -> dict[str, Any]:
    """Keep the local names that the postponed annotations of a local function may use."""
    signature = _signature(factory)
    hints = [signature.return_annotation, *(p.annotation for p in signature.parameters.values())]
    names: dict[str, Any] = {}
    if "<locals>" in _full_names(factory)[0] and any(isinstance(hint, str) for hint in hints):
        module, frame = _globals(factory), inspect.currentframe()
        while frame is not None:
            if frame.f_globals is module and frame.f_locals is not module:
                names = {**frame.f_locals, **names}
            frame = frame.f_back
    return names


def _read(factory: Factory, names: Mapping[str, Any]) -> Recipe:
    signature, module, who = _signature(factory), _globals(factory), name_of(factory)
    needs: list[tuple[str, Marker, object]] = []
    contexts: list[str] = []
    faults: list[str] = []
    for name, parameter in signature.parameters.items():
        optional = parameter.default is not parameter.empty or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        )
        hint = _resolve(parameter.annotation, module, names)
        marker = find(hint)
        if marker is not None:
            needs.append((name, marker, typing.get_args(hint)[0]))
        elif (typing.get_origin(hint) or hint) is Context:
            contexts.append(name)
        elif hint is NameError and not optional:
            faults.append(
                f"Resource {who!r}: cannot resolve the annotation {parameter.annotation!r} "
                f"of parameter {name!r}."
            )
        elif not optional:
            faults.append(
                f"Resource {who!r} has a parameter {name!r} that is neither a Context "
                "nor a resource, and has no default."
            )
    inner = inspect.unwrap(_bare(factory))
    returned = inner if inspect.isclass(inner) else signature.return_annotation
    returned = _resolve(returned, module, names)
    kind = typing.get_origin(returned) or returned
    managed = (
        inspect.isgeneratorfunction(inner)  # then it is decorated, or there were no such resource
        or inspect.isasyncgenfunction(inner)
        or (isinstance(kind, type) and opens(cast("type[object]", kind)))
    )
    return Recipe(tuple(needs), tuple(contexts), managed, tuple(faults))


def _resolve(annotation: object, module: dict[str, Any], names: Mapping[str, Any]) -> Any:
    """Resolve an annotation; `NameError` itself stands for one that names what does not exist."""
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, module, {**names}, include_extras=True)["it"]
    except NameError:
        return NameError


def opens(kind: type[object]) -> bool:
    """Say whether the objects of a class are context managers that one enters and leaves.

    A lock is not: its block is for whoever holds it. Nor is a path: its block is a relic.
    """
    if hasattr(kind, "acquire") or issubclass(kind, PurePath):
        return False
    return _is_async(kind) or (hasattr(kind, "__enter__") and hasattr(kind, "__exit__"))


def _class_of(value: object) -> type[object]:
    return type(value)


def _is_async(kind: type[object]) -> bool:
    return hasattr(kind, "__aenter__") and hasattr(kind, "__aexit__")


async def _call(factory: Factory, given: Mapping[str, Any]) -> object:
    value: object = factory(**given)
    return await value if _is_coroutine(value) else value  # noqa: ASYNC910 - as the factory does


def _is_coroutine(value: object) -> TypeGuard[Coroutine[Any, Any, object]]:
    return isinstance(value, Coroutine) and not opens(_class_of(cast("Any", value)))


async def _enter(stack: AsyncExitStack, manager: Any) -> Any:
    if _is_async(_class_of(manager)):
        return await stack.enter_async_context(manager)
    return stack.enter_context(manager)  # noqa: ASYNC910 - as the context manager does


# ---------------------------------------------------------------- the workflow's scope


@attrs.frozen
class Made:
    """What a factory has made, and the scope at whose end it becomes unusable."""

    value: Any
    ends: Scope
    #: What it was made from that ends there, or itself.
    because_of: str = ""


class Shelf:
    """What has been made in one scope, and what is being made."""

    def __init__(self) -> None:
        self.made: dict[Factory, Made] = {}
        self.making: dict[Factory, Happening] = {}


@final
class ResourceManager:
    """The resources of a workflow object, and what takes their place.

    Every `Workflow` has one of its own. Make one yourself to put something in a factory's place, as
    in a test, or to have several workflow objects share what they make in scope `"workflow"`.

    Example:
        ```python
        manager = ResourceManager()
        await manager.set("connect", FakeDatabase())
        result = await Flow(resource_manager=manager).run(table="users")
        ```
    """

    def __init__(self) -> None:
        # What has no underscore is the strand's, not for users.
        self.shelf: Shelf = Shelf()
        #: The scopes of factories that had to be called before they were known.
        self.scopes: dict[Factory, Scope] = {}
        self._values: dict[str, Made] = {}
        self._configs: dict[tuple[ResourceConfig, object], Made] = {}
        #: What has been looked through and needs nothing that needs it.
        self._sound: MutableSet[Marker] = set()

    async def get(self, resource: Any) -> Any:
        """Return a resource, outside any run.

        A checkpoint. In scope `"workflow"` it is the one that the steps are given; in another
        scope it is a new one.

        Args:
            resource: `Resource(...)`, `ResourceConfig(...)`, or `Annotated[T, ...]` with one.

        Raises:
            TypeError: It is none of these.
            WorkflowRuntimeError: It lives in a run: it is a context manager, or needs a `Context`.
            Exception: What the factory raises.
        """
        await native.current().checkpoint()
        marker = resource if isinstance(resource, Resource | ResourceConfig) else find(resource)
        if marker is None:
            raise TypeError(f"get() takes a Resource or a ResourceConfig, not {resource!r}")
        hint = Any if marker is resource else typing.get_args(resource)[0]
        return await StepScope(self).get(marker, hint)

    async def set(self, name: str, value: Any) -> None:
        """Put a value in the place of what a factory makes, in every scope, from now on.

        A checkpoint. It is given as it is: a context manager is neither entered nor left.

        Args:
            name: The qualified name of the factory, with or without its module.
            value: What to give instead.
        """
        await native.current().checkpoint()
        self._values[name] = Made(value, Scope.WORKFLOW)
        self._sound.clear()

    def get_all(self) -> dict[str, Any]:
        """Return what was set, and what was made in scope `"workflow"`, by qualified name."""
        made = {_full_names(factory)[0]: it.value for factory, it in self.shelf.made.items()}
        return {**made, **{name: it.value for name, it in self._values.items()}}

    def given(self, marker: Marker, hint: object) -> Made | None:
        """Return what needs no making: what a factory was replaced by, or a config.

        Raises:
            ConfigFault: The config cannot be read, or does not fit.
        """
        if isinstance(marker, Resource):
            if not self._values:
                return None
            short, full = _full_names(marker.factory)
            return self._values.get(full) or self._values.get(short)
        key = (marker, hint)
        if key not in self._configs:
            self._configs[key] = Made(_load(marker, hint), Scope.WORKFLOW)
        return self._configs[key]

    def scope(self, wanted: Resource) -> Scope | None:
        """Return the scope of a resource; `None`: it will be known when it has been made once."""
        if wanted.declared is not None:
            return wanted.declared
        recipe = wanted.recipe
        if not wanted.cache and not recipe.managed:
            return Scope.STEP
        if recipe.managed and not recipe.needs:
            return Scope.RUN
        return self.scopes.get(wanted.factory)

    def walk(
        self, marker: Marker, hint: object
    ) -> Iterator[tuple[Marker, object, tuple[Factory, ...]]]:
        """Go through a resource and all that it needs, each with those that need it.

        Raises:
            ValueError: It needs itself.
        """
        return self._walk(marker, hint, (), set())

    def refuse_a_cycle(self, marker: Marker, hint: object) -> None:
        """Look through what a resource needs, once.

        Raises:
            ValueError: It needs itself.
        """
        if marker not in self._sound:
            deque(self.walk(marker, hint), maxlen=0)
            self._sound.add(marker)

    def _walk(
        self, marker: Marker, hint: object, above: tuple[Factory, ...], seen: MutableSet[Factory]
    ) -> Iterator[tuple[Marker, object, tuple[Factory, ...]]]:
        if isinstance(marker, ResourceConfig):
            yield marker, hint, above
            return
        factory = marker.factory
        if factory in above:
            names = " -> ".join(map(name_of, [*above[above.index(factory) :], factory]))
            raise ValueError(f"Circular resource dependency detected: {names}")
        if factory not in seen and self.given(marker, hint) is None:
            seen.add(factory)
            yield marker, hint, above
            for _, below, its_hint in marker.recipe.needs:
                yield from self._walk(below, its_hint, (*above, factory), seen)


# ---------------------------------------------------------------- a run's scope


class Keeper:
    """The task that holds one context manager open, seen from outside."""

    def __init__(self, name: str, backend: Backend) -> None:
        self.name = name
        #: It is open, or that has failed; it shall be left; it has been left.
        self.ready, self.release, self.done = backend.event(), backend.event(), backend.event()
        #: What ends a run does not take from its steps what their clean-up uses.
        self.scope = backend.cancel_scope(shield=True)
        self.is_open = False
        self.value: object = None
        self.error: BaseException | None = None


class RunScope:
    """The resources of one run: to be entered before its steps begin, left when all have ended.

    What goes wrong with a context manager after it was entered lies in `errors` then; it belongs to
    the failures of the run. If one breaks down while it is in use (a task in its nursery raises),
    the block is cancelled: without its resource the run cannot go on.
    """

    _native: Backend
    _nursery: Nursery
    _opened: AbstractAsyncContextManager[Nursery, bool | None]
    #: The context variables of the run's start, as for the steps.
    _variables: contextvars.Context

    def __init__(self, manager: ResourceManager, context: Context[Any]) -> None:
        self.manager = manager
        self.context = context
        self.shelf = Shelf()
        self.errors: list[BaseException] = []
        self._keepers: list[Keeper] = []

    def attempt(self, context: Callable[[], Context[Any]]) -> StepScope:
        """Make the scope of one attempt. `context` gives the attempt's, if it is asked for."""
        return StepScope(self.manager, self, context)

    async def __aenter__(self) -> Self:
        self._native = native.current()
        self._variables = contextvars.copy_context()
        self._opened = self._native.open_nursery()
        self._nursery = await self._opened.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> bool | None:
        with self._native.cancel_scope(shield=True):
            for keeper in reversed(self._keepers):
                keeper.release.set()
                await keeper.done.wait()  # noqa: ASYNC102 - clean-up may take as long as it needs
        self.shelf = Shelf()
        self._keepers = []
        return await self._opened.__aexit__(exc_type, exc, traceback)  # noqa: ASYNC102 - none is left

    async def keep(self, name: str, manager: object) -> object:
        """Enter a context manager, and hold it until the end of the run."""
        keeper = Keeper(name, self._native)
        hold = functools.partial(self._hold, keeper, manager)
        self._variables.run(lambda: self._nursery.start_soon(hold, name=f"resource {name}"))
        try:
            await keeper.ready.wait()
        except self._native.cancelled:
            if keeper.is_open:
                keeper.release.set()
            else:
                keeper.scope.cancel()
            with self._native.cancel_scope(shield=True):
                await keeper.done.wait()  # noqa: ASYNC120 - it is shielded
            if keeper.error is None or keeper.is_open:
                raise
        if keeper.error is not None and not keeper.is_open:
            raise keeper.error
        return keeper.value

    async def _hold(  # noqa: ASYNC910 - it waits to be released
        self, keeper: Keeper, manager: object
    ) -> None:
        try:
            with keeper.scope:
                async with AsyncExitStack() as stack:
                    keeper.value = await _enter(stack, manager)
                    keeper.is_open = True
                    self._keepers.append(keeper)
                    keeper.ready.set()
                    await keeper.release.wait()
        except BaseException as error:  # noqa: ASYNC103, BLE001 - told to the asker or the run
            keeper.error = error
            if keeper.is_open:
                self.errors.append(error)
                in_use = not keeper.release.is_set()
                error.add_note(f"while {'using' if in_use else 'closing'} resource {keeper.name!r}")
                if in_use:
                    self._nursery.cancel_scope.cancel()
        finally:
            keeper.ready.set()
            keeper.done.set()


# ---------------------------------------------------------------- an attempt's scope


class StepScope:
    """The resources of one attempt, as if its body stood inside the blocks of its context managers.

    With one difference: no failure hides another. If the body fails, and a context manager then
    fails by itself, both come out, as an `ExceptionGroup`.
    """

    def __init__(
        self,
        manager: ResourceManager,
        run: RunScope | None = None,
        context: Callable[[], Context[Any]] | None = None,
    ) -> None:
        self._manager = manager
        self._run = run
        self._context = context
        self._shelf = Shelf()
        self._open: list[tuple[str, AsyncExitStack]] = []
        #: It lies around the context managers, and becomes a shield when they are left.
        self._shelter: CancelScope | None = None

    async def get(self, marker: Marker, hint: object) -> Any:
        """Return what a parameter with this marker and type is given.

        Raises:
            WorkflowValidationError: The resource cannot work as it is written.
            ValueError: It needs itself.
            Exception: What the factory raises.
        """
        try:
            made = self._manager.given(marker, hint) or self._at_hand(marker)
            if made is None:
                self._manager.refuse_a_cycle(marker, hint)
                made = await self._made(marker, hint)
        except ConfigFault as fault:
            raise WorkflowValidationError(_config_text([str(fault)])) from fault
        return made.value  # noqa: ASYNC910 - the body decides whether it suspends

    def _at(self, scope: Scope | None) -> Shelf:
        if scope is None or scope is Scope.WORKFLOW:
            return self._manager.shelf
        return self._shelf if scope is Scope.STEP or self._run is None else self._run.shelf

    def _at_hand(self, wanted: Marker) -> Made | None:
        assert isinstance(wanted, Resource)
        scope = self._manager.scope(wanted)
        return None if scope is None else self._at(scope).made.get(wanted.factory)

    async def _made(self, wanted: Marker, hint: object) -> Made:
        """Rules 1 and 5."""
        while (made := self._manager.given(wanted, hint) or self._at_hand(wanted)) is None:
            assert isinstance(wanted, Resource)
            scope = self._manager.scope(wanted)
            making = self._at(scope).making
            if scope is Scope.STEP:  # nobody else asks
                _, made = await self._make(wanted, scope)
                self._shelf.made[wanted.factory] = made
                return made
            if wanted.factory not in making:
                return await self._make_alone(wanted, scope, making)
            await making[wanted.factory].wait()
        return made  # noqa: ASYNC910 - the same

    async def _make_alone(
        self, wanted: Resource, scope: Scope | None, making: dict[Factory, Happening]
    ) -> Made:
        done = making[wanted.factory] = native.current().event()
        try:
            kept, made = await self._make(wanted, scope)
            if scope is None:
                self._manager.scopes[wanted.factory] = kept
            self._at(kept).made[wanted.factory] = made
        finally:
            del making[wanted.factory]
            done.set()
        return made

    async def _make(self, wanted: Resource, scope: Scope | None) -> tuple[Scope, Made]:
        """Make it; say in which scope it is kept. Rule 4."""
        recipe, name = wanted.recipe, name_of(wanted.factory)
        if faults := [*_faults(wanted)]:
            raise WorkflowValidationError(*faults)
        if self._run is None and (recipe.managed or recipe.contexts):
            raise _lives_in_a_run(name)
        given: dict[str, Any] = {}
        longest = Made(None, Scope.RUN if recipe.contexts else Scope.WORKFLOW, "its Context")
        for parameter, marker, hint in recipe.needs:
            made = await self._made(marker, hint)
            given[parameter] = made.value
            longest = min(longest, made, key=lambda each: each.ends)
        if wanted.scope is not None and scope is not None and longest.ends < scope:
            raise WorkflowValidationError(
                f"Resource {name!r} cannot have scope {wanted.scope!r}: it would outlive "
                f"{longest.because_of}. Use scope={longest.ends.name.lower()!r}."
            )
        of_step = Scope.STEP in (scope, longest.ends)
        for parameter in recipe.contexts:
            assert self._run is not None
            assert self._context is not None
            given[parameter] = self._context() if of_step else self._run.context
        value = await _call(wanted.factory, given)
        managed = opens(_class_of(value))
        if scope is None:
            scope = min(Scope.RUN if managed else Scope.WORKFLOW, longest.ends)
        if managed:
            value = await self._opened(name, value, scope)
        if managed or recipe.contexts:
            return scope, Made(value, scope, f"resource {name!r}")
        return scope, Made(value, longest.ends, longest.because_of)

    async def _opened(self, name: str, manager: object, scope: Scope) -> object:
        if scope is Scope.WORKFLOW:
            raise WorkflowValidationError(MANAGED_BY_WORKFLOW)
        if self._run is None:
            raise _lives_in_a_run(name)
        if scope is Scope.RUN:
            return await self._run.keep(name, manager)
        if self._shelter is None:
            shelter = native.current().cancel_scope()
            shelter.__enter__()
            self._shelter = shelter
        stack = AsyncExitStack()
        value = await _enter(stack, manager)
        self._open.append((name, stack))
        return cast("object", value)

    # ------------------------------------------------------------ the end of the attempt

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> bool:
        if self._shelter is None:
            return False  # noqa: ASYNC910 - the same
        self._shelter.shield = True
        left = exc
        while self._open:
            name, stack = self._open.pop()
            try:
                if await stack.__aexit__(  # noqa: ASYNC102 - shielded by the shelter
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
        return left is not exc  # noqa: ASYNC910 - the same


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


def _lives_in_a_run(name: str) -> WorkflowRuntimeError:
    return WorkflowRuntimeError(
        f"Resource {name!r} lives in a run. Ask for it in a step: Annotated[..., Resource({name})]"
    )


# ---------------------------------------------------------------- before a run


def _faults(wanted: Resource) -> Iterator[str]:
    """Say what is wrong with a resource, as far as that is known before it is made."""
    recipe = wanted.recipe
    yield from recipe.faults
    if wanted.scope == "workflow" and recipe.managed:
        yield MANAGED_BY_WORKFLOW
    if wanted.scope == "workflow" and recipe.contexts:
        yield (
            f"Resource {name_of(wanted.factory)!r} of scope 'workflow' cannot be given a Context. "
            "Use scope='run'."
        )


def check(
    step: str,
    asked: Iterable[tuple[str, Marker, object]],
    manager: ResourceManager,
    *,
    configs: bool = True,
    resources: bool = False,
) -> list[str]:
    """Say what is wrong with the resources of one step. No factory is called.

    Args:
        step: Its name.
        asked: Its parameters: name, marker and type of each.
        manager: The workflow's.
        configs: Read the files of its configs.
        resources: Report cycles too, which otherwise are errors of the step that asks.
    """
    faults: dict[str, None] = {}
    in_configs: list[str] = []
    for name, marker, hint in asked:
        where = f"In step {step!r}, parameter {name!r}"
        try:
            for each, its_hint, above in manager.walk(marker, hint):
                if isinstance(each, Resource):
                    faults.update(dict.fromkeys(_faults(each)))
                elif configs:
                    try:
                        manager.given(each, its_hint)
                    except ConfigFault as fault:
                        way = f" ({' -> '.join(map(name_of, above))})" if above else ""
                        in_configs.append(f"{where}{way}: {fault}")
        except ValueError as cycle:
            if resources:
                faults[f"{where}: {cycle}"] = None
    if in_configs:
        faults[_config_text(in_configs)] = None
    return [*faults]


def _config_text(lines: Iterable[str]) -> str:
    return "\n  - ".join(["Resource config validation failed:", *lines])


# ---------------------------------------------------------------- configs


class ConfigFault(Exception):  # noqa: N818 - a signal inside this module
    """A config cannot be read, or does not fit its class."""


#: What JSON has of its own: given as it is.
PLAIN: Final = (dict, list, str, int, float, bool)


def _load(config: ResourceConfig, hint: object) -> object:
    file, selector = config.config_file, config.path_selector
    try:
        data = json.loads(Path(file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigFault(f"No such file: {file}") from None
    except OSError as error:
        raise ConfigFault(f"Cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigFault(f"Not a JSON file: {file}: {error}") from error
    try:
        for segment in () if selector is None else selector.split("."):
            data = data[int(segment) if isinstance(data, list) else segment]
    except (LookupError, TypeError, ValueError):
        raise ConfigFault(f"No {selector!r} in {file}") from None
    where = file if selector is None else f"{selector!r} of {file}"
    try:
        return _build(data, hint)
    except Exception as error:
        raise ConfigFault(f"{where} is no {getattr(hint, '__name__', hint)}: {error}") from error


def _build(data: object, hint: Any) -> object:
    """Make what a parameter is given. What this raises says why it cannot be made."""
    if hint in (Any, object):
        return data
    if hint in PLAIN:
        return _exactly(data, hint)
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(hint, type) and issubclass(hint, pydantic.BaseModel):
        return cast("Any", hint).model_validate(data)
    from cattrs import BaseValidationError, transform_error  # noqa: PLC0415 - for who needs it
    from cattrs.preconf.json import make_converter  # noqa: PLC0415

    converter = make_converter()
    for kind in PLAIN[2:]:
        converter.register_structure_hook(kind, _exactly)
    try:
        return cast("object", converter.structure(data, hint))
    except BaseValidationError as error:
        raise ValueError("; ".join(transform_error(error))) from error


def _exactly(value: object, kind: type) -> object:
    """Take a value as it is, if it is of its type; cattrs alone would make `1` of `"1"`."""
    if type(value) is kind or (kind is float and type(value) is int):
        return value
    raise TypeError(f"expected {kind.__name__}, not {value!r}")


publish("plait", Resource, ResourceConfig)
publish("plait.events", ResourceManager)
