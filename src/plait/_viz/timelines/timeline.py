"""A timeline: an execution laid out in time. Rows and bars, in no format.

Rule 1: *A bar is a time in which something was held:* a worker, or where there are none, the task that
    makes a call. Each attempt is one bar; one that waited for an event in between, and so gave its
    worker back, is one for each time in which it had a worker.
Rule 2: *No two bars of a row overlap.* A row is a worker, or a task, or a line of waits; where several
    waits go on at once, they have several lines, and from `LINES` on they are only counted.
Rule 3: what waits for a worker is counted, not drawn one by one: a queue may be long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import Final, Literal, TypeAlias

import attrs

from plait._viz.executions.execution import Execution
from plait._viz.executions.parts import Activity, Attempt, Pause

What: TypeAlias = Literal["run", "wait", "retry"]
Ending: TypeAlias = Literal["succeeded", "failed", "cancelled", "interrupted", "open"]

#: More lines of waits than this are only counted.
LINES: Final = 6
#: What the row of a function's body is called, and that of the calls of its first task.
BODY: Final = "function"
FIRST_TASK: Final = "first task"
#: And the calls that the deliveries of a step make, after the name of the step.
CALLS: Final = " calls"


@attrs.frozen
class Bar:
    """Something that took time.

    Attributes:
        activity: The id of the activity.
        label: What people call that.
        what: `"run"`: a body was executed; `"wait"`: for something to come; `"retry"`: for the time of
            the next attempt.
        began: In seconds since the run began.
        ended: The same; of what goes on, when the last record was made.
        ending: How it ended.
        attempt: Which attempt it is of; 0 for a wait.
        part: Which of its bars, from 0.
        note: What else is to be said, in words.
    """

    activity: str
    label: str
    what: What
    began: float
    ended: float
    ending: Ending
    attempt: int = 0
    part: int = 0
    note: str = ""


@attrs.frozen
class Row:
    """What happened one after the other, or how many waited.

    Attributes:
        group: The step, or the task.
        name: What the row is of the group: `"worker 0"`, `"waits"`, `"queue"`.
        bars: In the order of time.
        depth: Instead of bars: how many there were from which time on.
    """

    group: str
    name: str
    bars: tuple[Bar, ...] = ()
    depth: tuple[tuple[float, int], ...] = ()


@attrs.frozen
class Timeline:
    """A run in time.

    Attributes:
        title: What it is of.
        status: Where the run stands.
        epoch: When it began, in Unix seconds.
        length: How long it took so far, in seconds.
        rows: Those of one group are together.
    """

    title: str
    status: str
    epoch: float
    length: float
    rows: tuple[Row, ...]


def timeline(execution: Execution) -> Timeline:
    """Lay an execution out in time."""
    groups: dict[str, list[Activity]] = {}
    for activity in execution.activities.values():
        if activity.state != "joined":
            groups.setdefault(_group(activity), []).append(activity)
    rows = [row for name in _named(groups) for row in _rows(name, groups[name], execution.now)]
    title = f"{execution.name or 'run'} {execution.run_id}".strip()
    return Timeline(title, execution.status, execution.epoch, execution.now, tuple(rows))


def _named(groups: Iterable[str]) -> Iterator[str]:
    """List the groups as they came up; the calls of a step follow it."""
    names = dict.fromkeys(groups)
    for name in names:
        if not (name.endswith(CALLS) and name.removesuffix(CALLS) in names):
            yield name
            if name + CALLS in names:
                yield name + CALLS


def _group(activity: Activity) -> str:
    match activity.kind:
        case "function":
            return BODY
        case "call":
            if activity.within is not None:
                return f"{activity.within.rpartition('#')[0]}{CALLS}"
            return activity.task or FIRST_TASK
        case "step":
            return ""
        case "delivery":
            return activity.name


def _rows(group: str, activities: Sequence[Activity], now: float) -> Iterator[Row]:
    workers: dict[int, list[Bar]] = {}
    tasks: list[Bar] = []
    waits: list[Bar] = []
    queued: list[Pause] = []
    for activity in activities:
        for worker, bar in _runs(activity, now):
            (tasks if worker is None else workers.setdefault(worker, [])).append(bar)
        for pause in activity.pauses:
            if pause.kind == "queue":
                queued.append(pause)
            elif pause.ended is None or pause.ended > pause.began:
                (tasks if _is_of_a_task(activity) else waits).append(_wait(activity, pause, now))
    for worker in sorted(workers):
        yield Row(group, f"worker {worker}", _in_order(workers[worker]))
    for place, line in enumerate(_lines(tasks)):
        yield Row(group, "" if not place else f"beside {place}", line)
    lines = _lines(waits)
    if len(lines) > LINES:
        yield Row(group, "waits", depth=_depth((bar.began, bar.ended) for bar in waits))
    else:
        for line in lines:
            yield Row(group, "waits", line)
    times = ((pause.began, now if pause.ended is None else pause.ended) for pause in queued)
    if depth := _depth(times):
        yield Row(group, "queue", depth=depth)


def _is_of_a_task(activity: Activity) -> bool:
    return activity.kind in {"call", "function"}


def _runs(activity: Activity, now: float) -> Iterator[tuple[int | None, Bar]]:
    for attempt in activity.attempts:
        last = len(attempt.stretches) - 1
        for part, stretch in enumerate(attempt.stretches):
            ended = now if stretch.ended is None else stretch.ended
            ending: Ending = "open" if stretch.ended is None else "succeeded"
            if part == last and attempt.how is not None and attempt.ended == stretch.ended:
                ending = attempt.how
            note = _note(activity, attempt) if part == last else ""
            bar = Bar(
                activity.id,
                activity.label,
                "run",
                stretch.began,
                ended,
                ending,
                attempt.number,
                part,
                note,
            )
            yield stretch.worker, bar


def _note(activity: Activity, attempt: Attempt) -> str:
    said = [f"attempt {attempt.number}"] if len(activity.attempts) > 1 else []
    return ", ".join([*said, *([attempt.error] if attempt.error else [])])


def _wait(activity: Activity, pause: Pause, now: float) -> Bar:
    ending: Ending = "open" if pause.ended is None else "succeeded"
    match pause.kind:
        case "retry":
            note = "until the next attempt"
        case "sleep":
            note = "deadline" if activity.name == "deadline" else "sleeps"
        case "invoke":
            note = f"for run {pause.of}"
        case _:
            note = f"for {pause.of}"
    what: What = "retry" if pause.kind == "retry" else "wait"
    ended = now if pause.ended is None else pause.ended
    return Bar(activity.id, activity.label, what, pause.began, ended, ending, note=note)


# ---------------------------------------------------------------- rows


def _in_order(bars: Iterable[Bar]) -> tuple[Bar, ...]:
    return tuple(sorted(bars, key=lambda bar: (bar.began, bar.ended)))


def _lines(bars: Iterable[Bar]) -> list[tuple[Bar, ...]]:
    """Put bars into as few lines as there must be."""
    lines: list[list[Bar]] = []
    free: list[tuple[float, int]] = []
    for bar in _in_order(bars):
        if free and free[0][0] <= bar.began:
            _, place = heappop(free)
            lines[place].append(bar)
        else:
            place = len(lines)
            lines.append([bar])
        heappush(free, (bar.ended, place))
    return [tuple(line) for line in lines]


def _depth(times: Iterable[tuple[float, float]]) -> tuple[tuple[float, int], ...]:
    """Count how many go on at once, each time that it changes."""
    changes: dict[float, int] = {}
    for began, ended in times:
        if ended > began:
            changes[began] = changes.get(began, 0) + 1
            changes[ended] = changes.get(ended, 0) - 1
    found: list[tuple[float, int]] = []
    count = 0
    for at in sorted(changes):
        count += changes[at]
        if not found or found[-1][1] != count:
            found.append((at, count))
    return tuple(found)


def times(length: float) -> tuple[float, ...]:
    """Choose times for the marks of an axis: round ones, some five to ten of them."""
    if length <= 0:
        return (0.0,)
    steps = [
        *(base * 10.0**power for power in range(-9, 1) for base in (1, 2, 5)),
        *(10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0),
        *(
            6 * 3600.0,
            12 * 3600.0,
            *(86400.0 * base * 10**n for n in range(6) for base in (1, 2, 5)),
        ),
    ]
    step = next((one for one in steps if length / one <= 8), steps[-1])
    return tuple(step * count for count in range(int(length / step + 1e-9) + 1))


def said(seconds: float) -> str:
    """Say how long something took: `"1.25 s"`, `"12 ms"`, `"3 min 20 s"`, `"2 h 5 min"`, `"7 d 1 h"`."""
    if seconds < 60:
        for size, unit in ((1.0, "s"), (1e-3, "ms")):
            if seconds >= size:
                return f"{seconds / size:.3g} {unit}"
        return f"{seconds * 1e6:.3g} µs" if seconds > 0 else "0 s"
    total = round(seconds)
    for size, unit, part, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if total >= size:
            rest = total % size // part
            return f"{total // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    rest = total % 60
    return f"{total // 60} min" + (f" {rest} s" if rest else "")
