"""`ctx.logger`: each line once, also when the function's code runs again in a recovery."""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from plait._engine.bodies.current import current_step
from plait._naming import publish

if TYPE_CHECKING:
    Adapter = logging.LoggerAdapter[logging.Logger]
else:
    Adapter = logging.LoggerAdapter


class RunLogger(Adapter):
    """A logger of one run: silent while what is remembered is handed out, but for handlers.

    Its records have the attribute `run_id`, and in a handler `step_id`.

    Args:
        logger: Where the lines go.
        run_id: The run.
        replaying: Says whether memos remain to be handed out.

    Example:
        ```python
        ctx.logger.info("order %s is packed", number)
        ```
    """

    def __init__(self, logger: logging.Logger, run_id: str, replaying: Callable[[], bool]) -> None:
        super().__init__(logger, {"run_id": run_id})
        self._run_id = run_id
        self._replaying = replaying

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name that logging has for it
        """Say whether a line of this level would be written now."""
        if current_step.get(None) is None and self._replaying():
            return False
        return super().isEnabledFor(level)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the run, and the step, to the attributes that the caller gives."""
        step = current_step.get(None)
        of_step = {} if step is None else {"step_id": step.step_id}
        extra: dict[str, Any] = {"run_id": self._run_id, **of_step, **(kwargs.get("extra") or {})}
        return msg, {**kwargs, "extra": extra}


publish("plait.durable", RunLogger)
