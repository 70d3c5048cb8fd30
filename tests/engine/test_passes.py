"""What is called between two passes of the event loop: when, how often, and what becomes of what it raises."""

from __future__ import annotations

from functools import partial

import pytest
import trio
import trio.testing

from plait._engine import native
from plait._engine.passes import passes_of

anyio = pytest.mark.anyio


async def until(said: list[str], length: int) -> None:
    while len(said) < length:
        await native.current().checkpoint()


@anyio
async def test_what_is_asked_for_in_a_pass_is_called_once_and_in_order() -> None:
    passes, said = passes_of(native.current()), list[str]()
    passes.at_end(lambda: said.append("first"))
    passes.at_end(lambda: said.append("second"))
    passes.soon(lambda: said.append("soon"))
    assert said == []
    await until(said, 3)
    assert [one for one in said if one != "soon"] == ["first", "second"]
    for _ in range(5):
        await native.current().checkpoint()
    assert len(said) == 3
    passes.close()


@anyio
async def test_who_is_called_may_ask_again() -> None:
    passes, said = passes_of(native.current()), list[str]()

    def first() -> None:
        said.append("first")
        passes.at_end(lambda: said.append("second"))

    passes.at_end(first)
    await until(said, 2)
    assert said == ["first", "second"]
    passes.close()


@anyio
async def test_what_can_wait_is_called_when_nobody_runs() -> None:
    backend = native.current()
    passes, called = passes_of(backend), backend.event()
    passes.when_quiet(partial(passes.soon, called.set))
    await called.wait()
    passes.close()


@anyio
async def test_who_always_has_something_to_run_does_not_put_it_off_for_ever() -> None:
    passes, said = passes_of(native.current()), list[str]()
    passes.when_quiet(lambda: said.append("called"))
    await until(said, 1)
    passes.close()


def test_on_trio_it_is_called_in_that_very_pass() -> None:
    said: list[str] = []

    async def main() -> None:
        passes = passes_of(native.current())
        passes.at_end(lambda: said.append("at the end"))
        passes.when_quiet(lambda: said.append("when it is quiet"))
        said.append("before")
        await trio.lowlevel.checkpoint()
        said.append("after")
        await trio.testing.wait_all_tasks_blocked()
        said.append("all blocked")
        passes.close()

    trio.run(main)
    assert said == ["before", "at the end", "after", "when it is quiet", "all blocked"]


def test_on_trio_a_clock_that_jumps_does_not_jump_over_it() -> None:
    said: list[tuple[str, float]] = []

    async def main() -> None:
        passes = passes_of(native.current())
        passes.when_quiet(lambda: said.append(("called", trio.current_time() - began)))
        await trio.sleep(10)
        passes.close()

    clock = trio.testing.MockClock(autojump_threshold=0)
    began = clock.current_time()
    trio.run(main, clock=clock)
    assert said == [("called", 0.0)]


def test_what_is_raised_there_is_not_lost() -> None:
    """Trio would log it, and call the instrument no more; it ends the loop, as what is called soon does."""

    def fail() -> None:
        raise ValueError("whatever")

    async def main() -> None:
        passes_of(native.current()).at_end(fail)
        await trio.sleep_forever()

    with pytest.raises(trio.TrioInternalError) as caught:
        trio.run(main)
    cause = caught.value.__cause__
    assert isinstance(cause, BaseExceptionGroup)
    assert cause.subgroup(ValueError) is not None


def test_closed_it_is_no_instrument_any_more() -> None:
    async def main() -> None:
        passes = passes_of(native.current())
        passes.at_end(lambda: said.append("called"))
        passes.close()
        for _ in range(3):
            await trio.lowlevel.checkpoint()

    said: list[str] = []
    trio.run(main)
    assert said == []
