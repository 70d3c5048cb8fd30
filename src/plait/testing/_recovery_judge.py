"""What must hold between two lives of a durable run, and of its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs

from plait._kernel.calls.keys import path_text
from plait._kernel.calls.refusals import call_text
from plait._strands._durable.inspect import ErrorInfo

from ._recovery_calls import said
from ._recovery_life import RUN, Life, Start

RULES: Final = """\
Between its calls a function does no I/O, and takes time, chance and ids from ctx. It spawns in a
fixed order, never over a set. What comes first is decided by calls, not by an Event of Trio's."""
OURS: Final = "That is a bug of plait. Please report it."


@attrs.frozen
class Violation:
    """A rule that was broken."""

    title: str
    text: str
    cause: Exception | None = None


@attrs.frozen
class End:
    """What a run has come to."""

    status: str
    value: Any
    error: ErrorInfo | None
    #: The result, as the journal has it.
    recorded: bytes
    #: What came out, if it was raised.
    raised: Exception | None = attrs.field(default=None, eq=False)

    def same(self, other: End) -> bool:
        """Compare results by what `==` says, or by what is recorded of them."""
        if (self.status, self.error) != (other.status, other.error):
            return False
        return self.recorded == other.recorded or bool(self.value == other.value)

    def __str__(self) -> str:
        if self.error is not None:
            return str(self.error)
        return said(self.value) if self.status == "completed" else self.status


def end_of(life: Life) -> End:
    """Say what a run has come to in a life that did not die."""
    info = life.infos[RUN]
    last = [
        entry.body for append in life.appends for entry in append if entry.kind == "run.completed"
    ]
    recorded = last[-1] if last and info.status == "completed" else b""
    return End(info.status, life.value, info.error, recorded, life.error)


def of_one(life: Life, timeout: float) -> Iterator[Violation]:
    """Judge a life by itself."""
    if life.driver_raised is not None:
        yield Violation("drive() fails", told(life.driver_raised), life.driver_raised)
    if life.expired:
        waits = [
            f"{info.run_id} is {info.status}"
            + (f", and waits for {info.waiting_for}" if info.waiting_for else "")
            for info in life.infos.values()
            if info.status in {"queued", "running"}
        ]
        text = "\n".join([f"It has not ended after {timeout:g} virtual seconds.", *waits])
        yield Violation("the run does not end", text)
    for info in life.infos.values():
        if info.status == "held":
            yield Violation("the run is held", f"{info.error}\n{RULES}", life.error)
    if not life.died and life.infos.get(RUN) is None:
        error = life.error
        yield Violation("the run does not begin", "" if error is None else told(error), error)
    ended = life.outcomes
    for done in life.execs:
        if (done.run_id, done.key) in ended:
            text = f"The handler of {done.key} in {done.run_id} has run. {OURS}"
            yield Violation("a step that had ended runs again", text)


def of_two(before: Life, after: Life) -> Iterator[Violation]:
    """Compare a life with the one that recovers it."""
    keys = {(done.run_id, done.key): done.idempotency_key for done in before.execs}
    for done in after.execs:
        key = keys.get((done.run_id, done.key), done.idempotency_key)
        if key != done.idempotency_key:
            text = f"{done.key} in {done.run_id} had {key}, and now {done.idempotency_key}. {OURS}"
            yield Violation("a step has another idempotency key", text)
    for place, start in after.starts.items():
        known = before.starts.get(place)
        if known is not None:
            whose = "" if place[0] == RUN else f"In the run {place[0]!r}:\n"
            yield from _of_starts(known, start, whose)


def _of_starts(before: Start, after: Start, whose: str) -> Iterator[Violation]:
    for path, first in before.made.items():
        for at, (old, new) in enumerate(zip(first, after.made.get(path, ()), strict=False), 1):
            if old != new:
                text = (
                    f"{whose}Call {at} of {path_text(path)}:\n"
                    f"  before:          {old}\n  in the recovery: {new}\n{RULES}"
                )
                yield Violation("the function makes another call than before", text)
                return
    for at, key in enumerate(before.seen):
        found = after.seen[at] if at < len(after.seen) else None
        if found != key:
            now = "none" if found is None else call_text(found)
            if key not in after.seen:
                now += f", and nobody has called {call_text(key)}"
            text = (
                f"{whose}Outcome {at + 1} of {len(before.seen)}:\n"
                f"  before:          {call_text(key)}\n  in the recovery: {now}\n{RULES}"
            )
            yield Violation("outcomes come in another order than before", text)
            return


def of_ends(title: str, first: End, here: End, *, where: str, hint: str) -> Iterator[Violation]:
    """Compare what a run has come to."""
    if not first.same(here):
        width = max(len(where), len("here:"))
        text = f"{'here:':{width}} {here}\n{where:{width}} {first}\n{hint}"
        yield Violation(title, text, here.raised)


def of_check(check: Callable[[Any], object], end: End) -> Iterator[Violation]:
    """Ask the user's own check."""
    try:
        answer = check(end.value)
    except Exception as error:  # noqa: BLE001 - whatever it raises, it fails
        yield Violation("check_result() fails", f"of {end}: {told(error)}", error)
    else:
        if answer is False:
            yield Violation("check_result() fails", f"of {end}: it returned False")


def told(error: Exception) -> str:
    """Write an error, with its notes."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return "\n".join([text, *getattr(error, "__notes__", ())])
