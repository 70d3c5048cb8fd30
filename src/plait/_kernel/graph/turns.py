"""Who is next among deliveries that are ready.

Rule: first in, first out, as far as the limits let them. Who waits for a limit of its own is passed
    over and blocks nobody. Of each step only the first stands in line, and only while the step may
    have one body more; if its group has no room it is held back, until a body of the group has
    ended. So each delivery is looked at a few times, however many there are.
"""

from __future__ import annotations

from heapq import heappop, heappush

from plait._kernel.records import Started

from .state import GraphState, group_of


def next_in_turn(state: GraphState, now: float) -> Started | None:
    """Say who starts next, or that nobody can."""
    plan = state.plan
    while state.ready and len(state.running) < plan.max_workers:
        entry = heappop(state.ready)
        _, number, name = entry
        group = group_of(plan.step[name])
        if not state.counts(entry):
            if group is not None:  # it may have been called back: then there is room for another
                state.call_back(group)
        elif group is not None and not state.has_room(group):
            heappush(state.held.setdefault(group, []), entry)
        else:
            return Started(now, number, name, state.next_worker)
    return None
