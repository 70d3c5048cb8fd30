"""What the records of a run hold of values: what the output of a call has written, through the middleware."""

from __future__ import annotations

from collections.abc import Sequence

from plait._engine.bodies.ports import Output as AnyOutput
from plait._journal.outputs import OutputRefused

from .middleware import Middleware, seal, unseal


class Sealed:
    """An output whose values go through the middleware's `encode`, and back."""

    def __init__(self, output: AnyOutput, middleware: Sequence[Middleware]) -> None:
        self._output = output
        self._middleware = middleware

    def settle(self, value: object) -> tuple[object, object]:
        """As `Output.settle`.

        Raises:
            OutputRefused: It cannot be written; or an `encode` raised.
        """
        if not self._middleware:
            return self._output.settle(value)
        data, live = self._output.settle(value)
        try:
            return seal(self._middleware, data), live
        except Exception as error:
            raise OutputRefused(f"Middleware did not encode it: {error}") from error

    def read(self, data: object) -> object:
        """As `Output.read`."""
        return self._output.read(unseal(self._middleware, data))
