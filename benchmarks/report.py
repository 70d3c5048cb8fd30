"""The tables: aligned for a terminal, and Markdown for the page, with the same characters."""

import datetime as dt
import os
from collections.abc import Callable, Iterable

from benchmarks.contenders import CONTENDERS, Contender
from benchmarks.machine import interpreter, processor, versions
from benchmarks.outcome import REFERENCE_HOP, Outcome
from benchmarks.scenario import (
    FASTEST_PEER,
    Cost,
    Equivalent,
    Growth,
    Quantity,
    Ratio,
    Target,
)
from benchmarks.session import Effort

NOTHING = "-"

Row = list[str]


def number(value: float | None) -> str:
    """Three digits are all that a noisy machine gives."""
    if value is None:
        return NOTHING
    digits = 0 if abs(value) >= 99.5 else 1 if abs(value) >= 9.95 else 2
    return f"{value:,.{digits}f}".replace(",", " ")


def share(value: float | None) -> str:
    """A percentage."""
    return NOTHING if value is None else f"{value:.0%}"


def table(head: Row, rows: Iterable[Row], *, words: int = 1) -> str:
    """A Markdown table whose first `words` columns are text and all others figures."""
    lines = [head, *rows]
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(head))]

    def show(line: Row) -> str:
        cells = (
            cell.ljust(width) if column < words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        return f"| {' | '.join(cells)} |"

    rule = [
        "-" * width if column < words else f"{'-' * (width - 1)}:"
        for column, width in enumerate(widths)
    ]
    return "\n".join([show(lines[0]), show(rule), *map(show, lines[1:])])


def section(outcome: Outcome) -> str:
    """One scenario: everybody's figures and how they compare."""
    scenario = outcome.scenario
    columns: list[tuple[str, Callable[[str], str]]] = [
        (number(size).removesuffix(".00").removesuffix(".0"), _at(outcome, size))
        for size in outcome.sizes
    ]
    columns.append(("±", lambda key: share(outcome.spread(key, outcome.largest(key)))))
    if scenario.equivalent:
        columns.append(
            (f"{scenario.unit.split()[0]}-eq", lambda key: number(outcome.equivalent(key)))
        )
    columns += [
        (f"÷ {CONTENDERS[over].title}", _over(outcome, over))
        for over in ("floor_b", "floor_c", "plait")
        if over in outcome.present() and scenario.ratios
    ]
    if scenario.growth_from is not None:
        columns.append(("growth", lambda key: number(outcome.growth(key))))
    rows = [
        [CONTENDERS[key].title, *(show(key) for _, show in columns)] for key in outcome.present()
    ]
    lines = [
        f"### {scenario.title}, {scenario.unit}",
        "",
        scenario.about + f" Compared at {number(outcome.reference).removesuffix('.00')}.",
        "",
        table([scenario.name, *(title for title, _ in columns)], rows),
    ]
    lines += [
        f"\n{CONTENDERS[key].title}: {'FAILED' if key in outcome.failed else 'skipped'}: {reason}"
        for key, reason in outcome.absent.items()
    ]
    return "\n".join(lines)


def _at(outcome: Outcome, size: int) -> Callable[[str], str]:
    return lambda key: number(outcome.cost(key, size))


def _over(outcome: Outcome, over: str) -> Callable[[str], str]:
    return lambda key: number(outcome.ratio(key, over))


def targets(outcomes: list[Outcome]) -> str:
    """What plait must reach, what it should reach, and what it reached."""
    rows: list[Row] = []
    for outcome in outcomes:
        for target in outcome.scenario.targets:
            value = quantity(outcome, target.quantity)
            if value is None:
                continue
            sign = "≥" if target.at_least else "≤"
            bounds = [
                "" if bound is None else f"{sign} {bound:g}"
                for bound in (target.first, target.goal)
            ]
            rows.append(
                [
                    outcome.scenario.title,
                    describe(outcome, target.quantity),
                    verdict(target, value),
                    *bounds,
                    number(value),
                ]
            )
    return table(
        ["scenario", "what", "reached", "first version", "goal", "measured"], rows, words=3
    )


def verdict(target: Target, value: float) -> str:
    """The highest mark that a value reaches."""

    def reached(bound: float) -> bool:
        return value >= bound if target.at_least else value <= bound

    if target.goal is not None and reached(target.goal):
        return "goal"
    if target.first is None:
        return "not yet"
    return "first version" if reached(target.first) else "MISSED"


def quantity(outcome: Outcome, wanted: Quantity) -> float | None:
    """The measured value, or `None` if somebody it needs did not take part."""
    match wanted:
        case Ratio(subject, over) if over == FASTEST_PEER:
            peers = [key for key in outcome.scenario.entries if CONTENDERS[key].family == "peer"]
            ratios = [outcome.ratio(subject, peer) for peer in peers]
            # Without one of them nobody can tell who is the fastest.
            known = [ratio for ratio in ratios if ratio is not None]
            return max(known) if len(known) == len(peers) else None
        case Ratio(subject, over):
            return outcome.ratio(subject, over)
        case Cost(subject):
            return outcome.cost(subject, outcome.reference)
        case Equivalent(subject):
            return outcome.equivalent(subject)
        case Growth(subject):
            return outcome.growth(subject)


def describe(outcome: Outcome, wanted: Quantity) -> str:
    """What a target is about, in words."""
    title = CONTENDERS[wanted.subject].title
    match wanted:
        case Ratio(_, over):
            other = "the fastest peer" if over == FASTEST_PEER else CONTENDERS[over].title
            return f"{title} ÷ {other}"
        case Cost():
            return f"{title}, {outcome.scenario.unit}"
        case Equivalent():
            return f"{title}, {outcome.scenario.unit.split()[0]}-equivalent"
        case Growth():
            return f"{title}, growth from {outcome.scenario.growth_from} to {outcome.sizes[-1]}"


def page(outcomes: list[Outcome], contenders: list[Contender], effort: Effort) -> str:
    """Everything, as `docs/benchmarks.md`."""
    hops = [hop for outcome in outcomes for hop in outcome.yardstick]
    stolen = max(outcome.stolen() for outcome in outcomes)
    found = sorted(versions(contenders).items())
    sections = "\n\n".join(map(section, outcomes))
    return f"""\
# Benchmarks

plait beside its peers, and beside minimal engines written by hand. `make bench` wrote this page in one
run. Machines differ: elsewhere only the ratios mean anything.

- **Measured** on {dt.datetime.now(tz=dt.UTC).date()}, the median of {effort.rounds} interleaved rounds
  {"(a quick look) " if effort.quick else ""}with a process for each contender, all on one core. Who takes more than
  {effort.cell:g} s at one size takes part in fewer rounds.
- **Machine** {processor()}, {os.cpu_count()} cores; {interpreter()}.
- **Versions** {", ".join(f"{name} {version}" for name, version in found)}.
- **Yardstick** floor b takes {number(min(hops))} to {number(max(hops))} µs a hop here and {REFERENCE_HOP} where the
  goals were set; **µs-eq** (ms-eq) is scaled by the quotient.
- **Others** had the core for up to {stolen:.0%} of a scenario's time, which is not counted.

**floor a** is a nursery for each step and a task for each delivery, **floor b** the same with long-lived workers,
**floor c** one queue whose bodies are driven inline until one suspends. None of them validates, records, streams or
explains anything. **±** is half the distance of the quartiles, if there was more than one round. **growth** is the
cost at a contender's largest size over that at an earlier one; 1.00 is flat. Where a contender has no figure, it would
have taken minutes.

Every answer is checked: a fast wrong result is reported as a failure. The programs stand side by side in
`benchmarks/scenarios/`.

## What plait must reach

{targets(outcomes)}

## Scenarios

{sections}
"""
