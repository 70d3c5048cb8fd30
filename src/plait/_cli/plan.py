"""`plait plan`: in which order the steps of flow files would run, and why."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from .exits import WELL
from .messages import say
from .news import several
from .printable import printable
from .results import columns, json_text
from .settings import check_params
from .targets import files

if TYPE_CHECKING:
    from plait._strands._flows.checked import CheckedFlow


def plan(
    *targets: Annotated[str, Parameter(name="FILE")],
    json: Annotated[bool, Parameter(name=["--json", "-j"])] = False,
    set_: Annotated[tuple[str, ...], Parameter(name="--set")] = (),
) -> int:
    """Show in which order the steps of flow files would run, and why. Nothing runs.

    Args:
        targets: FILE... (- is standard input).
        json: Print the plan as JSON.
        set_: NAME=VALUE: a param of the flow.
    """
    from plait._strands._flows.check import check

    flow = check(files(targets, "plan").names)
    for warning in flow.warnings:
        say(warning)
    check_params(flow, set_)
    if json:
        print(json_text(_document(flow)), end="")
    else:
        sys.stdout.write(_text(flow))
    return WELL


def _document(flow: CheckedFlow) -> dict[str, Any]:
    return {
        "workers": flow.workers,
        "waves": [[*wave] for wave in flow.waves],
        "steps": [
            {
                "name": name,
                "provider": step.provider.name,
                "needs": [
                    {"step": need.step, "because": need.because, "at": str(need.place)}
                    for need in step.needs
                ],
            }
            for name, step in flow.steps.items()
        ],
    }


def _text(flow: CheckedFlow) -> str:
    steps, waves = several(len(flow.steps), "step"), several(len(flow.waves), "wave")
    head = f"{printable(flow.name)}: {steps} in {waves}, {several(flow.workers, 'worker')}\n"
    return head + columns([*_rows(flow)])


def _rows(flow: CheckedFlow) -> Iterator[tuple[str, ...]]:
    for number, wave in enumerate(flow.waves, 1):
        label = f"wave {number}"
        for name in wave:
            step = flow.steps[name]
            first = (label, printable(name), step.provider.name)
            for need in step.needs or [None]:
                why = ("", "")
                if need is not None:
                    why = (printable(need.step), printable(f"{need.because} ({need.place})"))
                yield (*first, *why)
                first = ("", "", "")
            label = ""
