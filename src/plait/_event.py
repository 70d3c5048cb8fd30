"""The event classes: what steps take and return, and the only thing that moves through a run.

An event is a frozen attrs class, and inheriting makes it one: `__init_subclass__` works on each
subclass in place. No decorator can be forgotten, and no metaclass collides with another library's.

Rule 1: A field is an annotated class attribute that is no `ClassVar`. attrs finds the fields;
        defaults, converters, validators and `__attrs_post_init__` are attrs' own.
Rule 2: A class with fields is closed: a keyword that it does not declare is a `TypeError`. A class
        without fields is open, and so are one with `extra=True` and its subclasses.
Rule 3: The undeclared fields of an open event lie twice in it. In its `__dict__`, where `ev.x` is
        as fast as any attribute and wins over a method named `x`; and as a mapping in the field
        `__plait_undeclared__`, which open classes have and closed ones have not. Since that is a
        field, attrs compares and hashes it, and `evolve`, `copy`, `pickle` and cattrs carry it
        along; and a cached property, which lies in the `__dict__` as well, is not taken for one.
Rule 4: Some fields give way: a class that has any other field has not got them. They are
        `__plait_undeclared__` (which stays with `extra=True`) and `StopEvent.result`.

An engine reads what it needs from the class, since an event's own field might shadow it there:
`__plait_name__` (on the wire), `__plait_version__`, `__plait_observable__`, `__plait_open__` and
`__plait_fields__` (the names of the declared fields). They are private to plait.
"""

import difflib
import enum
import inspect
import reprlib
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from copy import copy, deepcopy
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, dataclass_transform

import attrs

from plait._errors import ContextSerdeError
from plait._naming import publish
from plait._show import show

#: The field of rule 3.
UNDECLARED: Final = "__plait_undeclared__"
#: Characters of a value in a note.
_MOST_OF_A_VALUE: Final = 50
#: In the metadata of the fields of rule 4.
GIVES_WAY: Final = "plait: gives way"


class _Undeclared(dict[str, Any]):
    """Undeclared fields, hashable if their values are. Never changed once its event is made."""

    def __hash__(self) -> int:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return hash(frozenset(self.items()))


_NONE: Final = _Undeclared()


