"""Runs of steps that follow one another, without a strand: bodies are plain functions of an attempt."""

import attrs

from plait._engine.graph import GraphShell
from plait._engine.lane import Work
from plait._ids import RunId
from plait._kernel.graph.admission import Go, everyone
from plait._kernel.plan import After, Plan, StepPlan
from plait._strands._flows.story import FlowStarted, StepDone
from tests.kernel.strategies import KINDS

RUN = RunId("run-1")
#: What a body returns: a journal wants to be able to write it.
DONE = StepDone(outputs={})
BEGUN = FlowStarted(files=[], params={})


def step(name, *needs, on=None, workers=1, group=None, retry=None, **after):
    """Write a step."""
    words = {**dict.fromkeys(needs, "fail"), **(on or {})}
    return StepPlan(
        name, (), workers, retry=retry, after=After(tuple(words.items()), group, **after)
    )


async def nothing(attempt):
    """Return at once."""
    return DONE


class Bodies(dict):
    """The work of each step: a body, or a body and its timeout; else one that returns at once."""

    def __missing__(self, name):
        return Work(nothing)


@attrs.define
class Flow:
    """What a shell is made of."""

    steps: tuple
    bodies: dict
    workers: int = 4
    groups: dict = attrs.field(factory=dict)
    items: dict = attrs.field(factory=dict)
    timeout: float | None = None
    records: list = attrs.field(factory=list)

    def shell(self, make=GraphShell, **options):
        plan = Plan("flow", self.steps, KINDS, max_workers=self.workers, groups=self.groups)
        works = Bodies(
            (name, body if isinstance(body, Work) else Work(body))
            for name, body in self.bodies.items()
        )
        made = make(plan, lambda _: works, BEGUN, RUN, timeout=self.timeout, **options)
        made.state.admit = self._admit if self.items else everyone
        made.observers.append(self.records.append)
        return made

    def _admit(self, name):
        return Go(self.items.get(name, 1))


def flow(*steps, bodies=None, **options):
    """Write a flow."""
    return Flow(steps, bodies or {}, **options)


async def run(shell):
    """Run it to the end; its conclusion."""
    shell.start()
    await shell.host()
    return shell.conclusion


def kinds(records):
    """The classes of records."""
    return [type(record).__name__ for record in records]
