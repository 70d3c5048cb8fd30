"""Who is told what happens in a run: called with each of its records, in their order."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

from plait._abc import Observer
from plait._ids import RunId
from plait._kernel.records import AnyRecord

log: Final = logging.getLogger("plait")


class Observers(list[Observer]):
    """The observers of one run. One that raises is removed, with a line in the log."""

    def __init__(self, run_id: RunId) -> None:
        super().__init__()
        self._run_id = run_id
        self._untold: deque[AnyRecord] = deque()
        self._telling = False

    def tell(self, records: Sequence[AnyRecord]) -> None:
        """Tell them, in the order of the records even if one of them sends something."""
        self._untold.extend(records)
        if self._telling:
            return
        self._telling = True
        try:
            while self._untold:
                record = self._untold.popleft()
                for observer in [*self]:
                    try:
                        observer(record)
                    except Exception:
                        log.exception("An observer of run %s raised; it is removed.", self._run_id)
                        self.remove(observer)
        finally:
            self._telling = False