@attrs.frozen(slots=False)
class _Attrs:
    """Tells mypy what it cannot see: that an event is an attrs class, and fit for `evolve`."""


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(attrs.field,))
class Event(_Attrs):
    """A message from step to step. Subclass it and annotate what the message carries.

    Fields are passed by keyword and cannot be assigned. Events are equal if their classes and
    fields are, hashable if all values are, and always true. `Event` itself takes any field, and so
    does a subclass that declares none or says `extra=True`: what the class does not declare can
    be read as an attribute, and as an item too.

    Raises:
        TypeError: A field that the class does not have, or none where it needs one.

    Example:
        >>> class Query(Event):
        ...     text: str
        ...     limit: int = 10
        >>> Query(text="trio")
        Query(text='trio', limit=10)
        >>> Query(txt="trio")
        Traceback (most recent call last):
        TypeError: Query() got an unexpected field 'txt'. Did you mean 'text'?
        >>> event = Event(city="Oslo")
        >>> event.city, event["city"], event.get("country", "Norway"), list(event)
        ('Oslo', 'Oslo', 'Norway', ['city'])
    """

    __attrs_init__: ClassVar[Callable[..., None]]
    __plait_name__: ClassVar[str]
    __plait_version__: ClassVar[int]
    __plait_observable__: ClassVar[bool] = False
    __plait_extra__: ClassVar[bool] = False
    __plait_open__: ClassVar[bool]
    __plait_fields__: ClassVar[tuple[str, ...]]

    __plait_undeclared__: Mapping[str, Any] = attrs.field(
        default=_NONE, repr=False, metadata={GIVES_WAY: True}
    )

    if TYPE_CHECKING:
        # They take a class without an `__init__` of its own to take its fields: those of an open
        # class have to be told. The fields of this class itself they do not see.
        def __init__(self, **fields: Any) -> None: ...

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        version: int = 1,
        extra: bool = False,
        observable: bool = False,
    ) -> None:
        """Make the new class an event class.

        Args:
            name: What the class is called in stored runs: `module.qualname` by default. With a
                name of its own, a class can move and be renamed. Not inherited.
            version: To be raised when the fields change, see `upgrade()`. Not inherited.
            extra: Whether the class takes fields beside those that it declares. Inherited.
            observable: Whether its events are for the stream: they are streamed when a step
                returns or sends them, and no step need accept them. Inherited.

        Raises:
            attrs.exceptions.UnannotatedAttributeError: An `attrs.field()` has no annotation.

        Example:
            >>> class Progress(Event, name="shop.progress", observable=True):
            ...     percent: int
        """
        super().__init_subclass__()
        cls.__plait_name__ = f"{cls.__module__}.{cls.__qualname__}" if name is None else name
        cls.__plait_version__ = version
        if observable:
            cls.__plait_observable__ = True
        if extra:
            cls.__plait_extra__ = True
        attrs.define(
            cls,
            slots=False,  # with slots attrs makes a second class, which nobody holds
            frozen=True,
            kw_only=True,
            auto_attribs=True,
            init=False,
            repr=False,
            field_transformer=_settle_fields,
        )
        # By `setattr`: if type checkers saw it, they would let `event.txt = ...` pass.
        setattr(cls, "__setattr__", _refuse_assignment)  # noqa: B010
        names = [field.name for field in attrs.fields(cls)]
        cls.__plait_open__ = UNDECLARED in names
        cls.__plait_fields__ = tuple(name for name in names if name != UNDECLARED)
        if "__init__" not in vars(cls):
            cls.__init__ = _make_init(cls)  # type: ignore[method-assign]

    @classmethod
    def upgrade(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        """Turn the fields that another version of this class stored into those of today.

        It is called when a stored event has not the version of the class. This one refuses.

        Args:
            data: The fields as they were stored; yours to change and return.
            version: The version of the class that stored them.

        Raises:
            ContextSerdeError: The class has no `upgrade()` of its own.

        Example:
            >>> class Query(Event, version=2):
            ...     text: str
            ...
            ...     @classmethod
            ...     def upgrade(cls, data, version):
            ...         return {"text": data["txt"]}
        """
        del data
        raise ContextSerdeError(
            f"{cls.__plait_name__}: cannot load version {version}, "
            f"the class is version {cls.__plait_version__} and has no upgrade()."
        )

    # A field wins over a method of its name: nothing below calls a method of `self` by its name.

    def to_dict(self) -> dict[str, Any]:
        """All fields with their values as they are, the declared ones first.

        Example:
            >>> StopEvent("done", seconds=7).to_dict()
            {'result': 'done', 'seconds': 7}
        """
        declared = {name: getattr(self, name) for name in type(self).__plait_fields__}
        return {**declared, **self.__plait_undeclared__}

    def __getitem__(self, key: str) -> Any:
        try:
            return self.__plait_undeclared__[key]
        except KeyError as error:
            if key in type(self).__plait_fields__:
                error.add_note(f"{key!r} is a declared field. Write: event.{key}")
            raise

    def __contains__(self, key: object) -> bool:
        return key in self.__plait_undeclared__

    def __iter__(self) -> Iterator[str]:
        return iter(self.__plait_undeclared__)

    def __len__(self) -> int:
        return len(self.__plait_undeclared__)

    def __bool__(self) -> bool:
        return True

    def get(self, key: str, default: Any = None) -> Any:
        """The undeclared field *key*, or *default* if there is none."""
        return self.__plait_undeclared__.get(key, default)

    def keys(self) -> KeysView[str]:
        """The names of the undeclared fields."""
        return self.__plait_undeclared__.keys()

    def values(self) -> ValuesView[Any]:
        """The values of the undeclared fields."""
        return self.__plait_undeclared__.values()

    def items(self) -> ItemsView[str, Any]:
        """The names and values of the undeclared fields."""
        return self.__plait_undeclared__.items()

    @reprlib.recursive_repr()
    def __repr__(self) -> str:
        shown: list[str] = []
        for field in attrs.fields(type(self)):
            if field.repr:
                show = field.repr if callable(field.repr) else repr
                shown.append(f"{field.name}={show(getattr(self, field.name))}")
        shown += [f"{name}={value!r}" for name, value in self.__plait_undeclared__.items()]
        return f"{type(self).__name__}({', '.join(shown)})"


def _settle_fields(cls: type[Event], fields: list[Any]) -> list[Any]:
    """The fields that attrs found, after rule 4 and two corrections.

    A field `_p` is passed as `_p=`: attrs would say `p=`, type checkers say `_p=`. And a mutable
    default becomes a factory: attrs would give the same list to every event.
    """
    for field in fields:
        if type(field.default).__module__.partition(".")[0] == "pydantic":
            raise TypeError(
                f"{cls.__name__}.{field.name}: an event is an attrs class. Write "
                f"attrs.field(default=...) or attrs.field(factory=...), not pydantic's Field(...)"
            )
    if any(GIVES_WAY not in field.metadata for field in fields):
        stays = UNDECLARED if cls.__plait_extra__ else None
        fields = [f for f in fields if f.name == stays or GIVES_WAY not in f.metadata]
    return [
        field.evolve(
            alias=field.name if field.alias_is_default else field.alias,
            default=_unshared(field.default),
        )
        for field in fields
    ]


def _unshared(default: object) -> object:
    """*default*, or a factory for what is like it but belongs to one event."""
    if default is _NONE or not isinstance(default, (list, dict, set)):
        return default
    # Nearly all are empty; for those `copy` takes 0.1 us and `deepcopy` 0.9.
    return attrs.Factory(partial(deepcopy if default else copy, default))


# No field can have a name that begins with `__`: Python would have mangled it.
_CLOSED_INIT: Final = """\
def __init__(self, /, {parameters}):
    if __positional or __more{or_one_is_missing}:
        raise __refusal(self, __positional, __more, {needed})
    __attrs_init(self, {arguments})
"""
_OPEN_INIT: Final = """\
def __init__(self, /, {parameters}):
    if __positional{or_one_is_missing}:
        raise __refusal(self, __positional, (), {needed})
    if __more or __plait_undeclared__:
        __plait_undeclared__ = __keep(self, __plait_undeclared__, __more)
    __attrs_init(self, {arguments})
"""


def _make_init(cls: type[Event]) -> Any:
    """An `__init__` that knows every wrong argument by name, and leaves the right ones to attrs.

    Only a function with `**` sees an unknown keyword; and only if each field may be left out does
    it see it first, for Python would say of `Query(txt="x")` that `text` is missing. Written out
    for each class that costs 0.1 us an event: `Query(text="x")` takes 0.43 us with the bare
    `__init__` of attrs, 0.54 with this one, and 0.71 with a wrapper that forwards `**fields`.
    """
    signature = inspect.signature(cls.__attrs_init__)
    itself, *parameters = signature.parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty]

    def declare(kind: object) -> list[str]:
        return [f"{p.name}=__defaults[{p.name!r}]" for p in parameters if p.kind is kind]

    by_position = declare(inspect.Parameter.POSITIONAL_OR_KEYWORD)
    by_keyword = declare(inspect.Parameter.KEYWORD_ONLY)
    source = (_OPEN_INIT if cls.__plait_open__ else _CLOSED_INIT).format(
        parameters=", ".join([*by_position, "*__positional", *by_keyword, "**__more"]),
        or_one_is_missing="".join(f" or {name} is __NOTHING" for name in needed),
        needed="{" + ", ".join(f"{name!r}: {name}" for name in needed) + "}",
        arguments=", ".join(f"{p.name}={p.name}" for p in parameters),
    )
    scope: dict[str, Any] = {
        "__name__": cls.__module__,
        "__NOTHING": attrs.NOTHING,
        "__attrs_init": cls.__attrs_init__,
        "__defaults": {
            p.name: attrs.NOTHING if p.default is p.empty else p.default for p in parameters
        },
        "__keep": _keep,
        "__refusal": _refusal,
    }
    exec(compile(source, f"<plait {cls.__qualname__}.__init__>", "exec"), scope)  # noqa: S102
    # For help() and notebooks, what can be written instead of what was generated.
    shown = [itself, *(p for p in parameters if p.name != UNDECLARED)]
    if cls.__plait_open__:
        shown.append(inspect.Parameter("__fields", inspect.Parameter.VAR_KEYWORD, annotation=Any))
    scope["__init__"].__signature__ = signature.replace(parameters=shown)
    return scope["__init__"]


