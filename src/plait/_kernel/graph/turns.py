"""Who is next among deliveries that are ready.

Rule: first in, first out, as far as the limits let them. Who waits for a limit of its own, its step's
    or its group's, is passed over and blocks nobody. It is put aside with the others that wait for
    that limit, and the first of them tries again when a body under it has ended: so each delivery
    is looked at a few times, however many there are.
"""

from __future__ import annotations

from heapq import heappop, heappush

from plait._ids import DeliveryId
from plait._kernel.records import Started
from plait._kernel.state import Delivery

from .state import GraphState


def next_in_turn(state: GraphState, now: float) -> Started | None:
    """Say who starts next, or that nobody can."""
    while state.ready and len(state.running) < state.plan.max_workers:
        turn, number = state.ready[0]
        heappop(state.ready)
        if not state.is_queued(turn, number):
            continue
        _, delivery = state.queued[number]
        if _put_aside(state, turn, delivery):
            continue
        return Started(now, number, delivery.step, state.next_worker)
    return None


def _put_aside(state: GraphState, turn: int, delivery: Delivery) -> bool:
    """Put a delivery aside if a limit of its own is reached; say whether that was so."""
    limits = state.limits(delivery)
    full = next((limit for limit in limits if not state.has_room(limit)), None)
    if full is None:
        return False
    number: DeliveryId = delivery.number
    heappush(state.parked.setdefault(full, []), (turn, number))
    for limit in limits:  # there was room for it, and that is for the next one
        if limit != full and state.has_room(limit):
            state.unpark(limit)
    return True
