"""A kind of sources: how it checks a step that uses it, and how it makes a source for a run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal, Protocol, TypeAlias, TypeVar, cast

import attrs

from plait._abc import JSON, Source, SourceResult
from plait._engine.native import Backend
from plait._strands._flows.problems import Path, Place, Problems, did_you_mean
from plait._strands._flows.shapes import expected
from plait._strands._flows.templates import TemplateError

from .options import Misfit, Option, folder_of, read, unrendered

C = TypeVar("C", bound="Closable")

Style: TypeAlias = Literal["text", "native"]


class Closable(Protocol):
    """What is closed with the run."""

    async def aclose(self) -> None:
        """Close it. Twice is fine. A checkpoint."""
        ...


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
    _shared: dict[type, Closable] = attrs.field(factory=dict[type, "Closable"])

    def shared(self, kind: type[C], make: Callable[[SourceRun], C]) -> C:
        """Get what the sources of a run have in common; made when it is first asked for."""
        found = self._shared.get(kind)
        if found is None:
            found = self._shared[kind] = make(self)
        return cast("C", found)

    async def aclose(self) -> None:
        """Close what the sources had in common. A checkpoint."""
        await self.backend.checkpoint_if_cancelled()
        while self._shared:
            await self._shared.popitem()[1].aclose()
        await self.backend.cancel_shielded_checkpoint()


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

    def add(self, code: str, message: str, path: Path) -> None:
        """Note a problem of a value."""
        self.problems.add(code, message, self.place(path))

    def misfit(self, path: Path, what: str, value: object) -> None:
        """Note that something else is expected here."""
        place = self.place(path)
        self.problems.add("shape", expected(place.path, what, value), place)

    def surplus(self, message: str, path: Path) -> None:
        """Note a key that has no meaning here."""
        note = self.problems.warn if self.compat else self.problems.add
        note("unknown-key", message, self.key_place(path))

    def check_keys(
        self, path: Path, given: Mapping[str, object], options: Mapping[str, Option]
    ) -> None:
        """Check options: known, where they belong, and of the right kind as far as can be seen now.

        Args:
            path: Where they are: `("configuration",)` or `("input",)`.
            given: The options.
            options: What there is.
        """
        letter = "C" if path[0] == "configuration" else "I"
        here, elsewhere = (
            ("configuration", "input") if letter == "C" else ("input", "configuration")
        )
        known = [name for name, option in options.items() if letter in option.where]
        for name, value in given.items():
            option = options.get(name)
            if option is None:
                of = "" if letter == "C" else f" of step {self.step!r}"
                hint = did_you_mean(name, known)
                self.surplus(f"unknown key {name!r} in {here}{of}{hint}", (*path, name))
            elif letter not in option.where:
                self.surplus(f"{name!r} belongs in {elsewhere}, not in {here}", (*path, name))
            elif value is not None:
                self._check_value((*path, name), option, value)

    def _check_value(self, path: Path, option: Option, value: object) -> None:
        try:
            read(option, unrendered(value), strict=True)
        except Misfit as misfit:
            self.misfit((*path[:-1], *misfit.path), misfit.what, misfit.value)
        except TemplateError as error:
            self.add("template", str(error), path)

    def folders(self, part: str, given: Mapping[str, object], *names: str) -> dict[str, str]:
        """Say where the paths among these options start."""
        return {
            name: folder_of(self.place((part, name)).file)
            for name in names
            if isinstance(given.get(name), str)
        }


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
    def takes_options(self, given: object, configuration: Mapping[str, object]) -> bool:
        """Say whether this input is options laid over `configuration`. If not, it is the payload."""

    @abstractmethod
    def style(self, path: Path) -> Style:
        """Say how a string at this path is rendered: `("configuration", "url")`, `("input", "x")`."""

    @abstractmethod
    def check(self, parts: Parts) -> Reading:
        """Find what is wrong with a step that uses this provider, and say what to compile."""

    def payload_names(self, payload: object) -> dict[str, object]:
        """Say what templates of the configuration may use of a rendered payload, if they may."""
        del payload
        return {}

    @abstractmethod
    def open(
        self, configuration: Mapping[str, JSON], *, run: SourceRun, folders: Mapping[str, str]
    ) -> Source:
        """Make a source of a rendered configuration.

        Raises:
            SourceFailure: The configuration is of no use.
        """


def misfit_result(error: Misfit | TemplateError) -> SourceResult:
    """Say that a rendered option is not what it should be. Another attempt would give the same."""
    if isinstance(error, TemplateError):
        return SourceResult(ok=False, message=str(error), kind="template")
    message = expected(error.path, error.what, error.value)
    return SourceResult(ok=False, message=message, kind="template")
