"""The ports: what plait asks of code that others may write. Each is a protocol and a promise."""

from __future__ import annotations

from typing import Protocol

from plait._kernel.records import Record


class Observer(Protocol):
    """Watches a run: it is called with each record, synchronously, after it is applied.

    It must not block. One that raises is logged and removed: watching never disturbs a run. What it
    sends to the run from inside a call takes effect after the records that are being reported.

    Example:
        ```python
        def watch(record: object) -> None:
            print(record)


        run = Flow().run().observe(watch)
        ```
    """

    def __call__(self, record: Record, /) -> object:
        """Look at one record."""
        ...
