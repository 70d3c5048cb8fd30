"""What templates can name: read-only views, each with a sentence for what it does not have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

#: The names that every template has.
ALWAYS: Final = frozenset({"env", "flows", "params", "run", "secrets", "sources"})


class View(Mapping[str, object]):
    """A mapping that a template may read and not change, and that reads as a `dict` when printed.

    Attributes of a class are within a template's reach unless they begin with an underscore.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def __getitem__(self, key: str, /) -> object:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(dict(self))

    def _missing(self, key: str, /) -> str | None:
        """Say why there is no such key; `None`: what Jinja says of a `dict` will do."""
        del key
        return None


class Outputs(View):
    """What a template sees as `flows.STEP`.

    Args:
        step: The step's name.
        outputs: Its outputs.
        state: How it ended.
        error: Of a failed one: what `flows.STEP.error` is.
    """

    __slots__ = ("_state", "_step")

    def __init__(
        self,
        step: str,
        outputs: Mapping[str, object],
        *,
        state: Literal["succeeded", "failed", "skipped", "cancelled"] = "succeeded",
        error: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(outputs if error is None else {**outputs, "error": error})
        self._step = step
        self._state = state

    def _missing(self, key: str, /) -> str | None:
        if self._state == "succeeded":
            names = ", ".join(self._values) or "none"
            return f"step {self._step!r} has no output {key!r}; it declares: {names}"
        was = {"failed": "failed", "skipped": "was skipped", "cancelled": "was cancelled"}
        return f"step {self._step!r} {was[self._state]} and has no output {key!r}"


class Flows(View):
    """What a template sees as `flows`: the step's ancestors.

    Args:
        steps: A lookup, by name. It is asked when a template asks, and never copied.
        step: Whose template it is.
    """

    __slots__ = ("_step",)

    def __init__(self, steps: Mapping[str, object], step: str) -> None:
        super().__init__(steps)
        self._step = step

    def _missing(self, key: str, /) -> str | None:
        return f"step {key!r} is not a dependency of {self._step!r}; add it to depends_on"


class Variables(View):
    """Environment variables: those of the process, or those that an env source has read.

    Args:
        values: By name; `None` is a variable that is not set, and is not in this mapping.
    """

    __slots__ = ()

    def __getitem__(self, key: str, /) -> object:
        value = self._values[key]
        if value is None:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[str]:
        return (key for key, value in self._values.items() if value is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _missing(self, key: str, /) -> str | None:
        return f"environment variable {key!r} is not set"


class Declared(View):
    """Params or secrets: what the file declares."""

    __slots__ = ("_kind",)

    def __init__(self, values: Mapping[str, object], kind: str) -> None:
        super().__init__(values)
        self._kind = kind

    def _missing(self, key: str, /) -> str | None:
        return f"{self._kind} {key!r} is not declared"


class Names:
    """What the templates of one step, or of one item of it, can name.

    Args:
        flows: The step's ancestors by name, as `Outputs`: looked up, never copied.
        sources: The sources of the file by name: `Variables` for an env source, for any other its
            definition as it was read.
        env: The environment of the process.
        params: Values of params.
        secrets: Values of secrets.
        run: `id` and `started_at`.
        step: The name of the step.
        extra: More names: `item`, `index`, `matrix`, `input`, `json`, `jmespath`.
    """

    __slots__ = ("values",)

    def __init__(
        self,
        *,
        flows: Mapping[str, object],
        sources: Mapping[str, object] | None = None,
        env: Mapping[str, str] | None = None,
        params: Mapping[str, object] | None = None,
        secrets: Mapping[str, object] | None = None,
        run: Mapping[str, object] | None = None,
        step: str = "",
        extra: Mapping[str, object] | None = None,
    ) -> None:
        self.values: dict[str, object] = {
            "flows": Flows(flows, step),
            "sources": Declared(sources or {}, "source"),
            "env": Variables(env or {}),
            "params": Declared(params or {}, "param"),
            "secrets": Declared(secrets or {}, "secret"),
            "run": View(run or {}),
            **(extra or {}),
        }

    def extended(self, extra: Mapping[str, object]) -> Names:
        """Make names for an item, or for templates that may use the payload: these, and more."""
        more = Names.__new__(Names)
        more.values = {**self.values, **extra}
        return more

    def of_step(self, flows: Mapping[str, object], step: str) -> Names:
        """Make names for another step of the run: only `flows` differs."""
        return self.extended({"flows": Flows(flows, step)})
