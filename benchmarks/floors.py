"""The floors: what an engine costs that does just what the scenario at hand needs, written by hand on Trio.

They have no validation, no errors worth reading, no stream, no clean-up to speak of, no record of anything. They are
there to tell apart what Trio costs, what the design costs, and what plait adds. All three take the same steps:

    async def body(event, send): ...    returns the next event or None; `send` emits one more

a  The design to the letter. Each step is a nursery with a limiter and a memory channel, each delivery a task that
   holds a token of the limiter while its body runs.
b  The same tree without a task a delivery: `num_workers` long-lived workers a step wait on the memory channel. The
   limiter lends its token on behalf of the delivery. A variant drains the channel before it waits again.
c  One queue for all steps. A worker drives bodies by hand, so that it notices when one suspends; only then, and only
   if something is queued, a stand-by worker is started. A body that never suspends costs Trio nothing at all.

That variant and c reach a checkpoint after `BUDGET` deliveries. Without it a chain of bodies that never suspend
would starve every other task of the program.
"""

import types
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Final

import attrs
import trio

BUDGET: Final = 64

#: Emits an event.
Send = Callable[[object], None]
Body = Callable[[Any, Send], Coroutine[Any, Any, object]]


@attrs.define
class Stop:
    """Ends the run."""

    result: object


@attrs.frozen
class Step:
    """A body and the type of event that it accepts."""

    accepts: type
    body: Body
    num_workers: int = 4


#: Runs steps from a first event until one returns `Stop`, and returns its result.
Engine = Callable[[list[Step], object], Awaitable[object]]


async def run_a(steps: list[Step], first: object) -> object:
    """A nursery a step, a task a delivery."""
    results: list[object] = []
    inboxes: dict[type, trio.MemorySendChannel[object]] = {}

    def send(event: object) -> None:
        inboxes[type(event)].send_nowait(event)

    async def attempt(body: Body, event: object, limiter: trio.CapacityLimiter) -> None:
        async with limiter:
            returned = await body(event, send)
        if type(returned) is Stop:
            results.append(returned.result)
            run.cancel_scope.cancel()
        elif returned is not None:
            send(returned)

    async def lane(step: Step, inbox: trio.MemoryReceiveChannel[object]) -> None:
        limiter = trio.CapacityLimiter(step.num_workers)
        async with trio.open_nursery() as nursery:
            async for event in inbox:
                nursery.start_soon(attempt, step.body, event, limiter)

    async with trio.open_nursery() as run:
        for step in steps:
            inboxes[step.accepts], inbox = trio.open_memory_channel[object](float("inf"))
            run.start_soon(lane, step, inbox)
        send(first)
    return results[0]


async def run_b(steps: list[Step], first: object) -> object:
    """A nursery a step, long-lived workers, one wait for each delivery."""
    return await _run_b(steps, first, budget=1)


async def run_b_drain(steps: list[Step], first: object) -> object:
    """The same, but a worker takes what is there before it waits again."""
    return await _run_b(steps, first, budget=BUDGET)


async def _run_b(steps: list[Step], first: object, *, budget: int) -> object:
    results: list[object] = []
    inboxes: dict[type, trio.MemorySendChannel[object]] = {}

    def send(event: object) -> None:
        inboxes[type(event)].send_nowait(event)

    async def worker(
        body: Body, inbox: trio.MemoryReceiveChannel[object], limiter: trio.CapacityLimiter
    ) -> None:
        delivery = object()
        acquire, release = limiter.acquire_on_behalf_of_nowait, limiter.release_on_behalf_of
        while True:
            event = await inbox.receive()
            left = budget
            while True:
                acquire(delivery)
                try:
                    returned = await body(event, send)
                finally:
                    release(delivery)
                if type(returned) is Stop:
                    results.append(returned.result)
                    run.cancel_scope.cancel()
                elif returned is not None:
                    send(returned)
                left -= 1
                if not left:
                    break
                try:
                    event = inbox.receive_nowait()
                except trio.WouldBlock:
                    break

    async def lane(step: Step, inbox: trio.MemoryReceiveChannel[object]) -> None:
        limiter = trio.CapacityLimiter(step.num_workers)
        async with trio.open_nursery() as nursery:
            for _ in range(step.num_workers):
                nursery.start_soon(worker, step.body, inbox, limiter)

    async with trio.open_nursery() as run:
        for step in steps:
            inboxes[step.accepts], inbox = trio.open_memory_channel[object](float("inf"))
            run.start_soon(lane, step, inbox)
        send(first)
    return results[0]


async def run_c(steps: list[Step], first: object) -> object:
    """One queue, bodies driven inline.

    The most workers of any step bound the whole run: that is enough for these scenarios, in each of which one step at
    most suspends.
    """
    results: list[object] = []
    queue = deque([first])
    send = queue.append
    bodies = {step.accepts: step.body for step in steps}
    width = max(step.num_workers for step in steps)
    workers = 0

    @types.coroutine
    def inline(body: Coroutine[Any, Any, object]) -> Generator[Any, Any, object]:
        resume: Callable[[Any], Any] = body.send
        value: Any = None
        while True:
            try:
                trap = resume(value)
            except StopIteration as stop:
                return stop.value
            if queue and workers < width:
                stand_by()
            try:
                resume, value = body.send, (yield trap)
            except BaseException as error:  # `Cancelled` included: it is the body's to handle
                resume, value = body.throw, error

    def stand_by() -> None:
        nonlocal workers
        workers += 1
        run.start_soon(worker)

    async def worker() -> None:
        nonlocal workers
        spent = 0
        while queue:
            event = queue.popleft()
            returned = await inline(bodies[type(event)](event, send))
            if type(returned) is Stop:
                results.append(returned.result)
                run.cancel_scope.cancel()
                return
            if returned is not None:
                send(returned)
            spent += 1
            if spent == BUDGET:
                spent = 0
                await trio.lowlevel.checkpoint()
        workers -= 1

    async with trio.open_nursery() as run:
        stand_by()
    return results[0]


FLOORS: Final[dict[str, Engine]] = {
    "floor_a": run_a,
    "floor_b": run_b,
    "floor_b_drain": run_b_drain,
    "floor_c": run_c,
}
