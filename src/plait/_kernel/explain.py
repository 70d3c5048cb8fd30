"""Who waits for what, in words: for the stall, the timeout, and whoever asks a run.

One head and at most twenty lines, so that the text of an error stays readable at any size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from plait._errors import Waiting
from plait._show import show

from .collecting import Buffer, BufferKey
from .life import Phase
from .state import RunState

MOST_LINES: Final = 20


def waiting(state: RunState) -> tuple[Waiting, ...]:
    """List who waits for events: buffers that are not yet whole, joins, open questions."""
    collecting = tuple(
        Waiting(
            step=name,
            kind="collect",
            have={kind.__name__: len(buffer.have.get(kind, ())) for kind in buffer.need},
            need={kind.__name__: count for kind, count in buffer.need.items()},
            buffer_id=key.buffer_id,
            key=key.key,
            since=buffer.since,
        )
        for name, step in state.steps.items()
        for key, buffer in step.buffers.items()
    )
    joining = tuple(
        Waiting(
            step=name,
            kind="join",
            have=_have(step.plan.slots, slots),
            need=dict(Counter(kind.__name__ for kind in step.plan.slots)),
        )
        for name, step in state.steps.items()
        for slots in step.joins.values()
    )
    asking = tuple(
        Waiting(
            step=wait.step,
            kind="wait",
            have={wait.kind.__name__: 0},
            need={wait.kind.__name__: 1},
            waiter_id=wait.waiter_id,
            since=wait.since,
        )
        for wait in state.waits.values()
    )
    return (*collecting, *joining, *asking)


def _have(kinds: Sequence[type], slots: Sequence[Sequence[object]]) -> dict[str, int]:
    have: dict[str, int] = {}
    for kind, slot in zip(kinds, slots, strict=True):
        have[kind.__name__] = have.get(kind.__name__, 0) + len(slot)
    return have


def explain(state: RunState, now: float) -> str:
    """Say in words how the run stands."""
    lines = [*_lines(state, now)]
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = [f"  ... and {len(lines) - MOST_LINES} more"]
    return "\n".join([_head(state), *lines])


def _head(state: RunState) -> str:
    name = f"Workflow {state.plan.name!r}"
    if state.phase is Phase.NEW:
        return f"{name} has not been started."
    if state.phase is Phase.OVER:
        return f"{name} has ended."
    if state.busy:
        return f"{name} is running."
    if state.open_ended:
        return f"{name} is idle: it waits for an event from outside."
    return f"{name} is stalled: nothing is queued, running or due, and no step returned StopEvent."


def _lines(state: RunState, now: float) -> Iterator[str]:
    for name, step in state.steps.items():
        if step.running or step.queue:
            yield f"  step {name!r}: {step.running} running, {len(step.queue)} queued"
    for delivery in state.due.values():
        assert delivery.trouble is not None
        yield (
            f"  step {delivery.step!r}: attempt {delivery.attempt} is due, "
            f"after {show(delivery.trouble.error)}"
        )
    for wait in state.waits.values():
        yield (
            f"  step {wait.step!r}: wait_for_event({wait.kind.__name__}, "
            f"waiter {wait.waiter_id!r}) since {now - wait.since:.1f} s"
        )
    for name, step in state.steps.items():
        for key, buffer in step.buffers.items():
            yield f"  step {name!r}: collect_events({_buffer(key)}) has {_counts(buffer)}"
    for name, step in state.steps.items():
        for slots in step.joins.values():
            have = _have(step.plan.slots, slots)
            need = Counter(kind.__name__ for kind in step.plan.slots)
            yield f"  step {name!r}: join has " + ", ".join(
                f"{kind} {have[kind]}/{count}" for kind, count in need.items()
            )
    for name, step in state.steps.items():
        for kind in step.streamed_only:
            yield f"  streamed only: {kind.__name__} from step {name!r}; no step accepts it"
    for letter, count in Counter(type(event).__name__ for _, event in state.mailbox).items():
        yield f"  mailbox: {letter} x {count}"
    if none := [f"step {name!r}" for name, step in state.steps.items() if step.returned_none]:
        yield f"  last returned None: {', '.join(none)}"


def _buffer(key: BufferKey) -> str:
    text = f"buffer {key.buffer_id!r}"
    return text if key.key is None else f"{text}, key {show(key.key)}"


def _counts(buffer: Buffer) -> str:
    return ", ".join(
        f"{kind.__name__} {len(buffer.have.get(kind, ()))}/{count}"
        for kind, count in buffer.need.items()
    )