def _refuse_assignment(_event: Event, name: str, value: object) -> None:
    """Stand in for what attrs has for frozen classes, which says no more than "can't set"."""
    error = attrs.exceptions.FrozenInstanceError()
    error.add_note(f"Events are frozen. Write attrs.evolve(event, {name}={value!r})")
    raise error


def _keep(event: Event, carried: dict[str, Any], more: dict[str, Any]) -> _Undeclared:
    """Put undeclared fields into *event*, both ways of rule 3. `evolve` passes those *carried*."""
    # With an alias or `init=False` a declared field is no keyword, and yet its name is taken.
    for name in type(event).__plait_fields__:
        if name in more:
            raise _refusal(event, (), [name], {})
    undeclared = _Undeclared(carried | more if carried else more)
    vars(event).update(undeclared)
    return undeclared


def give_undeclared(event: Event, fields: dict[str, Any]) -> None:
    """Give a half-made event of an open class its undeclared fields: for codecs."""
    state = vars(event)
    state.update(fields)
    state[UNDECLARED] = _Undeclared(fields) if fields else _NONE


def _refusal(
    event: Event, positional: tuple[object, ...], more: Iterable[str], needed: Mapping[str, object]
) -> TypeError:
    """The `TypeError` for wrong arguments. A misspelt field comes before a missing one."""
    name = type(event).__name__
    takes = [f for f in attrs.fields(type(event)) if f.init and f.name != UNDECLARED]
    if positional:
        first = ", ".join(f.alias for f in takes if not f.kw_only)
        error = TypeError(f"{name}() takes keyword arguments only" + (first and f" after {first}"))
        named = [f.alias for f in takes if f.kw_only]
        if named and not first:
            parts = (
                f"{key}={show(value, _MOST_OF_A_VALUE)}"
                for key, value in zip(named, positional, strict=False)
            )
            error.add_note(f"Write {name}({', '.join(parts)})")
        return error
    known = [f.alias for f in takes]
    lines: list[str] = []
    for wrong in more:
        close = difflib.get_close_matches(wrong, known, n=1)
        cure = f"Did you mean {close[0]!r}?" if close else f"It takes: {', '.join(known)}"
        lines.append(f"{name}() got an unexpected field {wrong!r}. {cure}")
    missing = ", ".join(repr(field) for field, value in needed.items() if value is attrs.NOTHING)
    return TypeError("\n".join(lines) or f"{name}() is missing {missing}")


