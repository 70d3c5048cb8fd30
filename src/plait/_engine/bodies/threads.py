"""Plain functions of a body: each runs in a thread, and its calls are made by the task that waits for it.

So a call from a thread has the place, the scopes and the order that it would have in that task:

- The task waits for its thread, shielded: a thread cannot be interrupted. What the thread wants done
  it hands over; the task does it, with no shield, and hands back what came of it, also `Cancelled`.
- While the thread is at work, the body is not at rest, though the task is blocked. While the thread
  waits for a call it is as any task that calls; and it holds no token of the limiter, or the branches
  of a group could wait for ever for the thread that waits for them.
- One thread of a body is at work at a time, in the order in which they could go on. So they make their
  calls in an order that does not depend on the machine, as tasks do.

The thread itself hangs on a task beside, which makes no calls and does not count.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from queue import SimpleQueue
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import attrs

from plait._errors import UntrackedTaskError

from .body import Body, Raised, Returned
from .current import current_step
from .paths import Path, Place

if TYPE_CHECKING:
    from plait._engine.native import Limiter

T = TypeVar("T")


class Threads:
    """The threads of one start of a body.

    Args:
        body: The body.
        limiter: Bounds how many threads are at work, of all bodies that have it.
        nested: Told of a call from inside a handler: the place of the handler's call, and what was
            called. Gives what is raised.
    """

    def __init__(
        self, body: Body, limiter: Limiter, nested: Callable[[Path, str | None], BaseException]
    ) -> None:
        self._body: Final = body
        self._limiter: Final = limiter
        self._nested = nested
        self._turn: Final = body.native.limiter(1)
        self._at_work: dict[int, _Thread] = {}

    async def run(self, fn: Callable[[], T]) -> T:
        """Run a plain function in a thread, in the name of the calling task. A checkpoint.

        A cancellation waits for the thread; it comes out of the thread's next call.

        Raises:
            BaseException: What the function raises.
            UntrackedTaskError: The caller is not a task of this body.
        """
        place = self._body.place()
        await self._body.native.checkpoint_if_cancelled()
        thread = _Thread(self._body, place, (self._turn, self._limiter), partial(self._main, fn))
        return cast("T", await thread.run())

    def _main(self, fn: Callable[[], object], thread: _Thread) -> object:
        me = get_ident()
        self._at_work[me] = thread
        try:
            return fn()
        finally:
            del self._at_work[me]

    def call(self, fn: Callable[[], Awaitable[T]], step_id: str | None = None) -> T:
        """Have the task of the calling thread await something, and wait for that.

        Args:
            fn: Gives it; is called in the event loop.
            step_id: What is called, for errors.

        Raises:
            BaseException: What it raises; the backend's `Cancelled` among that.
            NestedStepError: The caller is inside a handler, whose call fails with this.
            UntrackedTaskError: The caller is no thread of this body.
        """
        thread = self._at_work.get(get_ident())
        if thread is not None:
            return cast("T", thread.call(fn))
        step = current_step.get(None)
        if step is not None and step.run_id == self._body.tree.name:
            raise self._nested(step.call.path, step_id)
        raise UntrackedTaskError(
            f"A step of run {self._body.tree.name!r} was called from a thread that plait has not "
            "started.\n"
            "Call steps in the function itself, or in branches:\n"
            "    ctx.group.parallel((lambda: ..., lambda: ...))"
        )


@attrs.frozen
class _Wish:
    """What a thread wants its task to do, and where the thread waits for what comes of it."""

    fn: Callable[[], Awaitable[object]]
    answers: SimpleQueue[Returned | Raised]


class _Thread:
    """One thread, and the task that waits for it. All but `call` happens in the event loop."""

    def __init__(
        self,
        body: Body,
        place: Place,
        limiters: tuple[Limiter, ...],
        main: Callable[[_Thread], object],
    ) -> None:
        self._body = body
        self._native = body.native
        self._place = place
        self._limiters = limiters
        self._main = main
        self._in_loop = body.native.caller()
        #: Those of which it holds a token.
        self._holds: list[Limiter] = []
        self._answers: SimpleQueue[Returned | Raised] = SimpleQueue()
        self._news = body.native.event()
        self._wish: _Wish | None = None
        self._end: Returned | Raised | None = None
        #: Why nothing is done for the thread any more.
        self._closed: BaseException | None = None

    async def run(self) -> object:
        """Run the thread to its end. A checkpoint."""
        with self._body.rest.user_code_in_thread(self._place):
            try:
                await self._begin_work()
                async with self._native.open_nursery() as nursery:
                    beside = Place(self._body.tree, self._place.path, aside=True)
                    self._body.spawn(nursery.start_soon, beside, self._carry)
                    await self._serve()
            except self._native.cancelled:
                end = self._end
                if isinstance(end, Raised) and not isinstance(end.error, self._native.cancelled):
                    # AnyIO looks for it on the way out. What the function has raised is not lost to it.
                    raise end.error from None  # noqa: ASYNC104
                raise
            finally:
                self._end_work()
        assert self._end is not None
        if isinstance(self._end, Raised):
            raise self._end.error
        return self._end.value

    async def _begin_work(self) -> None:  # noqa: ASYNC910 - there are limiters
        for limiter in self._limiters:
            await limiter.acquire_on_behalf_of(self)
            self._holds.append(limiter)

    def _end_work(self) -> None:
        while self._holds:
            self._holds.pop().release_on_behalf_of(self)

    async def _carry(self) -> None:
        with self._native.cancel_scope(shield=True):
            try:
                self._end = await self._native.run_in_thread(self._ended)
            finally:
                self._news.set()

    def _ended(self) -> Returned | Raised:
        try:
            return Returned(self._main(self))
        except BaseException as error:  # noqa: BLE001, ASYNC103 - raised again in the task
            return Raised(error)  # noqa: ASYNC104 - as it says

    async def _serve(self) -> None:
        """Do what the thread wants, until it is over."""
        while (wish := await self._next()) is not None:
            with self._body.rest.thread_waits(self._place):
                self._end_work()
                try:
                    answer: Returned | Raised = Returned(await wish.fn())
                except BaseException as error:  # noqa: BLE001, ASYNC103 - it is the thread's to hear
                    answer = Raised(error)
            with self._native.cancel_scope(shield=True):
                await self._begin_work()
            wish.answers.put(answer)

    async def _next(self) -> _Wish | None:
        try:
            with self._native.cancel_scope(shield=True):
                while self._wish is None and self._end is None:
                    await self._news.wait()
                    self._news = self._native.event()
        except BaseException as error:
            # asyncio: cancelled past the shield. The thread hears of it in its next call.
            self._closed = error
            self._answer_nobody()
            raise
        wish, self._wish = self._wish, None
        return wish  # noqa: ASYNC910 - there is news, or it is waited for

    def call(self, fn: Callable[[], Awaitable[object]]) -> Any:
        """Have the task await something. In the thread."""
        self._in_loop(partial(self._take, _Wish(fn, self._answers)))
        answer = self._answers.get()
        if isinstance(answer, Raised):
            raise answer.error
        return answer.value

    def _take(self, wish: _Wish) -> None:
        self._wish = wish
        self._answer_nobody()
        self._news.set()

    def _answer_nobody(self) -> None:
        if self._closed is not None and self._wish is not None:
            wish, self._wish = self._wish, None
            wish.answers.put(Raised(self._closed))
