"""Every provider by its name: those of plait, and plugins."""

from __future__ import annotations

from typing import Final

from . import plugins
from .env import Env
from .process import Process
from .provider import Parts as Parts
from .provider import Provider as Provider
from .provider import Reading as Reading
from .provider import SourceFailure as SourceFailure
from .provider import SourceRun as SourceRun
from .provider import Style as Style
from .rest import Rest

BUILT_IN: Final = {provider.name: provider for provider in (Env(), Process(), Rest())}


def find(name: str) -> Provider | None:
    """Find a provider. Plugins are looked up on the first name that is not built in.

    A plugin that cannot be loaded is found all the same: it is a problem of each step that uses it.
    """
    return BUILT_IN.get(name) or plugins.find(name)


def names() -> list[str]:
    """List the names of all providers, sorted, plugins too. Loads none."""
    return sorted({*BUILT_IN, *plugins.names()})
