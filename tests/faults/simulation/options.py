"""The options of steps, thrown by the dice."""

from typing import Any

from tests.kernel.strategies import Patience

from .injected import Injected
from .world import World


class Brittle:
    """A policy that fails itself."""

    def next(self, elapsed_time: float, attempts: int, error: Exception) -> float | None:
        """Fail."""
        raise Injected(f"policy, at {attempts}") from error


def options(world: World, name: str, *, retries: bool = True) -> dict[str, Any]:
    """Throw the dice for the options of a step."""
    dice = world.dice
    workers = dice.choice((1, 1, 2, 3, 4))
    world.workers[world.making, name] = workers
    policy: Brittle | Patience | None = None
    if retries and (chance := dice.random()) < 0.5:
        delay, growth = dice.choice(((0.0, 0.0), (1.0, 0.0), (5.0, 5.0), (7200.0, 0.0)))
        policy = Brittle() if chance < 0.03 else Patience(dice.choice((2, 3, 5)), delay, growth)
    limited = dice.random() < 0.2
    if limited:
        world.limited.add((world.making, name))
    timeout = dice.choice((None, None, None, 1.5, 30.0, 4 * 3600.0))
    if timeout is not None:
        world.timeouts[world.making, name] = timeout
    return {
        "num_workers": workers,
        "retry_policy": policy,
        "timeout": timeout,
        "limiter": world.limiter if limited else None,
    }
