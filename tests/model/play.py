"""One example: a program runs on the real engine, and the reference reads what it did."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

import anyio
import attrs
import trio._core._run as scheduler

import plait.testing
from tests.model.compile import perform
from tests.model.facts import Account, Fact
from tests.model.program import Program
from tests.model.reference import Unclear
from tests.model.replay import Replay, Wrong
from tests.model.show import show
from tests.parity.clocks import JumpingLoop


@attrs.frozen
class Example:
    """A program, what happened, and what the reference says about it."""

    program: Program
    facts: list[Fact]
    seen: Account
    #: `None`: it is as it must be.
    fault: str | None = None
    unclear: str | None = None


@contextlib.contextmanager
def one_schedule(seed: int) -> Iterator[None]:
    """Have Trio take its tasks in the order that belongs to a seed.

    Two private names of Trio: `test_the_schedule_is_fixed` of the engine says when they have changed.
    """
    allowed, state = scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r.getstate()
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True
    scheduler._r.seed(seed)
    try:
        yield
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = allowed
        scheduler._r.setstate(state)


def play(program: Program, *, backend: str = "trio") -> Example:
    """Run a program, and have the reference read its log."""
    if backend == "trio":
        facts, seen = plait.testing.run(perform, program)
    else:
        options = {"loop_factory": JumpingLoop}
        facts, seen = anyio.run(perform, program, backend="asyncio", backend_options=options)
    try:
        replay = Replay(program)
        replay.read(facts)
        compare(seen, replay.account())
    except Wrong as wrong:
        return Example(program, facts, seen, fault=str(wrong))
    except Unclear as unclear:
        return Example(program, facts, seen, unclear=str(unclear))
    return Example(program, facts, seen)


def compare(seen: Account, predicted: Account) -> None:
    """Compare two accounts, part by part.

    What was left undelivered is compared without its order: how old a join or a list is, whose events
    are of several ages, nobody has said.
    """
    left = Counter(seen.undelivered), Counter(predicted.undelivered)
    pairs = (seen.end, predicted.end), (seen.stream, predicted.stream), left
    for name, (one, other) in zip(("end", "stream", "undelivered"), pairs, strict=True):
        if one != other:
            raise Wrong(f"{name}:\n  seen {one}\n  must {other}")


def check(example: Example, seed: int | None = None) -> None:
    """Fail with all that helps, if an example is not as it must be."""
    if example.fault is not None:
        again = "" if seed is None else f"python -m tests.model --seed {seed} -v\n"
        facts = "\n".join(map(str, example.facts))
        raise Wrong(f"{again}{show(example.program)}\n{facts}\n\n{example.fault}")
