"""The items of a `foreach`, the combinations of a `matrix`: what a step runs once for each of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, Final, cast

from .templates import TemplateError

if TYPE_CHECKING:
    from .checked import CheckedStep
    from .names import Names

MOST: Final = 100_000


def items_of(step: CheckedStep, names: Names) -> list[dict[str, object]] | None:
    """Find what a step runs for: more names for the templates of each item.

    Returns:
        `None`: it runs once, with no more names.

    Raises:
        TemplateError: The items cannot be found out, or are none.
    """
    if step.spec.foreach is not None:
        assert step.items is not None
        found = _listed(step.items.render(names), "foreach")
        name = step.spec.foreach.as_
        return [{name: item, "index": index} for index, item in enumerate(found)]
    if step.spec.matrix is not None:
        assert step.axes is not None
        axes = {
            axis: _listed(tree.render(names), f"matrix axis {axis!r}")
            for axis, tree in step.axes.items()
        }
        found = _combined(axes, step.spec.matrix.exclude, step.spec.matrix.include)
        return [{"matrix": item, "index": index} for index, item in enumerate(found)]
    return None


def _listed(value: object, what: str) -> Sequence[Any]:
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, object]", value)
        value = [{"key": key, "value": mapping[key]} for key in mapping]
    if not isinstance(value, list | tuple):
        raise TemplateError(f"{what} needs a list, got {_kind(value)}")
    found = cast("Sequence[object]", value)
    _check_count(len(found), what)
    return found


def _check_count(count: int, what: str) -> None:
    if count > MOST:
        raise TemplateError(f"{what} has {count} items; {MOST} are the most")


def _kind(value: object) -> str:
    return type(value).__name__


def _combined(
    axes: Mapping[str, Sequence[object]],
    exclude: Sequence[Mapping[str, object]],
    include: Sequence[Mapping[str, object]],
) -> list[dict[str, object]]:
    """Make the combinations, the last axis fastest."""
    count = 1
    for values in axes.values():
        count *= len(values)
    _check_count(count + len(include), "matrix")
    found = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    left = [one for one in found if not any(_matches(one, no) for no in exclude)]
    return [*left, *map(dict, include)]


def _matches(one: Mapping[str, object], pattern: Mapping[str, object]) -> bool:
    return all(key in one and one[key] == value for key, value in pattern.items())
