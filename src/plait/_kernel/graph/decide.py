"""Stimulus -> records and effects, for steps that follow one another.

Rule 1: *A step's turn comes when all that it waits for have come to their end.* Then `admit` says what
    becomes of it. A step of whose needs none has anything for it is left out as well.
Rule 2: *The file decides what a failure means, not the clock.* Each edge from a step to one that waits
    for it has a word. `fail` ends the run; `skip` leaves out that step and all that descend from it,
    `continue` lets it run when its turn comes. One `fail` is enough, wherever it stands.
Rule 3: *A step with several deliveries is one step.* It fails if one of them fails; if it is so wished
    the others are cancelled at once.
Rule 4: *The first decision stands.* After it nothing starts. Who was running is waited for.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Final, TypeAlias

from plait._errors import PlaitInternalError
from plait._ids import OUTSIDE, DeliveryId
from plait._kernel import effects, records, stimuli
from plait._kernel.decide import ImpossibleStimulus
from plait._kernel.life import GOING, WINDING_UP, Phase
from plait._kernel.plan import After, Word
from plait._kernel.records import Cancelled, Completed, Crashed, Decided, TimedOut
from plait._kernel.retry.ask import ask
from plait._kernel.state import Delivery
from plait._kernel.stimuli import Stimulus

from .admission import Broken, Leave
from .effects import Effect
from .records import Readied, Reason, Record, Reused, Skipped
from .state import GraphState

Decision: TypeAlias = tuple[list[Record], list[Effect]]

#: A step that waits for nobody.
ALONE: Final = After()
#: Why a step does not run after a failure, by the word of the edge.
LOST: Final[tuple[tuple[Word, Reason], ...]] = (("fail", "abort"), ("skip", "on_error"))


def decide(state: GraphState, stimulus: Stimulus) -> Decision:
    """Say what this stimulus means in this state.

    Raises:
        ImpossibleStimulus: The shell is wrong; nothing has changed.
    """
    now = stimulus.now
    match stimulus:
        case stimuli.Returned():
            delivery = _running(state, stimulus, stimulus.delivery)
            return [Completed(now, delivery.number, stimulus.value, state.next_delivery, ())], []
        case stimuli.Raised():
            return _raised(state, _running(state, stimulus, stimulus.delivery), stimulus)
        case stimuli.Unwound():
            delivery = _running(state, stimulus, stimulus.delivery)
            return [records.Interrupted(now, delivery.number)], []
        case stimuli.Due():
            if stimulus.delivery not in state.due or state.phase is not GOING:
                return [], []
            return [records.Requeued(now, stimulus.delivery)], []
        case stimuli.Opened():
            if state.phase is not Phase.NEW:
                raise ImpossibleStimulus(state, stimulus)
            begun = records.RunStarted(now, state.run_id, stimulus.epoch)
            return [begun, records.Emitted(now, OUTSIDE, stimulus.event, DeliveryId(1), ())], []
        case stimuli.Expired():
            return _stop(state, stimulus, TimedOut(state.active, stimulus.seconds))
        case stimuli.CancelAsked():
            return _stop(state, stimulus, Cancelled(by_owner=False))
        case stimuli.Abandoned():
            return _stop(state, stimulus, Cancelled(by_owner=True))
        case stimuli.Settled():
            if state.phase is not WINDING_UP or state.running:
                raise ImpossibleStimulus(state, stimulus)
            return [records.Closed(now)], []
        case _:
            raise ImpossibleStimulus(state, stimulus)


def _running(state: GraphState, stimulus: Stimulus, number: DeliveryId) -> Delivery:
    delivery = state.running.get(number)
    if delivery is None:
        raise ImpossibleStimulus(state, stimulus)
    return delivery


def _stop(state: GraphState, stimulus: Stimulus, outcome: records.Outcome) -> Decision:
    if state.phase is Phase.NEW:
        raise ImpossibleStimulus(state, stimulus)
    if state.phase is not GOING:
        return [], []
    return [Decided(stimulus.now, outcome)], [effects.Wind()]


# ---------------------------------------------------------------- a step's turn


def admitted(state: GraphState, name: str, now: float) -> list[Record]:
    """Rule 1."""
    pending = state.pending[name]
    needs = (state.plan.step[name].after or ALONE).needs
    after = tuple([needed for needed, _ in needs])
    if needs and not pending.live:
        return [Skipped(now, (name,), "upstream", after)]
    try:
        verdict = state.admit(name)
    except Exception as failure:  # noqa: BLE001 - it is the step's failure
        verdict = Broken(failure)
    if isinstance(verdict, Leave):
        return [Skipped(now, (name,), "when", after)]
    first = state.next_delivery
    if isinstance(verdict, Broken):
        return [Readied(now, name, first, 1, after), records.Failed(now, first, verdict.error)]
    known = [
        Reused(now, DeliveryId(first + item), event)
        for item, event in sorted(verdict.reused.items())
    ]
    return [Readied(now, name, first, verdict.count, after), *known]


# ---------------------------------------------------------------- failures


def _raised(state: GraphState, delivery: Delivery, stimulus: stimuli.Raised) -> Decision:
    now, error, number = stimulus.now, stimulus.error, delivery.number
    failed: list[Record] = [records.Failed(now, number, error)]
    if state.phase is not GOING:
        return failed, []
    if not isinstance(error, Exception) or isinstance(error, PlaitInternalError):
        return [*failed, Decided(now, Crashed())], [effects.Wind()]
    policy = state.plan.step[delivery.step].retry
    if policy is not None and not (stimulus.final or _is_cut_short(state, delivery.step)):
        began = delivery.began if delivery.trouble is None else delivery.trouble.began
        try:
            delay = ask(policy, now - began, delivery.attempt, error, _seed(state, delivery))
        except Exception as failure:  # noqa: BLE001 - it is the step's failure; its cause is the error
            return [records.Failed(now, number, failure)], []
        if delay is not None:
            due = now + delay
            return [records.Retrying(now, number, error, due)], [effects.Alarm(number, due)]
    return failed, []


def _is_cut_short(state: GraphState, name: str) -> bool:
    """Has another delivery of the step ended it? The shell may not have heard of that yet."""
    return state.open[name].failed and (state.plan.step[name].after or ALONE).fail_fast


def _seed(state: GraphState, delivery: Delivery) -> int:
    """What a policy's jitter comes from: the same in each life of the run."""
    text = f"{state.run_id}:{delivery.step}:{delivery.event}:{delivery.attempt}"
    return zlib.crc32(text.encode())


