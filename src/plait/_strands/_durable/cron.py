"""Planned times of functions: when the next tick is, what became due unseen, and how late each starts.

Rule 1: a time is planned on the clock of its zone. On the night when clocks go forward, a tick of a
    time that there is not comes when that hour is over; on the night when they go back, a tick of a time
    that there is twice comes once. A wildcard for the hour goes by real hours. So Debian's cron does.
Rule 2: times strictly grow. Two ticks that fall together, as 2:00 and 2:30 in a spring night, are one.
Rule 3: a tick is known by its function and its planned time: found again, it is the same run.
"""

from __future__ import annotations

import hashlib
import importlib
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, tzinfo
from itertools import takewhile
from typing import Any, Final, Literal, TypeAlias

from plait._errors import MissingExtra
from plait._show import show

from .checks import is_text

Missed: TypeAlias = Literal["skip", "once", "all"]

#: Gives the planned times after a moment; some of them may be before it, or come twice.
Times: TypeAlias = Callable[[str, datetime], Iterator[datetime]]


#: How far back one looks first for the last of the times that have passed, in seconds.
AWHILE: Final = 2 * 86_400.0


def _cronsim(fields: str, after: datetime) -> Iterator[datetime]:
    try:
        cronsim: Any = importlib.import_module("cronsim")  # an extra, which most have no need of
    except ImportError as error:
        raise MissingExtra("Planned times need a library: pip install 'plait[flows]'") from error
    try:
        times: Iterator[datetime] = cronsim.CronSim(fields, after)
    except cronsim.CronSimError as error:
        raise ValueError(f"no planned times in {fields!r}: {error}") from error
    return times


class Schedule:
    """The times that a text stands for.

    Args:
        text: Five fields, perhaps with `TZ=...` before them.
        tz: The zone, if it is not in the text; by default UTC.
        times: What reads the five fields; by default the library cronsim.
    """

    def __init__(self, text: str, tz: str | None = None, *, times: Times = _cronsim) -> None:
        self._text = text
        self._tz = tz
        self._times = times

    def check(self) -> None:
        """Find out what is wrong with the text.

        Raises:
            TypeError: It is no text.
            ValueError: It is not five fields, or one is wrong, or the zone is not known; or these
                times never come.
            MissingExtra: The library is not installed.
        """
        if next(self.after(0.0), None) is None:
            raise ValueError(f"there is no such time as {self._text!r}")

    def after(self, moment: float) -> Iterator[float]:
        """Plan: the times after a moment, in Unix seconds, each later than the one before.

        Args:
            moment: In Unix seconds.

        Raises:
            TypeError: As for `check`; so are the others.
            ValueError: The same.
            MissingExtra: The same.
        """
        fields, zone = self._parts()
        return _growing(
            self._times(fields, datetime.fromtimestamp(moment, UTC).astimezone(zone)), moment
        )

    def _parts(self) -> tuple[str, tzinfo]:
        text, name = self._text, self._tz
        if not is_text(text):
            raise TypeError(f"planned times are a text, not {show(text, 80)}")
        fields = text.split()
        if fields and fields[0].startswith("TZ="):
            if name is not None:
                raise ValueError(f"the time zone is given twice: {fields[0]} and tz={name!r}")
            name = fields.pop(0).removeprefix("TZ=")
        if len(fields) != 5:
            raise ValueError(
                f"planned times have five fields, and {text!r} has {len(fields)}: minute, hour, day "
                'of the month, month, day of the week, as in "30 9 * * MON-FRI"'
            )
        return " ".join(fields), _zone("UTC" if name is None else name)


def _zone(name: str) -> tzinfo:
    if not is_text(name):
        raise TypeError(f"a time zone is the name of one, not {show(name, 80)}")
    if name == "UTC":
        return UTC
    import zoneinfo  # noqa: PLC0415 - few need it, and it looks for its files

    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"no such time zone: {name!r}") from error


def _growing(times: Iterator[datetime], last: float) -> Iterator[float]:
    """Rule 2: the library names a time of a night that has it twice again, if it is asked in between."""
    for moment in times:
        planned = moment.timestamp()
        if planned > last:
            yield planned
            last = planned


def due(
    schedule: Schedule,
    last: float,
    now: float,
    missed: Missed,
    *,
    start: Callable[[float], float] | None = None,
    jitter: float = 0.0,
) -> Iterator[float]:
    """List the planned times that have come while nobody served, as far as they shall still be run.

    Args:
        schedule: The times.
        last: The last tick that fired, or when the function was first served, in Unix seconds.
        now: In Unix seconds; a tick of this very moment is due.
        missed: `"skip"`: none of them. `"once"`: the last. `"all"`: each, one by one, for there may
            be many.
        start: Says when the tick of a planned time starts, if that is later; nor does the next one
            start before.
        jitter: How much later that may be, in seconds.
    """
    if missed == "skip":
        return iter(())

    def passed_since(moment: float) -> Iterator[float]:
        times = schedule.after(moment)
        return takewhile(lambda planned: (start(planned) if start else planned) <= now, times)

    if missed == "all":
        return passed_since(last)
    return iter(_last_of(passed_since, last, now - jitter))


def _last_of(
    passed_since: Callable[[float], Iterator[float]], last: float, now: float
) -> list[float]:
    """Find the last of them, and look at few: there may be a year of minutes.

    The first time that is found counts only if there is another after it: see rule 2 for what may be
    wrong with it.
    """
    span = AWHILE
    while True:
        since = max(last, now - span)
        found = deque(passed_since(since), maxlen=2)
        if len(found) == 2 or since == last:
            return [*found][-1:]
        span *= 2


def tick_id(function_id: str, planned: float) -> str:
    """Name the run of a tick: the same name whoever asks, in any process."""
    return f"tick-{_digest(function_id, planned).hex()[:32]}"


def start_of(planned: float, jitter: float, seed: int, function_id: str) -> float:
    """Say when the run of a tick starts: later than planned by less than `jitter` seconds.

    The same for the same seed, function and time; so it is the same after a restart.
    """
    if not jitter:
        return planned
    share = int.from_bytes(_digest(f"{seed}/{function_id}", planned)[:7], "big") / 2**56
    return planned + jitter * share


def _digest(name: str, planned: float) -> bytes:
    return hashlib.sha256(f"{name}@{planned!r}".encode()).digest()
