"""Chain: A → B → A … → Stop. What it costs to hand one event from one step to the next, with nothing else to do."""

from collections.abc import Awaitable, Callable

from benchmarks.floors import FLOORS, Engine, Send, Step, Stop
from benchmarks.scenario import FASTEST_PEER, Equivalent, Growth, Program, Ratio, Scenario, Target

chain = Scenario(
    name="chain",
    title="Chain",
    unit="µs per hop",
    about="A → B → A … → Stop: one event at a time from step to step; no body ever waits.",
    sizes=(10, 100, 1_000, 10_000),
    quick_sizes=(10, 100, 1_000),
    reference=1_000,
    expected=lambda hops: hops,
    growth_from=100,
    targets=(
        Target(Equivalent("plait"), first=12),
        Target(Ratio("plait", "floor_b"), first=2, goal=1),
        Target(Ratio("llamaindex", "plait"), first=20, goal=60, at_least=True),
        Target(Ratio("plait", FASTEST_PEER), first=1, goal=1),
        Target(Ratio("plait_asyncio", "plait"), first=2, goal=1.3),
        Target(Growth("plait"), first=1.3, goal=1.1),
    ),
)

chain_checkpoint = Scenario(
    name="chain_checkpoint",
    title="Chain whose bodies wait",
    unit="µs per hop",
    about="The same, with one checkpoint (a `sleep(0)`) in every body: a step that does not wait is rare in real life.",
    sizes=(100, 1_000, 10_000),
    quick_sizes=(100, 1_000),
    reference=1_000,
    expected=lambda hops: hops,
    growth_from=100,
    targets=(
        Target(Ratio("plait", "floor_b"), first=2, goal=1),
        Target(Ratio("plait_asyncio", "plait"), first=2, goal=1.3),
    ),
)

#: What a body does before it returns.
Pause = Callable[[], Awaitable[object]]


async def no_pause() -> None:
    """Return at once, without a checkpoint."""
