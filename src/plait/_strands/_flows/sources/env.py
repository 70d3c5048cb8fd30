"""`env`: values of environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, cast

from plait._abc import JSON, SourceContext, SourceResult
from plait._strands._flows.problems import Path
from plait._strands._flows.redaction import sounds_secret
from plait._strands._flows.templates import TemplateError

from .options import CONFIGURATION, Misfit, Option, read_all, table
from .provider import Parts, Provider, Reading, SourceFailure, SourceRun, Style, misfit_result

OPTIONS: Final = table(
    Option("vars", "texts", CONFIGURATION, legacy=True),
    Option("required", "flag", CONFIGURATION),
    Option("secret", "names", CONFIGURATION),
)


def values(
    configuration: Mapping[str, object], environ: Mapping[str, str]
) -> dict[str, str | None]:
    """Read the variables that a rendered configuration names; `None` for one that is not set."""
    given = read_all(OPTIONS, configuration)
    names = cast("list[str]", given.get("vars", []))
    return {name: environ.get(name) for name in names}


def secrets(configuration: Mapping[str, object], found: Mapping[str, str | None]) -> dict[str, str]:
    """Say which of these values must not be shown."""
    which = read_all(OPTIONS, configuration).get("secret")
    return {name: value for name, value in found.items() if value and _is_secret(name, which)}


def _is_secret(name: str, which: object) -> bool:
    """Say whether a variable holds a secret; `which` is the option, `None` if it is not given."""
    if which is None:
        return sounds_secret(name)
    return which is True or (isinstance(which, list) and name in which)


class Env(Provider):
    """The provider `env`."""

    name = "env"
    options = OPTIONS

    def takes_options(self, given: object, configuration: Mapping[str, object]) -> bool:
        """Never: it takes no input."""
        del given, configuration
        return False

    def style(self, path: Path) -> Style:
        """Names of variables are text, as ever."""
        return "text" if path[:2] == ("configuration", "vars") else "native"

    def check(self, parts: Parts) -> Reading:
        """Find what is wrong with a step that uses this provider."""
        parts.check_keys(("configuration",), parts.configuration, self.options)
        if parts.input is not None:
            parts.add("shape", "an env source takes no input", ("input",))
        return Reading(configuration=parts.configuration, input=None)

    def open(
        self, configuration: Mapping[str, JSON], *, run: SourceRun, folders: Mapping[str, str]
    ) -> EnvSource:
        """Make a source."""
        del folders
        try:
            return EnvSource(configuration, run)
        except (Misfit, TemplateError) as error:
            raise SourceFailure(misfit_result(error)) from error


class EnvSource:
    """Gives the values that the variables have when a step asks for them."""

    def __init__(self, configuration: Mapping[str, JSON], run: SourceRun) -> None:
        given = read_all(OPTIONS, configuration)
        self._names = cast("list[str]", given.get("vars", []))
        self._secret = [name for name in self._names if _is_secret(name, given.get("secret"))]
        self._required = given.get("required", False)
        self._run = run

    async def call(self, payload: JSON, context: SourceContext) -> SourceResult | JSON:
        """Read the variables. A checkpoint."""
        del payload, context
        await self._run.backend.checkpoint()
        found: dict[str, JSON] = {name: os.environ.get(name) for name in self._names}
        for name in self._secret:
            if value := found[name]:
                self._run.redactor.add(str(value), f"env.{name}")
        unset = [name for name, value in found.items() if value is None] if self._required else []
        if unset:
            return SourceResult(
                ok=False, message=f"environment variable {unset[0]!r} is not set", kind="template"
            )
        return found

    async def aclose(self) -> None:
        """Do nothing: it holds nothing. A checkpoint."""
        await self._run.backend.checkpoint()