def cut_short(state: GraphState, name: str, now: float) -> Decision:
    """Rule 3: one delivery has failed, and others of the step are left."""
    step = state.open[name]
    waiting: list[DeliveryId] = []
    running: list[DeliveryId] = []
    for number in map(DeliveryId, range(step.first, step.first + step.count)):
        if number in state.running:
            running.append(number)
        elif number in state.queued or number in state.due:
            waiting.append(number)
    written: list[Record] = []
    if waiting:
        written.append(records.Dropped(now, tuple(waiting), ()))
    return written, ([effects.Interrupt(tuple(running))] if running else [])


def failed(state: GraphState, name: str, now: float) -> Decision:
    """Rule 2: a step has failed, and nothing of it is left."""
    edges = state.plan.dependents.get(name, ())
    after = state.plan.step[name].after or ALONE
    written: list[Record] = []
    gone: dict[str, None] = {}
    for word, reason in LOST:
        first = [dependent for dependent, edge in edges if edge == word]
        lost = [one for one in _descent(state, first) if one not in gone]
        gone.update(dict.fromkeys(lost))
        if lost:
            in_order = sorted(lost, key=state.plan.place.__getitem__)
            written.append(Skipped(now, tuple(in_order), reason, (name,)))
    if any(edge == "fail" for _, edge in edges) or (after.aborts and not edges):
        return [*written, Decided(now, Crashed())], [effects.Wind()]
    return written, []


def _descent(state: GraphState, names: Iterable[str]) -> Iterable[str]:
    """Those of these steps that are pending, and all that descend from them."""
    found: dict[str, None] = {}
    stack = [*names]
    while stack:
        name = stack.pop()
        if name in state.pending and name not in found:
            found[name] = None
            stack += [dependent for dependent, _ in state.plan.dependents.get(name, ())]
    return found