# Python calls it for subclasses only. Here and below, the names on the wire are fixed: a stored run
# must not depend on where plait keeps its classes.
Event.__init_subclass__(name="plait.Event")
Event.__plait_undeclared__ = _NONE  # for the events of closed classes


class StartEvent(Event, name="plait.StartEvent"):
    """The event that starts a run: `run(topic="x")` makes one, with these fields.

    Example:
        >>> class Begin(StartEvent):
        ...     topic: str
        >>> Begin(topic="braids")
        Begin(topic='braids')
    """

    if TYPE_CHECKING:

        def __init__(self, **fields: Any) -> None: ...

        # Most people read its fields undeclared; an heir pays with its misspelt reads.
        def __getattr__(self, name: str, /) -> Any: ...


class StopEvent(Event, name="plait.StopEvent"):
    """The event that ends a run. The run's result is its `.result`, or an heir as it is.

    Args:
        result: The result of the run, also by position. A subclass with fields takes it only if
            it declares it; else its `.result` is `None`.
        **fields: What else the event shall carry.

    Example:
        >>> class Report(StopEvent):
        ...     total: int
        >>> StopEvent("done").result, Report(total=3).total
        ('done', 3)
    """

    if TYPE_CHECKING:
        result: Any = attrs.field(init=False, default=None)

        def __init__(self, result: Any = None, **fields: Any) -> None: ...
    else:
        result: Any = attrs.field(default=None, kw_only=False, metadata={GIVES_WAY: True})


StopEvent.result = None  # for subclasses with fields


class InputRequiredEvent(Event, name="plait.InputRequiredEvent", observable=True):
    """A question to a human. It is streamed, and no step need accept it.

    Example:
        >>> question = InputRequiredEvent(prefix="Go on?")
    """

    if TYPE_CHECKING:

        def __init__(self, **fields: Any) -> None: ...

        # Most people read its fields undeclared; an heir pays with its misspelt reads.
        def __getattr__(self, name: str, /) -> Any: ...


