"""Keys: the name of a call, the same in every start of its body.

A key is a place in the spawn tree, an id, and how often this task has used that id before. It is
never joined to one string: the ids `foo`, `foo` and `"foo:1"` are three keys. Its canonical JSON is
what the journal keeps beside a record.
"""

from __future__ import annotations

from functools import lru_cache
from json import JSONDecoder
from json.encoder import encode_basestring_ascii
from typing import Any, Final, NamedTuple, TypeAlias, cast

PathPart: TypeAlias = int | tuple[str | int, ...]
"""A step down the spawn tree.

`i`: the i-th plain task that a task spawns · `("g", j, k)`: branch k of its j-th group ·
`("m", step_id, j, k)`: item k of its j-th map with this id · `("o", j, i)`: the i-th task of its
j-th `open()`.
"""

Path: TypeAlias = tuple[PathPart, ...]
"""A place in the spawn tree; `()` is the first task. In an event step, a part comes first: its step's
name and the delivery's number."""

ROLLBACK: Final = "rollback"


class Key(NamedTuple):
    """The name of a call, or of a durable deadline, which has no id."""

    path: Path
    step_id: str | None
    occurrence: int
    #: `ROLLBACK`: the call that undoes the one with the rest of this key.
    role: str = ""

    @property
    def rollback(self) -> Key:
        """The key of what undoes this call."""
        return self._replace(role=ROLLBACK)

    @property
    def undone(self) -> Key:
        """The key of the call that this one undoes."""
        return self._replace(role="")


_decode: Final = JSONDecoder().raw_decode


@lru_cache(maxsize=4096)  # each key is written with several records
def key_text(key: Key) -> str:
    """Write a key as canonical JSON.

    Example:
        >>> key_text(Key((0, ("g", 1, 2)), "send-email", 0))
        '[[0,["g",1,2]],"send-email",0]'
    """
    path, step_id, occurrence, role = key
    parts = ",".join(map(_part_json, path))
    # ASCII, so that a key has one text, and an id with half a surrogate pair has one at all.
    text = "null" if step_id is None else encode_basestring_ascii(step_id)
    more = f",{encode_basestring_ascii(role)}" if role else ""
    return f"[[{parts}],{text},{occurrence}{more}]"


def _part_json(part: PathPart) -> str:
    # By hand: there are numbers and texts only, and an encoder is made anew for each key.
    if not isinstance(part, tuple):
        return int.__repr__(part)
    members = [
        encode_basestring_ascii(one) if isinstance(one, str) else int.__repr__(one) for one in part
    ]
    return f"[{','.join(members)}]"


def key_of(text: str) -> Key:
    """Read what `key_text` wrote.

    Raises:
        ValueError: It is not the text of a key.
    """
    key = _read(text)
    if (
        key is None or key_text(key) != text
    ):  # `tuple` takes more than lists, and JSON more than a text
        raise ValueError(f"{text!r} is not the text of a key")
    return key


def _read(text: str) -> Key | None:
    if not text.startswith("[["):  # a list whose first item is a list
        return None
    try:
        held: list[Any] = _decode(text)[0]
        path, step_id, occurrence, *role = held
        parts = tuple([part if isinstance(part, int) else tuple(part) for part in path])
    except (TypeError, ValueError):
        return None
    right = all(map(_is_part, parts)) and type(occurrence) is int and role in ([], [ROLLBACK])
    if right and (step_id is None or isinstance(step_id, str)):
        return Key(parts, step_id, occurrence, *role)
    return None


def _is_part(part: object) -> bool:
    if isinstance(part, tuple):
        inner = cast("tuple[object, ...]", part)
        return bool(inner) and all(isinstance(one, str) or type(one) is int for one in inner)
    return type(part) is int


def path_text(path: Path) -> str:
    """Say where a task is, for a message.

    Example:
        >>> path_text((0, ("g", 1, 2)))
        'task 0/g1.2'
        >>> path_text(())
        'the first task'
        >>> path_text((("process", 7), 0))
        "task 0 of delivery 7 of step 'process'"
    """
    if not path:
        return "the first task"
    if in_delivery(path):
        (step, number), *inside = cast("tuple[tuple[str, int], *tuple[PathPart, ...]]", path)
        whose = f"delivery {number} of step {step!r}"
        return f"{path_text(tuple(inside))} of {whose}" if inside else whose
    return "task " + "/".join(map(_part_text, path))


def in_delivery(path: Path) -> bool:
    """Say whether a path is of a delivery of an event workflow."""
    return bool(path) and isinstance(path[0], tuple) and len(path[0]) == len(("step", "number"))


def _part_text(part: PathPart) -> str:
    if not isinstance(part, tuple):
        return str(part)
    kind, *rest = part
    return f"{kind}{'.'.join(map(str, rest))}"
