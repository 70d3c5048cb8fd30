"""What must hold whenever nothing moves: each time that the clock is about to jump.

A wake-up that got lost leaves no trace: somebody just goes on waiting, until people lose patience. So
the world is looked at in every moment in which each task waits, and whoever waits must have a reason.
"""

from __future__ import annotations

from collections.abc import Iterator

import trio

from plait._kernel import records
from plait._kernel.life import Phase
from plait._kernel.state import RunState, StepState

from .endings import clocked
from .watch import Watch, Watched
from .world import Life, World


def unreasonable(world: World, watch: Watch) -> Iterator[str]:
    """Name those that wait without a reason."""
    now = trio.current_time()
    tokens = world.limiter.available_tokens
    by_state = {id(life.run._shell.state): life for life in world.lives.values()}
    for watched in watch.runs.values():
        life = by_state.get(id(watched.state))
        if watched.state.phase is Phase.GOING and life is not None:
            yield from _of_a_run(world, life, watched, now, tokens)
    yield from _at_the_gate(world)
    yield from _tokens(world, watch)
    for reading in world.diary.readings:
        life = world.lives[reading.run]
        if reading.asking and len(reading.events) < len(life.run._shell.feed.events):
            yield f"{reading.run}: a reader that {reading.what} waits, and there are events"


def _of_a_run(
    world: World, life: Life, watched: Watched, now: float, tokens: float
) -> Iterator[str]:
    state, run = watched.state, life.run
    queued, stepwise = run.state == "queued", state.permits is not None
    for name, step in state.steps.items():
        shared = (life.flow.label, name) in world.limited
        if queued or stepwise or (shared and not tokens):
            continue
        if _free(step) and step.queue:
            yield f"promise 3: {run.run_id}: a delivery of {name!r} waits, and a worker is free"
        if _free(step) and step.resuming:
            yield f"promise 3: {run.run_id}: {name!r} has an answer and a slot, and does not go on"
    retries = [r for r in watched.records if isinstance(r, records.Retrying)]
    when = {retry.delivery: retry.due for retry in retries}
    for number, delivery in state.due.items():
        if when[number] < now:
            yield f"{run.run_id}: the retry of {delivery.step}#{number} was due at {when[number]}"
    timeout, gated = run._shell.timeout, world.scenario.num_concurrent_runs is not None
    if timeout is not None and not gated and clocked(world, watched, now) > timeout:
        yield f"{run.run_id}: its timeout of {timeout} s has passed"
    for page in world.diary.bodies_of(run=run.run_id):
        if page.emitting and world.backlog(life) < world.scenario.stream_buffer:
            yield f"{page} waits to emit, and there is room"
        free = _free(state.steps[page.step]) and not stepwise
        if page.waiting == 1 and page.until < now and free and tokens:
            yield f"{page} waits for an event longer than it wanted"
        limit = world.timeouts.get((life.flow.label, page.step))
        if limit is None or page.waiting or page.several or page.cancelled or page.step == "write":
            continue  # who writes a book waits for the clean-up of what is inside
        if page.began + limit + page.waited < now:
            yield f"{page} runs longer than its timeout of {limit}"


def _free(step: StepState) -> bool:
    return step.running < step.plan.num_workers


def _at_the_gate(world: World) -> Iterator[str]:
    limit = world.scenario.num_concurrent_runs
    if limit is None:
        return
    for flow in {id(life.flow): life.flow for life in world.tops}.values():
        states = [life.run.state for life in world.tops if life.flow is flow]
        live = [state for state in states if state in {"running", "idle"}]
        if "queued" in states and len(live) < limit:
            yield f"a run waits for its turn, and {len(live)} of {limit} are live"


def _tokens(world: World, watch: Watch) -> Iterator[str]:
    """A token is held for a body that runs, and for no other."""
    labels = {id(life.run._shell.state): life.flow.label for life in world.lives.values()}
    if len(labels) < len(watch.runs):
        return  # of `run_child` only the kernel is known here
    at_work = [page for page in world.diary.active() if world.is_limited(page)]
    held = [page for page in at_work if not (page.cancelled or world.decided(page.run))]
    if world.limiter.borrowed_tokens < len(held):
        yield f"{', '.join(map(str, held))} run, on {world.limiter.borrowed_tokens} tokens"
    running = sum(
        _running(watched.state, labels[key], world) for key, watched in watch.runs.items()
    )
    if world.limiter.borrowed_tokens > running:
        yield (
            f"{world.limiter.borrowed_tokens} tokens of the shared limiter are borrowed, "
            f"for {running} bodies"
        )


def _running(state: RunState, label: str, world: World) -> int:
    return sum(step.running for name, step in state.steps.items() if (label, name) in world.limited)
