"""Random plans, random schedules: the kernel does what the model says, and the laws hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Literal

from hypothesis import example, given
from hypothesis import strategies as st

from plait._kernel import records, stimuli
from plait._kernel.graph.admission import Admit, Broken, Go, Leave, Verdict
from plait._kernel.graph.records import Readied, Reused, Skipped
from plait._kernel.life import Phase
from plait._kernel.plan import Word
from tests.kernel.graph.board import BAD, Board, fold, step
from tests.kernel.graph.model import Drawn, Fate, Item, Model
from tests.kernel.strategies import Dice, Patience

WORDS: tuple[Word, ...] = ("continue", "skip", "fail")
FATES: tuple[Fate, ...] = (1, 1, 1, 2, 2, 3, 4, 0, "leave", "broken")
#: What becomes of a body.
ENDS: tuple[Literal["returns", "raises", "unwinds", "final"], ...] = (
    "returns", "returns", "returns", "raises", "raises", "final", "unwinds"
)  # fmt: skip


def draw(dice: Dice) -> tuple[list[Drawn], int, dict[str, int]]:
    """Draw steps, the number of workers, and the groups."""
    names = [f"s{n}" for n in range(dice.below(8))]
    steps: list[Drawn] = []
    for place, name in enumerate(names):
        before = names if dice.below(32) == 31 else names[:place]  # rarely, a cycle
        needs = {one: dice.one_of(WORDS) for one in before if dice.below(3) == 2}
        fate = dice.one_of(FATES)
        count = fate if isinstance(fate, int) else 0
        steps.append(
            Drawn(
                name,
                needs,
                workers=1 + dice.below(3),
                group=dice.one_of([None, "g", "h"]),
                fail_fast=not dice.below(2),
                aborts=dice.rarely(),
                attempts=dice.one_of([1, 1, 2, 3]),
                fate=fate,
                reused=frozenset(n for n in range(count) if dice.rarely()),
            )
        )
    for place in range(len(steps)):  # the order of the plan is not that of the needs
        steps.insert(dice.below(len(steps)), steps.pop(place))
    return steps, 1 + dice.below(4), {"g": 1 + dice.below(2), "h": 1 + dice.below(3)}


def admitting(steps: list[Drawn]) -> Admit:
    """Say what the plan says of each step."""
    drawn = {one.name: one for one in steps}

    def admit(name: str) -> Verdict:
        fate = drawn[name].fate
        if fate == "leave":
            return Leave()
        if fate == "broken":
            return Broken(BAD)
        return Go(fate, dict.fromkeys(drawn[name].reused, "known"))

    return admit


class Pair:
    """The kernel and the model, told the same."""

    def __init__(self, steps: list[Drawn], workers: int, groups: dict[str, int]) -> None:
        self.model = Model(steps, workers, groups)
        plans = [
            step(
                one.name,
                on=one.needs,
                workers=one.workers,
                group=one.group,
                fail_fast=one.fail_fast,
                aborts=one.aborts,
                retry=Patience(one.attempts) if one.attempts > 1 else None,
            )
            for one in steps
        ]
        self.board = Board(*plans, workers=workers, groups=groups, admit=admitting(steps))
        self.compare()

    def compare(self) -> None:
        """See that they agree."""
        board, model = self.board, self.model
        assert board.launched == model.begun, "another order"
        running = {board.who(number) for number in board.state.running}
        assert running == {*model.running}
        assert {board.who(number) for number in board.state.due} == self.due or model.decided
        skipped = {n: s for n, s in model.status.items() if s in REASONS}
        assert board.skipped == skipped
        outcome = board.outcome
        assert type(outcome).__name__ == (model.decided or "NoneType")
        for item in board.interrupted:
            assert item in model.unwanted
        assert len(running) <= model.workers
        by_step = Counter(name for name, _ in running)
        assert all(count <= model.steps[name].workers for name, count in by_step.items())
        by_group = Counter(model.steps[name].group for name, _ in running)
        assert all(by_group[name] <= limit for name, limit in model.groups.items())

    @property
    def due(self) -> set[Item]:
        """Who waits to try again, as the model has it."""
        return {item for item, place in self.model.items.items() if place == "due"}

    def body(self, item: Item, how: str) -> None:
        """Let a body come to an end."""
        board, model = self.board, self.model
        if how == "returns":
            board.returns(item)
            model.ends(item, well=True)
        elif how == "unwinds":
            board.unwinds(*item)
            model.ends(item, well=False)
        else:
            final = how == "final" or (item in model.unwanted)
            board.raises(*item, final=final)
            model.raises(item, final=final)
        self.compare()

    def ring(self, item: Item) -> None:
        """Let the time of a retry come."""
        self.board.rings(*item)
        self.model.rings(item)
        self.compare()

    def stop(self, stimulus: stimuli.Stimulus, how: str) -> None:
        """End the run from outside."""
        self.board.hear(stimulus)
        self.model.stops(how)
        self.compare()


REASONS = {"when", "upstream", "on_error", "abort"}
STOPS: list[tuple[stimuli.Stimulus, str]] = [
    (stimuli.Expired(0.0, 1.0), "TimedOut"),
    (stimuli.CancelAsked(0.0), "Cancelled"),
    (stimuli.Abandoned(0.0), "Cancelled"),
]


def play(dice: Dice, watch: Callable[[Board], object] = bool) -> Board:
    """Play one run to its end; `watch` looks at it after every stimulus."""
    pair = Pair(*draw(dice))
    board, model = pair.board, pair.model
    while model.running or (pair.due and not model.decided):
        watch(board)
        choices = [*model.running, *sorted(pair.due)]
        item = dice.one_of(choices)
        if dice.below(40) == 39:
            pair.stop(*dice.one_of(STOPS))
        elif model.items[item] == "due":
            pair.ring(item)
        else:
            pair.body(item, dice.one_of(ENDS))
    assert model.decided, "nothing is left to do, and the run goes on"
    board.settles()
    assert board.state.phase is Phase.OVER
    every_step_is_final(board, model)
    return board


def every_step_is_final(board: Board, model: Model) -> None:
    """Read the end of each step out of the records, and see that the model has the same."""
    bad = {r.delivery for r in board.records if isinstance(r, records.Failed | records.Interrupted)}
    bad |= {n for r in board.records if isinstance(r, records.Dropped) for n in r.deliveries}
    good = {r.delivery for r in board.records if isinstance(r, records.Completed | Reused)}
    assert not good & bad
    for name, status in model.status.items():
        numbers = {*board.numbers.get(name, ())}
        if name in board.skipped:
            end = board.skipped[name]
        elif name not in board.numbers or not numbers <= good | bad:
            end = "cancelled" if not isinstance(board.outcome, records.Finished) else "lost"
        else:
            end = "failed" if numbers & bad else "succeeded"
        assert end == {"pending": "cancelled", "open": "cancelled"}.get(status, status)
        if isinstance(board.outcome, records.Finished):
            assert end in {"succeeded", "failed", "when", "upstream", "on_error"}


@given(st.binary(max_size=400))
@example(bytes(400))
def test_the_kernel_does_what_the_model_says(chance: bytes):
    play(Dice(chance))


@given(st.binary(max_size=300))
def test_replay_is_identity(chance: bytes):
    """Wherever the process dies, the records so far make the state that it was in."""

    def dies(board: Board) -> None:
        assert fold(board.plan, board.records) == board.state

    dies(play(Dice(chance), dies))


def test_the_schedules_meet_every_record_and_every_end():
    """What is compared is not only what is plain."""
    met: Counter[type] = Counter()
    ends: Counter[str] = Counter()
    for seed in range(1500):
        board = play(Dice(Random(seed).randbytes(400)))
        met.update({type(record) for record in board.records})
        ends[type(board.outcome).__name__] += 1
        ends.update({*board.skipped.values()})
    assert {*met} == {
        records.RunStarted, records.Emitted, Readied, Reused, Skipped, records.Started,
        records.Completed, records.Failed, records.Interrupted, records.Retrying, records.Requeued,
        records.Dropped, records.Decided, records.Closed,
    }  # fmt: skip
    assert {*ends} == {*REASONS, "Finished", "Crashed", "Stalled", "TimedOut", "Cancelled"}
