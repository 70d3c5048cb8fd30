"""The sources of one run: each is opened when it is first needed, and closed with the run."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Final, cast

from plait._abc import JSON, Source, SourceContext, SourceResult

from .options import Options
from .provider import Provider, SourceFailure, SourceRun

log = logging.getLogger("plait.flows")

#: Seconds that closing all sources of a run may take.
CLOSING: Final = 10.0
#: Configurations that are known by identity.
MOST_SEEN: Final = 1024


class Pool:
    """The sources of one run.

    Args:
        run: What they may use of it.
    """

    def __init__(self, run: SourceRun) -> None:
        self.run = run
        self._open: dict[str, Source] = {}
        #: The same by identity: a configuration without templates is the same object each time.
        self._seen: dict[int, tuple[Mapping[str, JSON], Provider, Source]] = {}

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
        seen = self._seen.get(id(configuration))
        if seen is not None and seen[1] is provider:  # it holds the object, so its id is its own
            return seen[2]
        key = json.dumps(
            [provider.name, configuration, folders or {}], sort_keys=True, default=repr
        )
        source = self._open.get(key)
        if source is None:
            source = provider.open(configuration, run=self.run, folders=folders or {})
            self._open[key] = source
        if len(self._seen) >= MOST_SEEN:  # templates make another object each time
            self._seen.clear()
        self._seen[id(configuration)] = (configuration, provider, source)
        return source

    async def call(
        self,
        provider: Provider,
        configuration: Mapping[str, JSON],
        payload: JSON | Options,
        context: SourceContext,
        folders: Mapping[str, str] | None = None,
    ) -> SourceResult | JSON:
        """Open and call in one. A checkpoint. Whatever goes wrong is a result, but a cancellation.

        What a source raises, a plugin's too, is a failure of kind `source`.
        """
        try:
            source = self.open(provider, configuration, folders)
            # Only plait's own sources have inputs that are options, and they take them.
            result = await source.call(cast("JSON", payload), context)
        except SourceFailure as failure:
            await self.run.backend.checkpoint()
            return failure.result
        except Exception as error:  # of whoever wrote the source: it is the step's failure
            log.debug("Source %r raised", provider.name, exc_info=error)
            await self.run.backend.checkpoint()
            return SourceResult(ok=False, message=str(error) or type(error).__name__)
        return result

    async def aclose(self) -> None:
        """Close all sources, the last one first. Twice is fine. A checkpoint.

        It goes on, for a while, when it is cancelled. A source that cannot be closed is logged.
        """
        backend = self.run.backend
        limit = backend.clock()() + CLOSING
        with backend.cancel_scope(shield=True, deadline=limit):
            self._seen.clear()
            while self._open:
                _, source = self._open.popitem()
                try:
                    await source.aclose()
                except Exception:
                    log.exception("A source could not be closed: %r", source)
            await self.run.aclose()
        await backend.checkpoint()
