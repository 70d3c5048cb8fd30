"""The sources of one run: each is opened when it is first needed, and closed with the run."""

from __future__ import annotations

from collections.abc import Mapping

from plait._abc import JSON, Source, SourceContext, SourceResult

from .catalog import Provider, SourceRun
from .options import Options


class Pool:
    """The sources of one run.

    Args:
        run: What they may use of it.
    """

    def __init__(self, run: SourceRun) -> None:
        self.run = run

    def open(
        self,
        provider: Provider,
        configuration: Mapping[str, JSON],
        folders: Mapping[str, str] | None = None,
    ) -> Source:
        """Get the source for a rendered configuration: the same one for the same configuration.

        Raises:
            SourceFailure: The configuration is of no use.
        """
        raise NotImplementedError

    async def call(
        self,
        provider: Provider,
        configuration: Mapping[str, JSON],
        payload: JSON | Options,
        context: SourceContext,
        folders: Mapping[str, str] | None = None,
    ) -> SourceResult:
        """Open and call in one. A checkpoint. Whatever goes wrong is a result, but a cancellation.

        What a source raises, a plugin's too, is a failure of kind `source`.
        """
        raise NotImplementedError

    async def aclose(self) -> None:
        """Close all sources, the last one first. Twice is fine. A checkpoint."""
        raise NotImplementedError
