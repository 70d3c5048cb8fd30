"""The plan: what the user drew, compiled once and shared by every run. Data, never changed.

Routing is by exact type, one dictionary look-up: an `isinstance` over sixteen steps costs fifty
times as much. A class that the plan has not seen is classified once, when it is first emitted.

What the kernel must know about event classes it is told by a `Kinds`: it imports none of them, so
the same kernel serves typed events, durable functions and the steps of a flow.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Literal, TypeAlias

import attrs

from .retry.ask import AnyRetryPolicy


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
    #: The class that stands for a failure, and what makes one: step, input, error, attempts,
    #: seconds since the first attempt began, Unix time of the failure.
    failed: type
    make_failed: Callable[[str, object, Exception, int, float, float], object]
    #: Begins a run.
    start: type | None = None


@attrs.frozen
class Gather:
    """How a step with a `list[E]` parameter is fed: by the stream that a returned list opens."""

    #: Fire at this many; `None`: when the stream has ended.
    take: int | None = None
    cancel_rest: bool = False
    by_input: bool = False


Word: TypeAlias = Literal["fail", "skip", "continue"]
"""What the failure of one step means for one that waits for it: the run ends; or that step and all
that wait for it do not run; or it runs all the same."""


@attrs.frozen
class After:
    """Lets a step begin when others have come to their end, instead of with an event."""

    #: Whom it waits for, and what their failure means for it.
    needs: tuple[tuple[str, Word], ...] = ()
    #: It shares the limit of this name with others: see `Plan.groups`.
    group: str | None = None
    #: Of several deliveries: does the first that fails end the others?
    fail_fast: bool = True
    #: Does its failure end the run, though nobody waits for it?
    aborts: bool = False


@attrs.frozen
class StepPlan:
    """One step: which classes it accepts, and how many of its bodies may run at once."""

    name: str
    accepts: tuple[type, ...]
    num_workers: int = 4
    accept_subclasses: bool = False
    #: A join: one class for each event parameter, in their order.
    slots: tuple[type, ...] = ()
    #: A fan-in.
    gather: Gather | None = None
    #: The fan-ins that the streams of this step's returned lists end in.
    opens: tuple[str, ...] = ()
    #: May it return a list? And what may it return in a list only?
    returns_list: bool = False
    only_listed: tuple[type, ...] = ()
    retry: AnyRetryPolicy | None = None
    #: The step that is given this step's final failures, and how often that one may be.
    handler: str | None = None
    max_recoveries: int = 1
    #: Whom it waits for, in a plan whose steps follow one another: see `_kernel.graph`.
    after: After | None = None
    #: Is each of its events a delivery by itself? Asked once for each delivery.
    plain: bool = attrs.field(
        init=False,
        default=attrs.Factory(lambda self: not self.slots and self.gather is None, takes_self=True),
    )

    def takes(self, kind: type, kinds: Kinds) -> bool:
        """Say whether an event of exactly this class goes to this step."""
        if kind in self.accepts:
            return True
        return (
            self.accept_subclasses
            and not issubclass(kind, kinds.stop)
            and issubclass(kind, self.accepts)
        )

    def slot_of(self, kind: type, waiting: Sequence[int]) -> int:
        """Find the slot of a join for an event: of those that take it, the emptiest."""
        able = [
            place
            for place, wanted in enumerate(self.slots)
            if kind is wanted or (self.accept_subclasses and issubclass(kind, wanted))
        ]
        return min(able, key=lambda place: waiting[place])

    def counts_as(self, kind: type, wanted: Container[type]) -> type | None:
        """Find the class under which an event counts where some classes are wanted."""
        if kind in wanted:
            return kind
        bases = kind.__mro__ if self.accept_subclasses else ()
        return next((base for base in bases if base in wanted), None)


@attrs.frozen
class Route:
    """Where the events of one class go."""

    kind: type
    to: tuple[str, ...]
    #: The fan-ins among the steps that accept it; they take it only from their stream.
    gathered_by: tuple[str, ...]
    stops: bool
    answers: bool
    observable: bool
    #: The same as `to`, if every one takes it as a delivery by itself, and that is all.
    plainly: tuple[str, ...] | None


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
        takers = () if stops else tuple(s for s in self._steps if s.takes(kind, kinds))
        to = tuple(step.name for step in takers if step.gather is None)
        plain = all(step.plain for step in takers if step.gather is None)
        route = self[kind] = Route(
            kind=kind,
            to=to,
            gathered_by=tuple(step.name for step in takers if step.gather is not None),
            stops=stops,
            answers=answers,
            observable=observable,
            plainly=to if to and plain and not observable else None,
        )
        return route


def _routes(plan: Plan) -> Routes:
    return Routes(plan.steps, plan.kinds)


def _asks(plan: Plan) -> bool:
    return any(issubclass(kind, plan.kinds.answer) for s in plan.steps for kind in s.accepts)


def _dependents(plan: Plan) -> dict[str, tuple[tuple[str, Word], ...]]:
    found: dict[str, list[tuple[str, Word]]] = {}
    for step in plan.steps:
        for name, word in step.after.needs if step.after is not None else ():
            found.setdefault(name, []).append((step.name, word))
    return {name: tuple(waiting) for name, waiting in found.items()}


def _places(plan: Plan) -> dict[str, int]:
    return {step.name: place for place, step in enumerate(plan.steps)}


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
    #: How many bodies may run at once in the whole run, where steps follow one another.
    max_workers: int = 4
    #: And how many of the steps that share a limit, by its name.
    groups: Mapping[str, int] = attrs.field(factory=dict[str, int])

    #: Who waits for a step, and what its failure means for them, in the order of the plan.
    dependents: dict[str, tuple[tuple[str, Word], ...]] = attrs.field(
        init=False, repr=False, default=attrs.Factory(_dependents, takes_self=True)
    )
    place: dict[str, int] = attrs.field(
        init=False, repr=False, default=attrs.Factory(_places, takes_self=True)
    )
    step: dict[str, StepPlan] = attrs.field(
        init=False, default=attrs.Factory(_by_name, takes_self=True)
    )
    routes: Routes = attrs.field(init=False, default=attrs.Factory(_routes, takes_self=True))
    #: Does a step accept an answer from outside? Then a quiet run is idle, not stalled.
    asks: bool = attrs.field(init=False, default=attrs.Factory(_asks, takes_self=True))
    #: May a step return a list?
    lists: bool = attrs.field(
        init=False,
        default=attrs.Factory(
            lambda self: any(s.returns_list for s in self.steps), takes_self=True
        ),
    )
