"""The plan: what the user drew, compiled once and shared by every run. Data, never changed.

Routing is by exact type, one dictionary look-up: an `isinstance` over sixteen steps costs fifty
times as much. A class that the plan has not seen is classified once, when it is first emitted.

What the kernel must know about event classes it is told by a `Kinds`: it imports none of them, so
the same kernel serves typed events, durable functions and the steps of a flow.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Literal

import attrs


@attrs.frozen
class Kinds:
    """The classes that mean something to the kernel."""

    #: Anything that may travel between steps.
    event: type
    #: Ends the run.
    stop: type
    #: Comes from outside: kept in the mailbox until somebody asks for it.
    answer: type
    #: Is for whoever watches the stream, and needs no step that accepts it.
    observable: Callable[[type], bool]


@attrs.frozen
class StepPlan:
    """One step: which classes it accepts, and how many of its bodies may run at once."""

    name: str
    accepts: tuple[type, ...]
    num_workers: int = 4
    accept_subclasses: bool = False

    def takes(self, kind: type, kinds: Kinds) -> bool:
        """Say whether an event of exactly this class goes to this step."""
        if kind in self.accepts:
            return True
        return (
            self.accept_subclasses
            and not issubclass(kind, kinds.stop)
            and issubclass(kind, self.accepts)
        )

    def counts_as(self, kind: type, wanted: Container[type]) -> type | None:
        """Find the class under which an event counts where some classes are wanted."""
        candidates = kind.__mro__ if self.accept_subclasses else (kind,)
        return next((base for base in candidates if base in wanted), None)


@attrs.frozen
class Route:
    """Where the events of one class go."""

    kind: type
    to: tuple[str, ...]
    stops: bool
    answers: bool
    observable: bool
    #: False: nobody takes it and nobody watches for it, so emitting it is an error.
    deliverable: bool


class Routes(dict[type, Route]):
    """The routes by exact class, filled in as classes are met."""

    def __init__(self, steps: tuple[StepPlan, ...], kinds: Kinds) -> None:
        super().__init__()
        self._steps = steps
        self._kinds = kinds

    def __missing__(self, kind: type) -> Route:
        kinds = self._kinds
        stops = issubclass(kind, kinds.stop)
        answers = issubclass(kind, kinds.answer)
        observable = issubclass(kind, kinds.event) and kinds.observable(kind)
        to = () if stops else tuple(s.name for s in self._steps if s.takes(kind, kinds))
        route = self[kind] = Route(
            kind=kind,
            to=to,
            stops=stops,
            answers=answers,
            observable=observable,
            deliverable=bool(stops or to or answers or observable),
        )
        return route


def _routes(plan: Plan) -> Routes:
    return Routes(plan.steps, plan.kinds)


def _asks(plan: Plan) -> bool:
    return any(issubclass(kind, plan.kinds.answer) for s in plan.steps for kind in s.accepts)


def _by_name(plan: Plan) -> dict[str, StepPlan]:
    return {step.name: step for step in plan.steps}


@attrs.frozen(eq=False)
class Plan:
    """A whole workflow, as the kernel sees it."""

    name: str
    steps: tuple[StepPlan, ...]
    kinds: Kinds
    #: What a stop does to the bodies that are running: cancels them, or lets them finish.
    on_stop: Literal["cancel", "drain"] = "cancel"

    step: dict[str, StepPlan] = attrs.field(
        init=False, default=attrs.Factory(_by_name, takes_self=True)
    )
    routes: Routes = attrs.field(init=False, default=attrs.Factory(_routes, takes_self=True))
    #: Does a step accept an answer from outside? Then a quiet run is idle, not stalled.
    asks: bool = attrs.field(init=False, default=attrs.Factory(_asks, takes_self=True))
