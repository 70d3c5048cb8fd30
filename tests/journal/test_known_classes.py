"""Which classes the annotations of events and states mention."""

from __future__ import annotations

import dataclasses
import enum
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypeVar

import attrs
import msgspec
import pydantic
import pytest
import typing_extensions

from plait import Event, StopEvent
from plait._journal.known_classes import known_classes

T = TypeVar("T")


class Color(enum.Enum):
    RED = 1


@attrs.frozen
class Leaf:
    n: int = 0


@attrs.frozen
class Later:
    """Named before it exists, and it names itself."""

    leaf: Leaf
    me: Optional[Later] = None  # noqa: UP045


@attrs.frozen
class Attrs:
    x: Leaf


@dataclasses.dataclass
class Data:
    x: list[Leaf]


class Model(pydantic.BaseModel):
    x: dict[str, Leaf] = {}
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)


class Struct(msgspec.Struct):
    x: Leaf


class Pair(NamedTuple):
    x: Leaf


class Typed(typing.TypedDict):
    x: Leaf


class Plain:
    x: Leaf


class Base(Event):
    x: Leaf


class Heir(Base):
    y: Color


@attrs.frozen
class Box(Generic[T]):
    content: T


@attrs.frozen
class LeafBox(Box[Leaf]):
    pass


class ModelBox(pydantic.BaseModel, Generic[T]):
    content: T


Name = NewType("Name", Leaf)
Bound = TypeVar("Bound", bound=Leaf)
OneOf = TypeVar("OneOf", Leaf, Color)
Alias = typing_extensions.TypeAliasType("Alias", Leaf | None)


@pytest.mark.parametrize(
    "hint",
    [
        Leaf,
        list[Leaf],
        Leaf | None,
        Optional[Leaf],  # noqa: UP045
        dict[str, list[tuple[Leaf, ...]]],
        Mapping[int, set[Leaf]],
        Annotated[Leaf, "x"],
        type[Leaf],
        Callable[[Leaf], int],
        Callable[[], Leaf],
        Name,
        Bound,
        Alias,
        typing.ClassVar[Leaf],
    ],
    ids=str,
)
def test_a_class_is_found_in_every_form(hint):
    assert known_classes([hint]) == (Leaf,)


@pytest.mark.parametrize("kind", [Attrs, Data, Model, Struct, Pair, Typed, Plain, Base, LeafBox])
def test_a_class_is_found_in_the_fields_of_every_kind_of_class(kind):
    found = known_classes([kind])
    assert found[0] is kind
    assert Leaf in found


def test_all_of_them_once_and_in_order():
    assert known_classes([Heir, Attrs, Heir]) == (Heir, Leaf, Color, Attrs)
    assert known_classes([Later]) == (Later, Leaf)
    assert known_classes([OneOf]) == (Leaf, Color)
    assert known_classes([Literal[Color.RED, "a"]]) == (Color,)


def test_generics_are_found_with_their_arguments():
    assert known_classes([Box[Leaf]]) == (Box, Leaf)
    assert set(known_classes([ModelBox[Color]])) == {ModelBox[Color], ModelBox, Color}


def test_builtins_are_nobodys_class():
    assert known_classes([int, Any, None, list, dict[str, Any], object, "text", ...]) == ()
    assert StopEvent not in known_classes([Base])


class Broken(Event):
    missing: Nowhere  # noqa: F821
    there: Leaf
    listed: list[Gone]  # noqa: F821


def test_an_annotation_that_cannot_be_resolved_takes_no_other_along():
    assert known_classes([Broken]) == (Broken, Leaf)


def test_names_of_local_classes_can_be_lent():
    @attrs.frozen
    class Local:
        leaf: Leaf

    class Query(Event):
        item: list[Local]

    assert known_classes([Query]) == (Query,)
    assert known_classes([Query], {"Local": Local}) == (Query, Local, Leaf)


def test_subclasses_are_not_mentioned():
    assert Heir not in known_classes([Base])
