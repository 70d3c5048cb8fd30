"""Markers: what stands in the annotation of a parameter that is lent something."""

from __future__ import annotations

import enum
import inspect
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, cast, final

import attrs

from plait._naming import publish

from .factory import Factory, local_names, name_of


class Scope(enum.IntEnum):
    """How long something lasts; the shorter, the less."""

    STEP = 0
    RUN = 1
    WORKFLOW = 2


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
    #: What is left is the strand's, not for users: the scope, in the words of this module;
    declared: Scope | None = attrs.field(
        init=False, repr=False, default=None, on_setattr=attrs.setters.NO_OP
    )
    #: the local names that its annotations may use, until they have been read; what was read then.
    _names: Mapping[str, Any] = attrs.field(init=False, repr=False, on_setattr=attrs.setters.NO_OP)
    _recipe: object = attrs.field(
        init=False, repr=False, default=None, on_setattr=attrs.setters.NO_OP
    )

    def __attrs_post_init__(self) -> None:
        self.declared = None if self.scope is None else Scope[self.scope.upper()]
        self._names = local_names(self.factory)


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


publish("plait", Resource, ResourceConfig)
