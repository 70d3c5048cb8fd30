"""The outcomes of one body's calls: handed out one at a time, each only when the body is at rest.

Which one is the brain's decision; it is asked whenever the body is at rest and something may be
handed out, and what it says is done. So the body sees the outcomes in the order that the brain keeps,
live and in recovery alike: nothing else wakes its tasks while it looks.

Who waits here can be cancelled, until `seal`: an outcome that is recorded is no longer taken back. When it
leaves then is the brain's decision too: it may have to wait for its turn, as outcomes do.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import attrs

from plait._engine.native import Slot
from plait._errors import PlaitInternalError, RunSuspended
from plait._kernel.value import value

from .paths import Place

if TYPE_CHECKING:
    from plait._engine.native import Backend


@value
class HandOut:
    """Let one call return this outcome: its `wait` does, or its target's `hand` is called with it."""

    call: Hashable
    outcome: object


@attrs.frozen
class Release:
    """Let these calls go on, all of them at once: their `wait` returns `RELEASED`.

    If there are none, the brain did something else, and is to be asked again.
    """

    calls: tuple[Hashable, ...]


Move: TypeAlias = HandOut | Release


class Brain(Protocol):
    """Decides what comes next. It is told of calls and outcomes by others."""

    def at_rest(self) -> Move | None:
        """Say what to do, now that the body is at rest; what it says is done.

        Called once for each `look`, and then again at the next rest as long as it has released
        calls or `has_outcomes`.
        """

    def has_outcomes(self) -> bool:
        """Say whether something would be handed out or released if the body were at rest now."""
        ...

    def calls(self) -> int:
        """Count the calls that wait: while the body is not at rest, that grows with each call that is made."""
        ...

    def suspended(self) -> None:
        """Hear that the body is stopped from outside, before any task of it is cancelled."""
        ...


class Target(Protocol):
    """Takes an outcome in another way than a call does: a deadline cancels its scope."""

    def hand(self, outcome: object) -> None:
        """Take it. Not a checkpoint."""


class Released:
    """What a held call gets: it runs now."""

    def __repr__(self) -> str:
        return "RELEASED"


RELEASED: Final = Released()


class LetGo:
    """What a call gets that was cancelled: its turn to leave has come."""

    def __repr__(self) -> str:
        return "LET_GO"


LET_GO: Final = LetGo()


@attrs.define(eq=False)  # frozen ones cost three times as much, and there is one for each call
class _Call:
    slot: Slot
    place: Place
    #: Has it been cancelled already? Then nobody cancels it again.
    called_off: bool

    def hand(self, outcome: object) -> None:
        self.slot.hand(outcome)
        self.place.tree.rest.stir(self.place)

    def throw(self, error: BaseException) -> None:
        self.slot.throw(error)
        self.place.tree.rest.stir(self.place)


class OutcomeGate:
    """The gate of one body. `look` is called when the brain is to be asked at the next rest."""

    def __init__(self, brain: Brain, backend: Backend, look: Callable[[], None]) -> None:
        self._brain = brain
        self._native = backend
        self._look = look
        self._calls: dict[Hashable, _Call] = {}
        self._targets: dict[Hashable, Target] = {}
        self._suspending = False

    async def wait(
        self,
        call: Hashable,
        place: Place,
        left: Callable[[], object],
        *,
        sealed: bool = False,
        called_off: bool = False,
    ) -> object:
        """Wait until this call's outcome is handed out, or the call is released.

        Args:
            call: What the brain knows it by. Nobody else waits for it.
            place: Where the task stands that runs now.
            left: Called when the call is cancelled and gives up; not when the body is suspended.
                On Trio whoever cancels calls it, on asyncio the task itself, one pass later. If it
                returns a true value, the call stays: it has to wait for its turn.
            sealed: The call has its turn already, to return or to leave: it cannot be cancelled here.
            called_off: It was cancelled before it came here, and waits for its turn to leave. If the body
                is suspended meanwhile, it is let go at once.

        Returns:
            What the brain gave it: the outcome, or `LET_GO`; or `RELEASED`.

        Raises:
            RunSuspended: The body is being suspended, and the task is under a shield.

        A checkpoint.
        """
        if call in self._calls or call in self._targets:
            raise PlaitInternalError(f"two wait for the outcome of {call!r}")

        def leave() -> object:
            return False if self._suspending else left()

        slot = self._native.slot(leave)
        if sealed and not self._suspending:
            slot.seal()
        self._calls[call] = _Call(slot, place, called_off)
        if self._suspending or self._brain.has_outcomes():
            self._look()
        try:
            return await slot.wait()
        finally:
            del self._calls[call]

    def expect(self, call: Hashable, target: Target) -> None:
        """Let something else than a task take the outcome of `call`. Not a checkpoint."""
        self._targets[call] = target

    def forget(self, call: Hashable) -> None:
        """Do so no more. Not a checkpoint."""
        del self._targets[call]

    def seal(self, call: Hashable) -> bool:
        """Have a call that waits refuse to be cancelled from now on. Not a checkpoint.

        Returns:
            Is it so? A call that is being cancelled cannot, nor one that does not wait.
        """
        waiting = self._calls.get(call)
        return waiting is not None and waiting.slot.seal()

    def release(self, call: Hashable) -> None:
        """Let a call that waits, if it does, go on at once: its `wait` returns `RELEASED`."""
        if (waiting := self._calls.get(call)) is not None:
            waiting.hand(RELEASED)

    def throw(self, call: Hashable, error: BaseException) -> None:
        """Have a call that waits, if it does, raise this."""
        if (waiting := self._calls.get(call)) is not None:
            waiting.throw(error)

    def suspend(self) -> None:
        """Hand out nothing any more. Not a checkpoint.

        The body is to be cancelled in the same breath. Who waits gives up, sealed or not; who still
        waits once the body is at rest is under a shield, and gets `RunSuspended`.
        """
        self._suspending = True
        for waiting in self._calls.values():
            waiting.slot.unseal()
            # On asyncio a task is cancelled once. And the body may never be at rest: a task that waits for
            # this one, and is cancelled by a scope meanwhile, is woken in each pass of the loop.
            if waiting.called_off and waiting.slot.waits:
                waiting.hand(LET_GO)

    def settle(self) -> None:
        """Do what is to be done at rest."""
        if self._suspending:
            for waiting in [*self._calls.values()]:
                if waiting.slot.waits:
                    waiting.throw(RunSuspended())
            return
        move = self._brain.at_rest()
        if move is None:
            return
        if isinstance(move, HandOut):
            call, outcome = move.call, move.outcome
            taker = self._calls.get(call) or self._targets.get(call)
            if taker is None:
                raise PlaitInternalError(f"nobody waits for the outcome of {call!r}")
            taker.hand(outcome)
            if not self._brain.has_outcomes():
                return  # whoever has news for it calls `look`
        else:
            for call in move.calls:
                self._calls[call].hand(RELEASED)
        self._look()
