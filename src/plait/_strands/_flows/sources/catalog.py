"""Every provider by its name, and what the checks ask of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, TypeAlias

import attrs

from plait._abc import JSON, Source, SourceResult
from plait._strands._flows.problems import Path, Place, Problems

from .options import Option

if TYPE_CHECKING:
    from plait._engine.native import Backend

Style: TypeAlias = Literal["text", "native"]


class Redacting(Protocol):
    """What a source asks of the run's redactor."""

    def add(self, value: str, name: str) -> object:
        """Hide this value from now on, in everything that leaves the run."""
        ...

    def text(self, text: str, /) -> str:
        """Hide in this text what has to be hidden."""
        ...


@attrs.frozen(eq=False, kw_only=True)
class SourceRun:
    """What a source may use of the run that it belongs to.

    Attributes:
        backend: The running event loop's objects.
        run_id: The run.
        redactor: Hides secrets. What a source learns of is added to it.
        folder: Where a relative path starts if nothing else is known of it; `""` is the current one.
        allow_hosts: The hosts that may be connected to; `None`: all.
        deny_private: Whether loopback and other addresses that are not public are refused.
        hidden_variables: Environment variables that hold declared secrets: children do not inherit them.
        grace: Seconds that a clean-up may take at most, asked again and again: 0 after a second signal.
        warn: Takes a warning about the run.
    """

    backend: Backend
    run_id: str
    redactor: Redacting
    folder: str = ""
    allow_hosts: tuple[str, ...] | None = None
    deny_private: bool = False
    hidden_variables: frozenset[str] = frozenset()
    grace: Callable[[], float] = lambda: float("inf")
    warn: Callable[[str], object] = lambda _: None


@attrs.frozen(eq=False, kw_only=True)
class Parts:
    """A step, as its provider checks it. Nothing in it is rendered.

    Paths begin with `"configuration"` or `"input"`, wherever in the file these come from.

    Attributes:
        step: The step's name.
        configuration: The effective one: the source's, with what the step overrides.
        input: The step's `input`; `None`: no payload.
        place: Where a value is; of a path that the file does not have, where the nearest one is.
        key_place: Where the key is that a path ends with.
        step_place: Where the step is.
        problems: Takes what is found.
        deny_private: As in `runner`.
        compat: Whether the rules of flowtoy hold.
    """

    step: str
    configuration: Mapping[str, object]
    input: object
    place: Callable[[Path], Place]
    key_place: Callable[[Path], Place]
    step_place: Place
    problems: Problems
    deny_private: bool = False
    compat: bool = False


@attrs.frozen(eq=False, kw_only=True)
class Reading:
    """What a provider makes of a step's parts: these are compiled, and rendered for each call.

    Attributes:
        configuration: As it is to be compiled: a text `command` is split into its words.
        input: The same; an old `{type, value}` is unwrapped.
        input_at: Where the input is in the step: `("input",)`, or below it if it was unwrapped. A
            path below `input` of this reading is in the file below this one.
        options: Whether the input is options laid over the configuration. If not, it is the payload.
        payload_names: Whether templates in the configuration may use the payload, as `input`, `json`
            and `jmespath(...)`: then the input is rendered first.
        lenient: Whether an undefined name in the configuration gives nothing.
        folders: Of paths in the configuration: where a relative one starts, by the key.
        input_folders: The same of the input.
    """

    configuration: Mapping[str, object]
    input: object
    input_at: Path = ("input",)
    options: bool = False
    payload_names: bool = False
    lenient: bool = False
    folders: Mapping[str, str] = attrs.field(factory=dict[str, str])
    input_folders: Mapping[str, str] = attrs.field(factory=dict[str, str])


class SourceFailure(Exception):  # noqa: N818 - a failure of the user's source, not of plait
    """A source cannot be opened with this configuration.

    Attributes:
        result: What the step's attempt has come to.
    """

    def __init__(self, result: SourceResult) -> None:
        super().__init__(result.message)
        self.result: SourceResult = result


class Provider(ABC):
    """A kind of sources.

    Attributes:
        name: What `type` calls it.
        options: Its keys; empty if it takes any (a plugin).
    """

    name: str
    options: ClassVar[Mapping[str, Option]] = {}

    @abstractmethod
    def takes_options(self, input: object, configuration: Mapping[str, object]) -> bool:
        """Say whether this `input` is options laid over `configuration`. If not, it is the payload."""

    @abstractmethod
    def style(self, path: Path) -> Style:
        """Say how a string at this path is rendered: `("configuration", "url")`, `("input", "x")`."""

    @abstractmethod
    def check(self, parts: Parts) -> Reading:
        """Find what is wrong with a step that uses this provider, and say what to compile."""

    @abstractmethod
    def open(
        self, configuration: Mapping[str, JSON], *, run: SourceRun, folders: Mapping[str, str]
    ) -> Source:
        """Make a source of a rendered configuration.

        Raises:
            SourceFailure: The configuration is of no use.
        """


def find(name: str) -> Provider | None:
    """Find a provider. Plugins are looked up on the first name that is not built in."""
    raise NotImplementedError(name)


def names() -> list[str]:
    """List the names of all providers, sorted, plugins too."""
    raise NotImplementedError
