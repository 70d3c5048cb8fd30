"""`schedules`: the order in which Trio runs its tasks, drawn by Hypothesis.

All decisions are drawn before the test begins. So the loop never draws, where Hypothesis may want to
give up the example, and a test whose turns are not the same each time is still allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plait._errors import MissingExtra

from ._order import Schedule, begin, end

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

#: How many decisions are drawn one by one, so that each shrinks by itself: at least, and at most.
#: What Hypothesis can leave out it need not try. Later decisions come from a seed.
FEWEST: Final = 32
MOST: Final = 128


def schedules() -> SearchStrategy[object]:
    """Have Hypothesis explore the order in which Trio runs its tasks.

    Under `@given(schedules())` each example has a schedule of its own, from when it is drawn to the
    end of the example. The value needs no use. A failure shrinks towards the plain order, in which
    the task that was started first runs first, and Hypothesis prints the turns that are still out
    of order. It replays like any other example: from the database, by `@reproduce_failure`, or with
    `derandomize=True`. Combine it with other strategies, and use it on sync tests around
    `plait.testing.run` as well as on async tests under Trio.

    Only Trio's scheduler is explored: not asyncio's, and not threads, which are as fast as they
    are. A test with plain `def` steps may therefore fail once and pass in the replay; so may one
    that waits for real time or for the network. Examples must run one after the other, not in
    several threads at once.

    Returns:
        A strategy. Needs Hypothesis: `pip install 'plait[testing]'`.

    Raises:
        MissingExtra: Hypothesis is not installed.

    Example:
        ```python
        @given(plait.testing.schedules(), st.integers(1, 9))
        def test_each_item_is_counted_once(_, count):
            async def main():
                assert await Flow().run(count=count) == count

            plait.testing.run(main)
        ```
    """
    try:
        from hypothesis import currently_in_test_context, note  # noqa: PLC0415 - it is loaded late
        from hypothesis import strategies as st  # noqa: PLC0415 - as above
        from hypothesis.control import cleanup  # noqa: PLC0415 - as above
    except ModuleNotFoundError as missing:
        raise MissingExtra(
            "schedules() needs hypothesis. Type: pip install 'plait[testing]'"
        ) from missing

    def tell(turn: str) -> None:
        """Have Hypothesis print it, if the example is the one that it will show."""
        if currently_in_test_context():  # not so in another thread than the test's
            note(f"schedule: {turn}")

    @st.composite
    def draw_schedule(draw: DrawFn) -> object:
        later = draw(st.integers(0, 2**32 - 1))
        # One string: of a list of them Hypothesis likes to make all alike.
        schedule = Schedule(draw(st.binary(min_size=FEWEST, max_size=MOST)), later, tell)
        begin(schedule)
        cleanup(lambda: end(schedule))
        return schedule

    return draw_schedule()
