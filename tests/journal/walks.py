"""Runs by chance on a kernel without a loop, and a look at their states after each stimulus."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from plait._kernel import effects, stimuli
from plait._kernel.advance import advance
from plait._kernel.life import Phase
from plait._kernel.records import Record
from plait._kernel.state import RunState
from plait._kernel.stimuli import Stimulus
from tests.journal.plain_values import PlainValues
from tests.kernel import strategies
from tests.kernel.strategies import ARMFUL, HANDFUL, braided_plan, plain_plan
from tests.kernel.test_machine import PARTIES, STEPS, Machine

CLASSES = [kind for kind in vars(strategies).values() if isinstance(kind, type)]


def kernel_values() -> PlainValues:
    """What knows the classes of the kernel's tests."""
    return PlainValues(CLASSES)


class Watched(Machine):
    """A walk, and what somebody does after each stimulus."""

    look: Callable[[RunState, list[Record]], object]

    def _hear(self, stimulus: Stimulus) -> None:
        super()._hear(stimulus)
        self.look(self.state, self.shell.records)


def walk(seed: int, look: Callable[[RunState, list[Record]], object]) -> None:
    """Let chance play the shell and the users; `look` gets the state, and the run's records."""
    random = Random(seed)
    machine = Watched()
    machine.look = look
    write = braided_plan if seed % 3 else plain_plan
    machine.plan_a_run(write(random.randbytes(ARMFUL)), random.randrange(60), seed % 4 == 3)
    for _ in range(STEPS):
        random.choice(PARTIES)(machine, chance=random.randbytes(HANDFUL))


def drive(state: RunState, look: Callable[[RunState], object], rounds: int = 40) -> None:
    """Take a run up and let its bodies end, one after the other: nothing may be missing on the way.

    `look` gets the state after each stimulus.
    """
    now = 10_000.0
    stimulus: Stimulus = stimuli.TakenUp(now, state.epoch, state.permits is not None)
    offers: list[str] = []
    for _ in range(rounds):
        _, todo = advance(state, stimulus)
        state.check()
        look(state)
        offers += [effect.step for effect in todo if isinstance(effect, effects.Offer)]
        now += 1.0
        live = [*state.running, *state.suspended, *state.aside]
        if offers:
            stimulus = stimuli.Ready(now, offers.pop(0))
        elif state.phase is Phase.GOING and state.permits == 0 and not state.running:
            stimulus = stimuli.StepAsked(now)
        elif state.phase is Phase.GOING and state.due:
            stimulus = stimuli.Due(now, min(state.due))
        elif live:
            stimulus = stimuli.Returned(now, min(live), None)
        elif state.phase is Phase.WINDING_UP:
            stimulus = stimuli.Settled(now)
        elif state.phase is Phase.GOING:
            stimulus = stimuli.CancelAsked(now)
        else:
            return
