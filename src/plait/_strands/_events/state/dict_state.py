"""`DictState`: the state of a workflow that declares no class for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from plait._naming import publish


class DictState(MutableMapping[str, Any]):
    """The state of a workflow that declares no class for it: a mapping with attributes.

    A key that is the name of a method, as `items`, is no attribute: write `state["items"]`.

    Args:
        values: Values to begin with.
        **more: More of them.

    Raises:
        AttributeError: There is no such key, or it is the name of a method.

    Example:
        >>> state = DictState(count=1)
        >>> state.count += 1
        >>> state["name"] = "x"
        >>> state
        DictState({'count': 2, 'name': 'x'})
    """

    __slots__ = ("__weakref__", "_values")

    #: The values lie beside the attributes: none of them can hide a method.
    _values: dict[str, Any]

    def __init__(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        object.__setattr__(self, "_values", {**(values or {}), **more})

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._values[key] = value

    def __delitem__(self, key: str) -> None:
        del self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, name: str) -> Any:
        if name != "_values" and name in self._values:
            return self._values[name]
        raise AttributeError(f"the state has no {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name):
            owner = type(self).__name__
            raise AttributeError(f"{owner} has {name!r} itself. Write state[{name!r}] = ...")
        self._values[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self._values:
            raise AttributeError(f"the state has no {name!r}")
        del self._values[name]

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *self._values]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._values!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Be copied item by item, so that a state that contains itself can be copied as well."""
        return type(self), (), None, None, iter([*self._values.items()])


publish("plait.events", DictState)
