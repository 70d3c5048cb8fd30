"""`Checkpoint`: how a run stood when one of its steps had returned, and nobody had got that yet.

Rule: A checkpoint does not change. What it has of the run's state is a text, and who asks for it gets a
    copy of his own; of lists as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Self, cast

import attrs

from plait._errors import ContextSerdeError
from plait._event import Event
from plait._journal.known_classes import known_classes
from plait._naming import publish

from .serializers import BaseSerializer, values_for

if TYPE_CHECKING:
    from plait._journal.values import Values

    from .workflow import Workflow

FORMAT: Final = "plait.checkpoint"
VERSION: Final = 1
#: The keys of a checkpoint's text, and what each holds.
KEYS: Final[dict[str, type]] = {
    "format": str,
    "version": int,
    "id_": str,
    "last_completed_step": str,
    "input_event": object,
    "output_event": object,
    "ctx_state": dict,
}

Events = Event | list[Event]


class Kept:
    """A run's state, as a text: from the start, or from when somebody first asks for it."""

    __slots__ = ("_make", "_text")

    def __init__(self, make: Callable[[], Mapping[str, Any]]) -> None:
        self._make = make
        self._text: str | None = None

    @property
    def text(self) -> str:
        """The text. The same state has the same."""
        if self._text is None:
            self._text = json.dumps(self._make(), sort_keys=True, ensure_ascii=False)
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Kept) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


def _kept(state: Mapping[str, Any] | Kept) -> Kept:
    if isinstance(state, Kept):
        return state
    kept = Kept(lambda: state)
    assert kept.text  # now: what was given may change
    return kept


def _unshared(given: Events) -> Event | tuple[Event, ...]:
    return tuple(given) if isinstance(given, list) else given


@attrs.frozen(repr=False)
class Checkpoint:
    """How a run stood when one of its steps had returned something, before anybody got that.

    It does not change, and it is all that `WorkflowCheckpointer.run_from` needs. Two are equal if all
    they have is equal.

    Args:
        id_: Its name: the run's, a colon, and the number of the delivery that has ended.
        last_completed_step: The name of the step that has returned.
        input_event: What the step was given: an event, or a list of several.
        output_event: What it has returned: an event, or a list of them.
        ctx_state: The run without this delivery and without its output, as `Context.to_dict()`
            writes it.

    Example:
        ```python
        for checkpoint in checkpointer.checkpoints[run.run_id]:
            print(checkpoint.last_completed_step, checkpoint.output_event)
        ```
    """

    id_: str
    last_completed_step: str
    _input: Event | tuple[Event, ...] = attrs.field(alias="input_event", converter=_unshared)
    _output: Event | tuple[Event, ...] = attrs.field(alias="output_event", converter=_unshared)
    _state: Kept = attrs.field(alias="ctx_state", converter=_kept)
    #: What knows the classes of its events, if somebody does.
    _values: Any = attrs.field(init=False, default=None, eq=False)

    @property
    def input_event(self) -> Events:
        """What the step was given: an event, or a list of several."""
        return [*self._input] if isinstance(self._input, tuple) else self._input

    @property
    def output_event(self) -> Events:
        """What the step has returned: an event, or a list of them."""
        return [*self._output] if isinstance(self._output, tuple) else self._output

    @property
    def ctx_state(self) -> dict[str, Any]:
        """The run without this delivery and without its output: a new dict each time."""
        return cast("dict[str, Any]", json.loads(self._state.text))

    def to_json(self) -> str:
        """Write it as a text. Not a checkpoint.

        Raises:
            ContextSerdeError: Its events cannot be written.

        Example:
            ```python
            path.write_text(checkpoint.to_json())
            ```
        """
        values: Values = self._values or self._own_values()
        written = {
            "format": FORMAT,
            "version": VERSION,
            "id_": self.id_,
            "last_completed_step": self.last_completed_step,
            "input_event": values.encode(self.input_event, "input_event"),
            "output_event": values.encode(self.output_event, "output_event"),
            "ctx_state": self.ctx_state,
        }
        return json.dumps(written, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(
        cls, text: str, workflow: Workflow[Any], *, serializer: BaseSerializer | None = None
    ) -> Checkpoint:
        """Read what `to_json()` has written. It may come from anywhere. Not a checkpoint.

        The events are read here, the state when a run begins from it.

        Args:
            text: The text.
            workflow: Knows the classes of the events.
            serializer: Reads values of fields: that of the checkpointer which took it, if it had
                one; the workflow's by default.

        Raises:
            ContextSerdeError: The text is no checkpoint, or of events that the workflow does not know.

        Example:
            ```python
            checkpoint = Checkpoint.from_json(path.read_text(), flow)
            result = await WorkflowCheckpointer(flow).run_from(checkpoint)
            ```
        """
        found = _parsed(text)
        values = workflow._values(serializer)
        given = values.decode(found["input_event"], "input_event")
        returned = values.decode(found["output_event"], "output_event")
        if wrong := [
            f"{name} is no event"
            for name, value in (("input_event", given), ("output_event", returned))
            if not _are_events(value)
        ]:
            raise _refusal(wrong)
        name, step, state = found["id_"], found["last_completed_step"], found["ctx_state"]
        return cls(name, step, given, returned, state)._known_to(values)

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={getattr(self, name)!r}"
            for name in ("id_", "last_completed_step", "input_event", "output_event")
        )
        return f"Checkpoint({shown})"

    def _known_to(self, values: Values) -> Self:
        """Have it written by somebody who knows the classes. The strand's, not for users."""
        object.__setattr__(self, "_values", values)
        return self

    def _own_values(self) -> Values:
        events = (self.input_event, self.output_event)
        kinds = {
            type(one): None for one in events for one in (one if isinstance(one, list) else [one])
        }
        return values_for(None, known_classes(kinds), "")


def _are_events(value: object) -> bool:
    several = cast("list[object]", value) if isinstance(value, list) else [value]
    return all(isinstance(one, Event) for one in several)


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise _refusal([f"it is no JSON: {error}"]) from error
    if not isinstance(found, dict):
        raise _refusal(["it is no JSON object"])
    found = cast("dict[str, Any]", found)
    wrong = [f"{name!r} is missing" for name in KEYS if name not in found]
    wrong += [f"{name!r} is unknown" for name in found if name not in KEYS]
    wrong += [
        f"{name} is no {kind.__name__}"
        for name, kind in KEYS.items()
        if name in found and (not isinstance(found[name], kind) or isinstance(found[name], bool))
    ]
    if not wrong and (found["format"], found["version"]) != (FORMAT, VERSION):
        wrong = [
            f"it is {found['format']!r}, version {found['version']}, not {FORMAT!r}, {VERSION}"
        ]
    if wrong:
        raise _refusal(wrong)
    return found


def _refusal(faults: list[str]) -> ContextSerdeError:
    counted = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    lines = [f"Cannot load this checkpoint: {counted}", *(f"  {fault}" for fault in faults)]
    return ContextSerdeError("\n".join(lines))


publish("plait", Checkpoint)
