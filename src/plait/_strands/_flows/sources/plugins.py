"""Providers by entry points: those written for plait's port, and those written for flowtoy.

The entry points are looked up once, when a name is not built in, and only the one of that name is
loaded.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, cast, get_args, get_origin

import attrs
import cattrs

from plait._abc import JSON, Source, SourceContext, SourceResult
from plait._strands._flows.problems import Path, did_you_mean

from .options import PENDING, unrendered
from .provider import Parts, Provider, Reading, SourceFailure, SourceRun, Style

#: The groups. A name in both is plait's.
OURS: Final = "plait.sources"
FLOWTOYS: Final = "flowtoy.providers"


@functools.cache
def _known() -> Mapping[str, EntryPoint]:
    found = entry_points()
    return {
        point.name: point
        for group in (FLOWTOYS, OURS)
        for point in reversed([*found.select(group=group)])  # the first on the path wins
    }


def names() -> list[str]:
    """List the names of all plugins."""
    return [*_known()]


@functools.cache
def find(name: str) -> Provider | None:
    """Load a plugin; one that cannot be loaded is found as well, and is a problem where it is used."""
    point = _known().get(name)
    if point is None:
        return None
    try:
        made: Any = point.load()
        return Port(name, made) if point.group == OURS else Flowtoy(name, made)
    except Exception as error:  # noqa: BLE001 - whatever a plugin does when it is imported
        return Broken(name, str(error) or type(error).__name__)


def forget() -> None:
    """Look for plugins anew: a test has changed the path."""
    _known.cache_clear()
    find.cache_clear()


class Plugin(Provider):
    """What all plugins have in common: their input is the payload, whatever it is."""

    def __init__(self, name: str) -> None:
        self.name = name

    def takes_options(self, given: object, configuration: Mapping[str, object]) -> bool:
        """Never: a mapping is a payload like any other."""
        del given, configuration
        return False

    def style(self, path: Path) -> Style:
        """Say how a string at this path is rendered: in the configuration as text, as ever."""
        return "text" if path[0] == "configuration" or len(path) == 1 else "native"

    def check(self, parts: Parts) -> Reading:
        """Nothing is known of what a plugin wants."""
        return Reading(configuration=parts.configuration, input=parts.input)


class Broken(Plugin):
    """A plugin that cannot be loaded."""

    def __init__(self, name: str, error: str) -> None:
        super().__init__(name)
        self._message = f"provider {name!r} cannot be loaded: {error}"

    def check(self, parts: Parts) -> Reading:
        """Say so."""
        parts.problems.add("source", self._message, parts.step_place)
        return super().check(parts)

    def open(
        self, configuration: Mapping[str, JSON], *, run: SourceRun, folders: Mapping[str, str]
    ) -> Source:
        """Fail: a step that uses it is a problem before anything runs."""
        del configuration, run, folders
        raise SourceFailure(SourceResult(ok=False, message=self._message))


# ---------------------------------------------------------------- plait's port


class Port(Plugin):
    """A plugin written for plait's port: `open(configuration) -> Source`."""

    def __init__(self, name: str, make: Callable[[Any], Source]) -> None:
        super().__init__(name)
        self._make = make
        options: object = getattr(make, "Options", None)
        self._class = options if isinstance(options, type) and attrs.has(options) else None
        if self._class is not None:
            attrs.resolve_types(self._class)  # they are text in a module with postponed annotations

    def check(self, parts: Parts) -> Reading:
        """Check the configuration against the plugin's own class, as far as can be seen now."""
        if self._class is not None:
            fields = {field.alias or field.name: field for field in attrs.fields(self._class)}
            given = parts.configuration
            for name in given.keys() - fields.keys():
                hint = did_you_mean(name, fields)
                message = f"unknown key {name!r} in configuration{hint}"
                parts.surplus(message, ("configuration", name))
            for name, field in fields.items():
                if name in given:
                    self._check_value(parts, name, given[name], field)
                elif field.default is attrs.NOTHING:
                    message = f"configuration: {name!r} is missing"
                    parts.problems.add("shape", message, parts.step_place)
        return super().check(parts)

    def _check_value(
        self, parts: Parts, name: str, value: object, field: attrs.Attribute[object]
    ) -> None:
        plain = unrendered(value)
        if not _is_known(plain):
            return
        try:
            converter = _strict()
            converter.structure(plain, cast("Any", field.type or object))
        except Exception as error:  # noqa: BLE001 - whatever a hook of the class raises
            parts.add("shape", f"configuration.{name}: {_told(error)}", ("configuration", name))

    def open(
        self, configuration: Mapping[str, JSON], *, run: SourceRun, folders: Mapping[str, str]
    ) -> Source:
        """Have the plugin make a source."""
        del run, folders
        if self._class is None:
            return self._make({**configuration})
        try:
            options = _strict().structure({**configuration}, self._class)
        except Exception as error:
            message = f"configuration: {_told(error)}"
            raise SourceFailure(SourceResult(ok=False, message=message, kind="template")) from error
        return self._make(options)


