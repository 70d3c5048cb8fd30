"""What the outside has seen of the runs: an account that neither kernel nor engine has a hand in.

Bodies, resources, readers and senders write into it what they do when they do it. Events are kept, so
that two of them are never one object.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import attrs
import trio

from plait import Event
from plait._engine.attempt import Attempt

from .scenario import Fault


@attrs.define(eq=False)
class Page:
    """One execution of one body."""

    run: str
    step: str
    number: int
    attempt: int
    inputs: tuple[Event, ...]
    began: float
    fault: Fault | None = None
    #: Calls of the outside so far.
    calls: int = 0
    #: For how many events does it wait, until when, since when, and how long has it before?
    waiting: int = 0
    until: float = math.inf
    waited: float = 0.0
    since: float = 0.0
    #: Has it waited for several at once? Then its time may go on while one of its tasks waits.
    several: bool = False
    #: Does it wait for room on the stream?
    emitting: bool = False
    #: Has a body of its run asked for it to be cancelled?
    unwanted: bool = False
    cancelled: bool = False
    #: When it was cancelled, the time that it had waited left out.
    cancelled_at: float = math.inf
    ended: float | None = None
    returned: object = None
    raised: BaseException | None = None

    def __str__(self) -> str:
        return f"{self.run} {self.step}#{self.number}.{self.attempt}"


@attrs.define(eq=False)
class Loan:
    """One resource that was opened."""

    name: str
    scope: str
    run: str
    number: int
    opened: float
    closed: float | None = None
    times_closed: int = 0
    #: How many of its run's bodies were running when it was closed.
    in_use: int = 0


@attrs.define(eq=False)
class Reading:
    """What a reader of a stream has seen."""

    run: str
    what: str
    events: list[Event] = attrs.field(factory=list)
    internal: list[Event] = attrs.field(factory=list)
    #: Has it been told that there is no more?
    ended: bool = False
    left: bool = False
    opened: bool = False
    opened_at: float = -1.0
    #: Does it wait for the next event?
    asking: bool = False


@attrs.define(eq=False)
class Sent:
    """An event that somebody sent and that was accepted."""

    run: str
    event: Event
    at: float
    by: Page | None
    #: Was the run decided when it was accepted? And drained?
    late: bool
    held: bool = False


@attrs.define(eq=False)
class Diary:
    """Everything, in order."""

    pages: list[Page] = attrs.field(factory=list)
    loans: list[Loan] = attrs.field(factory=list)
    readings: list[Reading] = attrs.field(factory=list)
    sent: list[Sent] = attrs.field(factory=list)
    #: Events that a wait was answered with, by run.
    answers: list[tuple[str, Event]] = attrs.field(factory=list)
    #: Failures that a body has dealt with.
    forgiven: list[BaseException] = attrs.field(factory=list)
    #: What was refused to a body or to the outside.
    refused: list[BaseException] = attrs.field(factory=list)
    #: What has been raised on purpose, or by plait in a body.
    raised: list[BaseException] = attrs.field(factory=list)
    #: Faults of the runs, as they were seen at once.
    violations: list[str] = attrs.field(factory=list)
    lines: list[str] = attrs.field(factory=list)
    seen: Counter[str] = attrs.field(factory=Counter)
    _bodies: Counter[str] = attrs.field(factory=Counter)
    _now: dict[Attempt, Page] = attrs.field(factory=dict)

    def note(self, text: str) -> None:
        """Write a line of the story."""
        self.lines.append(f"{trio.current_time():12.3f}  {text}")

    def wrong(self, text: str) -> None:
        """Write down that a promise was broken."""
        self.violations.append(text)
        self.note(f"WRONG: {text}")

    def begin(self, attempt: Attempt) -> tuple[Page, int]:
        """Open the page of a body, and say the how manieth of its step it is."""
        delivery, run = attempt.delivery, attempt.shell.run_id
        event = delivery.event
        page = Page(
            run,
            delivery.step,
            delivery.number,
            delivery.attempt,
            cast("tuple[Event, ...]", event if isinstance(event, tuple) else (event,)),
            trio.current_time(),
        )
        nth = self._bodies[page.step]
        self._bodies[page.step] += 1
        self.pages.append(page)
        self._now[attempt] = page
        self.note(f"{page} begins")
        return page, nth

    def end(self, attempt: Attempt, page: Page) -> None:
        """Close it: every `finally` of the body has run."""
        page.ended = trio.current_time()
        del self._now[attempt]
        how = "ends" if page.raised is None else f"raises {page.raised!r}"
        self.note(f"{page} {how}")

    def page_of(self, attempt: Attempt) -> Page | None:
        """The page of a body that has not ended."""
        return self._now.get(attempt)

    def bodies_of(self, *, run: str | None = None, step: str | None = None) -> list[Page]:
        """The bodies that are executing."""
        return [
            page
            for page in self._now.values()
            if run in {None, page.run} and step in {None, page.step}
        ]

    def active(self) -> Sequence[Page]:
        """All that are executing and do not wait."""
        return [page for page in self._now.values() if not page.waiting]

    def text(self) -> str:
        """The story, for comparing two of them."""
        return "\n".join(self.lines)

    def of_run(self, kind: str, run: str) -> list[Any]:
        """The entries of one run."""
        return [entry for entry in getattr(self, kind) if entry.run == run]
