"""One task of a lane, as the body that it runs knows it: its cancel scope and its tokens.

Rule: what ends a body early ends its worker. The scope is the worker's, so that a delivery pays
nothing for it; once cancelled it is spent, and the task retires with it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .attempt import Attempt
    from .hosting import HostedBody
    from .native import Backend, CancelScope, Happening, Limiter


class SharedLimiter(Protocol):
    """A Trio or AnyIO capacity limiter, or what has its interface."""

    async def acquire_on_behalf_of(self, borrower: object) -> None:
        """Wait for a token."""
        ...

    def release_on_behalf_of(self, borrower: object) -> None:
        """Give the token back."""
        ...


class Worker:
    """One task of a lane."""

    def __init__(self, scope: CancelScope, slots: Limiter, shared: SharedLimiter | None) -> None:
        self.scope: CancelScope = scope
        self._slots = slots
        self._shared = shared
        #: The body that runs, or waits.
        self.attempt: Attempt | None = None
        #: What hosts the body that runs, if that may make durable calls.
        self.hosted: HostedBody | None = None
        #: Was the scope cancelled by us, to end one body? And not by a timeout, but on demand?
        self.ended: bool = False
        self.unwanted: bool = False
        #: Has it the tokens of a body that runs? Not while its body waits.
        self.holds: bool = False
        #: In how many of its tasks the body waits, and the seconds left when the first began.
        self._resting = 0
        self._left: float = math.inf
        #: Set when one of its body's tasks, which stands in line for the tokens, is out of it.
        self._taking: Happening | None = None
        #: A shield under which its body stands in line for a slot; lifted if that is in vain.
        self.shelter: CancelScope | None = None

    def disarm(self) -> None:
        """Take the deadline away: the body has ended."""
        self.ended = self.ended or self.scope.cancel_called
        self.scope.deadline = math.inf
        self._resting = 0  # a task may have got away from the body on asyncio, and wait for ever

    def end(self) -> None:
        """Cancel the body; the run goes on."""
        self.unwanted = self.ended = True
        self.scope.cancel()
        self.lift_shelter()

    def lift_shelter(self) -> None:
        """Let a body that stands in line for its slot go: it will not need it."""
        if self.shelter is not None:
            self.shelter.cancel()

    def rest(self, now: float) -> None:
        """Let the body wait: its tokens go back, its deadline stands still."""
        self.give_back()
        if not self._resting:
            self._left = self.scope.deadline - now
            self.scope.deadline = math.inf
        self._resting += 1

    def go_on(self, now: float) -> None:
        """End a wait. The time of the body runs again when none of its tasks waits any more."""
        self._resting -= 1
        if not self._resting:
            self.scope.deadline = now + self._left

    def give_back(self) -> None:
        """Give the tokens back: the body has ended, or it waits."""
        if not self.holds:
            return
        self.holds = False
        self._slots.release_on_behalf_of(self)
        if self._shared is not None:
            self._shared.release_on_behalf_of(self)

    async def take_again(self, native: Backend) -> None:  # noqa: ASYNC910 - it may hold them
        """Take the tokens again: a wait is over, and the kernel has a slot for the body.

        A body may wait in several tasks at once: one of them takes the tokens, for all.
        """
        while self._may_run and not self.holds:
            if self._taking is not None:
                await self._taking.wait()
                continue
            if self._shared is not None:
                self._taking = native.event()
                try:
                    await self._shared.acquire_on_behalf_of(self)
                finally:
                    self._taking.set()
                    self._taking = None
                if not self._may_run:  # another of its tasks has begun to wait
                    self._shared.release_on_behalf_of(self)
                    break
            self._slots.acquire_on_behalf_of_nowait(self)
            self.holds = True

    @property
    def _may_run(self) -> bool:
        """Has the kernel given the body a slot?"""
        return self.attempt is not None and self.attempt.delivery.worker >= 0