def _is_known(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_is_known, cast("dict[str, object]", value).values()))
    if isinstance(value, list):
        return all(map(_is_known, cast("list[object]", value)))
    return value is not PENDING


@functools.cache
def _strict() -> cattrs.Converter:
    """Make a converter that takes no text for a list, and no text for a number."""
    converter = cattrs.Converter(forbid_extra_keys=True)
    for kind in (str, int, bool, float):
        converter.register_structure_hook(kind, functools.partial(_exactly, kind))

    def listed(value: object, kind: Any) -> list[Any]:
        if not isinstance(value, list):
            raise TypeError(f"expected a list, got {value!r}")
        (each,) = get_args(kind) or (Any,)
        return [converter.structure(one, each) for one in cast("list[object]", value)]

    converter.register_structure_hook_func(lambda kind: list in (kind, get_origin(kind)), listed)
    return converter


def _exactly(kind: type, value: object, _: object) -> object:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, got {value!r}")
    return value


def _told(error: BaseException) -> str:
    """Say what cattrs found: the innermost errors, one after the other."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(
            _told(one) for one in cast("BaseExceptionGroup[BaseException]", error).exceptions
        )
    return str(error)


# ---------------------------------------------------------------- flowtoy's


class Flowtoy(Plugin):
    """A plugin written for flowtoy: `make(configuration)` gives an object with `call(input)`."""

    def __init__(self, name: str, make: Callable[[dict[str, JSON]], Any]) -> None:
        super().__init__(name)
        self._make = make

    def open(
        self, configuration: Mapping[str, JSON], *, run: SourceRun, folders: Mapping[str, str]
    ) -> FlowtoySource:
        """Make a source."""
        del folders
        return FlowtoySource(self._make, {**configuration}, run)


class FlowtoySource:
    """Calls a flowtoy provider in a thread, since it may block."""

    def __init__(
        self,
        make: Callable[[dict[str, JSON]], Any],
        configuration: dict[str, JSON],
        run: SourceRun,
    ) -> None:
        self._make = make
        self._configuration = configuration
        self._run = run
        self._lock = threading.Lock()
        self._made: list[Any] = []

    async def call(self, payload: JSON, context: SourceContext) -> SourceResult:
        """Call it. A checkpoint; a cancellation waits for the thread."""
        del context
        (given,) = await self._run.backend.run_in_thread(self._call, payload)
        if inspect.isawaitable(given):
            given = await cast("Awaitable[object]", given)
        return _opened(given)

    def _call(self, payload: JSON) -> tuple[Any]:
        # In a tuple, since Trio thinks that a thread which gives a coroutine was started by mistake.
        with self._lock:
            if not self._made:
                self._made.append(self._make(self._configuration))
        return (self._made[0].call(payload),)

    async def aclose(self) -> None:
        """Do nothing: flowtoy's providers are never closed. A checkpoint."""
        await self._run.backend.checkpoint()


def _opened(given: object) -> SourceResult:
    """Take data out of its envelope, if it is in one."""
    envelope = cast("dict[str, object]", given) if isinstance(given, dict) else {}
    found = envelope.get("status")
    status = cast("dict[str, object]", found) if isinstance(found, dict) else {}
    if "success" not in status:
        return SourceResult(cast("JSON", given))
    data = cast("JSON", envelope.get("data"))
    if status["success"]:
        return SourceResult(data)
    code = status.get("code")
    return SourceResult(
        data,
        ok=False,
        message=_notes(status.get("notes")) or f"provider reported failure (code={code})",
        code=code if isinstance(code, int) and not isinstance(code, bool) else None,
    )


def _notes(notes: object) -> str:
    if isinstance(notes, list | tuple):
        return "; ".join(str(note) for note in cast("list[object]", notes))
    return "" if notes is None else str(notes)
