"""Random programs of `tests.model`, watched: what the pictures must show, from the state of the run itself."""

from __future__ import annotations

from typing import Any

import attrs

import plait.testing
from plait._viz.executions.execution import Execution
from plait._viz.executions.parts import OUTSIDE
from plait.lowlevel import Completed, Emitted, Started
from tests.model import compile as compiling
from tests.model.compile import perform
from tests.model.draw import draw, of_seed


@attrs.define
class Watched:
    """One run, with its execution and what its state says about the inputs of bodies."""

    run: Any
    execution: Execution
    records: list[Any] = attrs.field(factory=list)
    #: Who may have sent an event, by its identity: the same event may be sent twice.
    senders: dict[int, set[str]] = attrs.field(factory=dict)
    #: Of each delivery that has begun: the senders of each of its events.
    inputs: dict[int, list[set[str]]] = attrs.field(factory=dict)
    causes: dict[int, str] = attrs.field(factory=dict)
    steps: dict[int, str] = attrs.field(factory=dict)

    def __call__(self, record: Any) -> None:
        self.records.append(record)
        if isinstance(record, Started):
            self.steps[record.delivery] = f"{record.step}#{record.delivery}"
            if record.delivery not in self.inputs:
                state = self.run._shell.state.running[record.delivery]
                events = state.event if isinstance(state.event, tuple) else (state.event,)
                self.inputs[record.delivery] = [self.senders.get(id(one), set()) for one in events]
                self.causes[record.delivery] = self.steps.get(state.cause, OUTSIDE)
        else:
            source = None
            if isinstance(record, Emitted):
                source = self.steps.get(record.cause, OUTSIDE)
            elif isinstance(record, Completed) or type(record).__name__ == "Recovered":
                source = self.steps[record.delivery]
            if source is not None:
                self.senders.setdefault(id(record.event), set()).add(source)
        self.execution.feed(record)


def watched(seed: int, monkeypatch: Any, *, with_plan: bool = True) -> list[Watched]:
    """Play a program, and watch all runs in it."""
    seen: list[Watched] = []
    run_it = compiling.Recorded.run

    def run(self: Any, *args: Any, **fields: Any) -> Any:
        made = run_it(self, *args, **fields)
        plan = made._shell.plan if with_plan else None
        watch = Watched(made, Execution(plan=plan, name=made._shell.plan.name))
        made.observe(watch)
        seen.append(watch)
        return made

    with monkeypatch.context() as patch:
        patch.setattr(compiling.Recorded, "run", run)
        plait.testing.run(perform, draw(of_seed(seed)))
    return [one for one in seen if one.records]
