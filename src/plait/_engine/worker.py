"""One task of a lane, as the body that it runs knows it: its cancel scope and its tokens.

Rule: what ends a body early ends its worker. The scope is the worker's, so that a delivery pays
nothing for it; once cancelled it is spent, and the task retires with it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .attempt import Attempt
    from .native import CancelScope, Limiter


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
        self.scope = scope
        self._slots = slots
        self._shared = shared
        #: The body that runs, or waits.
        self.attempt: Attempt | None = None
        #: Was the scope cancelled by us, to end one body? And not by a timeout, but on demand?
        self.ended = False
        self.unwanted = False
        #: Has it the tokens of a body that runs? Not while its body waits.
        self.holds = False
        #: A shield under which its body stands in line for a slot; lifted if that is in vain.
        self.shelter: CancelScope | None = None

    def finish(self, timeout: float | None) -> None:
        """Note that the body has ended; with a timeout, its deadline goes too."""
        assert self.attempt is not None
        self.attempt.context = None  # it refers back to the attempt
        self.attempt = None
        if timeout is not None:
            self.ended = self.ended or self.scope.cancel_called
            self.scope.deadline = math.inf

    def end(self) -> None:
        """Cancel the body; the run goes on."""
        self.unwanted = self.ended = True
        self.scope.cancel()
        self.lift_shelter()

    def lift_shelter(self) -> None:
        """Let a body that stands in line for its slot go: it will not need it."""
        if self.shelter is not None:
            self.shelter.cancel()

    def give_back(self) -> None:
        """Give the tokens back: the body has ended, or it waits."""
        if not self.holds:
            return
        self.holds = False
        self._slots.release_on_behalf_of(self)
        if self._shared is not None:
            self._shared.release_on_behalf_of(self)

    async def take_again(self) -> None:  # noqa: ASYNC910 - a wait follows
        """Take the tokens again: a wait is over, and the kernel has a slot for the body."""
        if self._shared is not None:
            await self._shared.acquire_on_behalf_of(self)
        self._slots.acquire_on_behalf_of_nowait(self)
        self.holds = True
