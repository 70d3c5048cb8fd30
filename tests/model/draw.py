"""Programs by chance. All chance comes from a string of bytes, of which zero is the plainest.

So the same bytes are the same program: those of a seed, and those that Hypothesis draws and shrinks.
Each step and each child reads a stretch of its own, so that what shrinks in one leaves the others alone.

Times are such that what the contract leaves open does not happen: bodies sleep for halves, the
limits of steps and runs end in other fractions. Apart from that, coincidences are welcome.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, TypeVar

import attrs

from tests.model.program import (
    Act,
    CancelStep,
    Collect,
    Fail,
    Give,
    Inward,
    Nest,
    Program,
    Retry,
    Send,
    Step,
    Timed,
    Wait,
    Write,
)

T = TypeVar("T")

#: Bytes for a program: for its frame, and for each of its steps.
FRAME: Final = 40
STRETCH: Final = 40
MOST_STEPS: Final = 7
CHILDREN: Final = 2
CHILD: Final = FRAME + 4 * STRETCH
LENGTH: Final = FRAME + MOST_STEPS * STRETCH + CHILDREN * CHILD

PLAIN: Final = ("A", "B", "C", "D")


class Dice:
    """Choices out of bytes. When they are used up, everything is the first choice."""

    def __init__(self, chance: bytes) -> None:
        self._chance = chance
        self._at = 0

    def below(self, n: int) -> int:
        """A number; 0 is the plainest."""
        byte = self._chance[self._at] if self._at < len(self._chance) else 0
        self._at += 1
        return byte % n

    def one_of(self, choices: Sequence[T]) -> T:
        """One of them; the first is the plainest."""
        return choices[self.below(len(choices))]

    def one_in(self, n: int) -> bool:
        """True one time in so many."""
        return self.below(n) == n - 1

    def some_of(self, choices: Sequence[T], most: int) -> tuple[T, ...]:
        """One to so many of them, in their order."""
        found = [self.one_of(choices) for _ in range(1 + self.below(most))]
        return tuple(one for one in choices if one in found)


def of_seed(seed: int) -> bytes:
    """The chance of a seed."""
    return random.Random(seed).randbytes(LENGTH)


def draw(chance: bytes) -> Program:
    """Make a program."""
    frame = Dice(chance[:FRAME])
    own = FRAME + MOST_STEPS * STRETCH
    rest = chance[own:]
    children = [rest[n * CHILD : (n + 1) * CHILD] for n in range(frame.below(CHILDREN + 1))]
    made = tuple(_program(Dice(one[:FRAME]), one[FRAME:], 3, 1) for one in children)
    return _program(frame, chance[FRAME:own], MOST_STEPS - 1, 0, made)


def _program(
    frame: Dice, chance: bytes, most: int, depth: int, children: tuple[Program, ...] = ()
) -> Program:
    count = 1 + frame.below(most) if depth else 2 + frame.below(most - 1)
    dice = [Dice(chance[n * STRETCH : (n + 1) * STRETCH]) for n in range(count + 1)]
    shapes = [_shape(one, n) for n, one in enumerate(dice)]
    braid = frame.one_of([None, "fan", "relapse", None]) if count > 2 else None
    if braid is not None:
        shapes[1:3] = _spoke(shapes[1]), _hub(shapes[2])
    if braid == "relapse":
        shapes[2:] = _relapse(frame, shapes[2:])
    taken = sorted({kind for step in shapes for kind in step.takes} - {"Go", "Failed"})
    world = _World(
        frame, tuple(taken) or ("A",), tuple(step.name for step in shapes), shapes, children
    )
    steps = [_act(one, step, world, depth) for one, step in zip(dice, shapes, strict=True)]
    if braid is not None:
        members = Give("list", ("A",) * frame.one_of([3, 2, 4, 5]))
        steps[0] = attrs.evolve(steps[0], give=Timed(members, steps[0].give.after))
        steps[1] = attrs.evolve(steps[1], give=Timed(Give("one", ("B",)), 0.5), uneven=True)
    if braid == "relapse":
        steps[1] = attrs.evolve(steps[1], acts=(Timed(Fail()),))
        steps[2] = attrs.evolve(steps[2], acts=(), give=Timed(Give("one", ("A",))))
        steps[3] = attrs.evolve(steps[3], acts=(), give=Timed(Give("one", ("B",)), 0.0))
    return Program(
        steps=tuple(steps),
        mass=frame.one_of([12, 6, 20, 32, 50]),
        drains=frame.one_in(5),
        timeout=_run_timeout(frame, depth),
        while_idle=not frame.one_in(2),
        children=children,
        outside=() if depth else _outside(frame, world),
    )


@attrs.frozen
class _World:
    frame: Dice
    taken: tuple[str, ...]
    names: tuple[str, ...]
    shapes: list[Step]
    children: tuple[Program, ...]

    @property
    def caught(self) -> bool:
        """Does anybody care about failures?"""
        return any("Failed" in step.takes for step in self.shapes)


def _spoke(step: Step) -> Step:
    """What each member of a list comes to first."""
    return attrs.evolve(step, takes=("A",), shape="one", handles=None)


def _hub(step: Step) -> Step:
    """Where they come together."""
    failures = ("Failed",) if "Failed" in step.takes else ()
    return attrs.evolve(step, takes=("B", *failures), shape="list", handles=None)


def _relapse(dice: Dice, shapes: list[Step]) -> list[Step]:
    """A hub that leads back to where it failed, and a handler of its own beside one for all."""
    hub, handler, *others = shapes
    if dice.one_in(2):
        hub = attrs.evolve(hub, takes=("B", "B"), shape="join")
    takes = {"takes": ("Failed",), "shape": "one", "retry": None, "limit": None, "workers": 4}
    takes["subclasses"] = False
    recoveries = 1 + dice.below(2)
    handler = attrs.evolve(handler, handles=("s1",), recoveries=recoveries, **takes)
    if others and dice.one_in(2):
        others[0] = attrs.evolve(others[0], handles=(), **takes)
    if others and dice.one_in(2):
        handler, others[0] = (
            attrs.evolve(others[0], name=handler.name),
            attrs.evolve(handler, name=others[0].name),
        )
    return [hub, handler, *others]


def _run_timeout(dice: Dice, depth: int) -> float | None:
    if not dice.one_in(6):
        return None
    return dice.one_of([2.0, 0.5, 5.0]) + (1 / 8 if depth else 1 / 16)


def _outside(dice: Dice, world: _World) -> tuple[Inward, ...]:
    found = []
    for _ in range(dice.below(5)):
        kind = dice.one_of(["Answer", "Answer", *world.taken, "Shown"])
        kind = None if dice.one_in(25) else kind
        target = dice.one_of(world.names) if kind and dice.one_in(5) else None
        found.append(Inward(dice.one_of([0.5, 0.0, 1.0, 3.0]), kind, target))
    return tuple(found)


def _shape(dice: Dice, n: int) -> Step:
    """What a step takes, and how."""
    name = f"s{n}"
    if n == 0:
        return Step(
            name, ("Go", "A") if dice.one_in(4) else ("Go",), workers=dice.one_of([4, 1, 2])
        )
    workers = dice.one_of([4, 1, 2, 1])
    retry = None
    if dice.one_in(3):
        retry = Retry(
            dice.one_of([2, 3]),
            dice.one_of([1.0, 0.0, 0.5]),
            dice.one_of([0.0, 1.0]),
            only_odd=dice.one_in(4),
        )
    limit = dice.one_of([0.5, 1.0, 2.0]) + 1 / 32 if dice.one_in(7) else None
    plan = Step(name, ("A",), workers=workers, retry=retry, limit=limit, uneven=dice.one_in(3))
    if dice.one_in(4):
        plan = attrs.evolve(plan, cleanup=dice.one_of([0.0, 0.5, 2.0]), breaks=dice.one_in(4))
    take = dice.one_of([None, None, 1, 2])
    curbs = take is not None and dice.one_in(2)
    plan = attrs.evolve(plan, take=take, cancel_rest=curbs, by_input=dice.one_in(2))
    match dice.below(8):
        case 7:
            own = f"s{dice.below(4)}"
            handles = () if own == name or dice.one_in(2) else (own,)
            return Step(name, ("Failed",), handles=handles, recoveries=1 + dice.below(2))
        case 5:
            kinds = (dice.one_of(PLAIN), dice.one_of(PLAIN))
            third = (dice.one_of(PLAIN),) if dice.one_in(5) else ()
            return attrs.evolve(plan, takes=(*kinds, *third), shape="join")
        case 6 | 4:
            kinds = dice.some_of(PLAIN, 2)
            if dice.one_in(4):
                kinds += ("Failed",)
            return attrs.evolve(plan, takes=kinds, shape="list")
    takes = dice.some_of([*PLAIN, "A2", "Answer"], 3)
    return attrs.evolve(plan, takes=takes, subclasses=dice.one_in(4))


def _act(dice: Dice, plan: Step, world: _World, depth: int) -> Step:
    """What a step does."""
    acts = tuple(
        Timed(_one_act(dice, plan, world, depth), _pause(dice)) for _ in range(dice.below(4))
    )
    if plan.retry is not None and dice.one_in(3):
        wants = Collect((plan.takes[0],) * (1 + dice.below(2)))
        acts = (Timed(wants), Timed(Fail(1, odd=True), _pause(dice)), *acts[2:])
    if dice.one_in(25):
        acts = (*acts[:2], Timed(CancelStep(plan.name)))
    return attrs.evolve(plan, acts=acts, give=Timed(_give(dice, plan, world, acts), _pause(dice)))


def _pause(dice: Dice) -> float | None:
    return dice.one_of([None, 0.5, 0.0, 1.0, None, 0.0, 1.5])


def _one_act(dice: Dice, plan: Step, world: _World, depth: int) -> Act:
    which = dice.one_of([0, 0, 0, 8, 6, 11]) if "Go" in plan.takes else dice.below(13)
    match which:
        case 0 | 1 | 2:
            kind = dice.one_of([*world.taken, *world.taken, "Shown", "Answer"])
            if dice.one_in(30):
                kind = dice.one_of([*PLAIN, "Stop"])
            able = [s.name for s in world.shapes if s.accepts(kind) and s.shape != "list"]
            target = dice.one_of(able) if able and dice.one_in(4) else None
            if dice.one_in(25):
                target = dice.one_of(world.names)
            held = dice.one_in(4) and (bool(able) or kind in ("Shown", "Answer"))
            return Send(kind, None if held and target not in able else target, held)
        case 3 | 4 | 5:
            kinds = [kind for kind in plan.takes if kind != "Go"] or ["A"]
            first = dice.one_of(kinds)
            wants = (first, *(dice.one_of([first, *kinds]) for _ in range(dice.below(3))))
            return Collect(wants, dice.one_of(["default", "other"]), dice.one_in(3), dice.one_in(3))
        case 6 | 7:
            return Wait(
                dice.one_of(["Answer", *world.taken, "Answer"]),
                dice.one_of([2.0, 0.5, None, 1.0]),
                dice.one_of([None, None, 0, 1]),
                dice.one_in(3),
                dice.one_in(2),
            )
        case 8:
            return Write()
        case 9 | 10 if plan.retry is not None or dice.one_in(2 if world.caught else 8):
            return Fail(dice.one_of([1, 1, 2, 99]), dice.one_in(2))
        case 11 if world.children:
            return Nest(dice.below(len(world.children)), dice.one_in(2), dice.one_in(2))
        case 12:
            return CancelStep(dice.one_of(world.names)) if dice.one_in(2) else Write()
    return Write()


def _give(dice: Dice, plan: Step, world: _World, acts: tuple[Timed, ...]) -> Give:
    collects = any(isinstance(timed.act, Collect) for timed in acts)
    whole = collects and not dice.one_in(3)
    bare = [k for k in world.taken if any(s.accepts(k) for s in world.shapes)] or ["Shown"]
    first = "Go" in plan.takes
    match dice.below(9) if first else dice.below(14):
        case 0 | 1 | 2 | 3:
            kinds = dice.some_of(bare, 2)
            if dice.one_in(8):
                kinds = (dice.one_of(["Shown", "Answer", "Question", *PLAIN]),)
            return Give("one", kinds, whole)
        case 4 | 5 | 6 | 7 | 8:
            sure = [
                k for k in bare if any(s.accepts(k) and s.shape != "list" for s in world.shapes)
            ]
            sure = sure or ["Shown"]
            kinds = tuple(dice.one_of(sure) for _ in range(1 + dice.below(4)))
            return Give("list", kinds, whole, empty=dice.one_in(8))
        case 9 | 10 | 11 if collects or plan.shape == "list" or dice.one_in(8):
            return Give("stop", (), whole=collects)
    return Give("none")