class HumanResponseEvent(Event, name="plait.HumanResponseEvent"):
    """A human's answer. It comes from outside: `run.send_event(HumanResponseEvent(...))`.

    Example:
        >>> answer = HumanResponseEvent(response="yes")
    """

    if TYPE_CHECKING:

        def __init__(self, **fields: Any) -> None: ...

        # Most people read its fields undeclared; an heir pays with its misspelt reads.
        def __getattr__(self, name: str, /) -> Any: ...


class WorkflowFailedEvent(StopEvent, name="plait.events.WorkflowFailedEvent"):
    """Ends the stream of a run that failed, in a step or (without `step_name`) by a stall.

    Example:
        >>> match WorkflowFailedEvent(
        ...     step_name="ask", exception=OSError("down"), attempts=3, elapsed_seconds=1.5
        ... ):
        ...     case WorkflowFailedEvent(step_name=step, exception=error):
        ...         print(step, error)
        ask down
    """

    step_name: str | None
    exception: BaseException
    attempts: int
    elapsed_seconds: float


class WorkflowTimedOutEvent(StopEvent, name="plait.events.WorkflowTimedOutEvent"):
    """Ends the stream of a run that took longer than its `timeout` in seconds.

    Example:
        >>> WorkflowTimedOutEvent(timeout=0.1, active_steps=["ask"]).active_steps
        ['ask']
    """

    timeout: float
    active_steps: list[str]


class WorkflowCancelledEvent(StopEvent, name="plait.events.WorkflowCancelledEvent"):
    """Ends the stream of a run that was cancelled.

    Example:
        >>> isinstance(WorkflowCancelledEvent(), StopEvent)
        True
    """


class StepFailedEvent(Event, name="plait.events.StepFailedEvent"):
    """A step failed for good, at `failed_at` (UTC). For `@catch_error`, and fan-ins that list it.

    Example:
        >>> async def mend(self, ev: StepFailedEvent) -> StopEvent:
        ...     return StopEvent(result=f"{ev.step_name}: {ev.exception}")
    """

    step_name: str
    input_event: Any
    exception: Exception
    attempts: int
    elapsed_seconds: float
    failed_at: datetime


class ChildEvent(Event, name="plait.events.ChildEvent"):
    """An event of a child's stream in its parent's. `path`: workflows and steps, outermost first.

    Example:
        >>> path = ("Parent", "ask", "Child")
        >>> ChildEvent(event=StopEvent(1), workflow="Child", run_id="7", path=path).event
        StopEvent(result=1)
    """

    event: Event
    workflow: str
    run_id: str
    path: tuple[str, ...]


class InternalDispatchEvent(Event, name="plait.events.InternalDispatchEvent"):
    """An event about the run itself, shown by `run.stream_events(expose_internal=True)`.

    Example:
        >>> issubclass(StepStateChanged, InternalDispatchEvent)
        True
    """


class StepState(enum.Enum):
    """What a delivery has begun to do: wait for a free worker, run, or rest for good.

    Example:
        >>> StepState("preparing")
        <StepState.PREPARING: 'preparing'>
    """

    PREPARING = "preparing"
    RUNNING = "running"
    NOT_RUNNING = "not_running"


class StepStateChanged(InternalDispatchEvent, name="plait.events.StepStateChanged"):
    """A delivery of step `name` is in another state. While preparing its worker is `<enqueued>`.

    Example:
        >>> def is_start(event: StepStateChanged) -> bool:
        ...     return event.step_state is StepState.RUNNING
    """

    name: str
    step_state: StepState
    worker_id: str
    input_event_name: str
    output_event_name: str | None


class WorkflowIdleEvent(InternalDispatchEvent, name="plait.events.WorkflowIdleEvent"):
    """The run goes on only if an event comes from outside; `run.explain()` says the same.

    Example:
        >>> print(WorkflowIdleEvent(explanation="Workflow 'W' is idle").explanation)
        Workflow 'W' is idle
    """

    explanation: str


publish("plait", Event, StartEvent, StopEvent, InputRequiredEvent, HumanResponseEvent)
publish(
    "plait.events",
    WorkflowFailedEvent,
    WorkflowTimedOutEvent,
    WorkflowCancelledEvent,
    StepFailedEvent,
    ChildEvent,
    InternalDispatchEvent,
    StepState,
    StepStateChanged,
    WorkflowIdleEvent,
)
