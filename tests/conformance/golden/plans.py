"""The workflows of the golden journals, and their events. They stay as they are, for ever.

A new release may add plans and stories; whoever changes one of these can no longer read what earlier
releases have written.
"""

from __future__ import annotations

from typing import Final

from plait import Event, HumanResponseEvent, StartEvent, StopEvent
from plait._journal.values import Values
from plait._kernel.plan import Gather, Plan, StepPlan
from plait._strands._events.compile import KINDS
from plait.events import StepFailedEvent
from plait.retry import retry_policy, stop_after_attempt, wait_fixed


class Begin(StartEvent, name="golden.begin"):
    topic: str


class Item(Event, name="golden.item"):
    n: int
    tags: tuple[str, ...] = ()


class Done(Event, name="golden.done"):
    n: int


class Noted(Event, name="golden.noted", observable=True):
    text: str


class Answer(HumanResponseEvent, name="golden.answer"):
    to: str
    yes: bool


class End(StopEvent, name="golden.end"):
    total: float


VALUES: Final = Values([Begin, Item, Done, Noted, Answer, End], "the golden workflows")
TWICE: Final = retry_policy(wait=wait_fixed(2), stop=stop_after_attempt(2))


def plan(name: str, *steps: StepPlan) -> Plan:
    return Plan(name, steps, KINDS)


PLANS: Final = {
    "lists": plan(
        "Lists",
        StepPlan("begin", (Begin,), returns_list=True, opens=("gather",)),
        StepPlan("work", (Item,), num_workers=2),
        StepPlan("pair", (Item, Noted), slots=(Item, Noted)),
        StepPlan("gather", (Done,), gather=Gather(2, cancel_rest=True)),
    ),
    "failures": plan(
        "Failures",
        StepPlan("begin", (Begin,)),
        StepPlan("work", (Item,), retry=TWICE, handler="mend"),
        StepPlan("mend", (StepFailedEvent,)),
    ),
    "waits": plan(
        "Waits",
        StepPlan("begin", (Begin,)),
        StepPlan("ask", (Item,), num_workers=1),
        StepPlan("collect", (Done,)),
    ),
    "turns": plan("Turns", StepPlan("begin", (Begin,)), StepPlan("work", (Item,))),
}
