"""What plait is known to do otherwise. Each entry goes away when plait has been mended.

An example that comes upon one of these is left open; the test of the generator sees to it that they
are few.
"""

from __future__ import annotations

from tests.model.paths import fan_ins, search
from tests.model.program import Program
from tests.model.reference import Unclear


def stream_in_itself(program: Program) -> None:
    """Fan-ins that only lie behind a stream inside itself are not found."""
    ends = {step.name: fan_ins(program, step) for step in program.steps}
    inside = {step.name: search(program, step, ends)[0] for step in program.steps}
    for _ in program.steps:
        for found in inside.values():
            found |= {name for one in [*found] for name in inside[one]}
    curbed = {name: [] if name in inside[name] else ends[name] for name in ends}
    for step in program.steps:
        if search(program, step, curbed)[1] != {*ends[step.name]}:
            raise Unclear("stream in itself")
    for child in program.children:
        stream_in_itself(child)
