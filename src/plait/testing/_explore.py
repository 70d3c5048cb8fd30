"""`explore_schedules`: a test, run in one order of Trio's tasks after the other."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, ParamSpec, cast, overload

from plait._errors import MissingExtra

from ._clock import run
from ._loop import refuse_a_loop
from ._order import Schedule, in_force
from ._schedules import schedules

if TYPE_CHECKING:
    from hypothesis import settings as Settings  # noqa: N812 - a class, for all its name

P = ParamSpec("P")

#: Where Hypothesis keeps the settings of a test. tests/testing/test_explore.py says if that changes.
SETTINGS: Final = "_hypothesis_internal_use_settings"
APPLIED: Final = "_hypothesis_internal_settings_applied"


@overload
def explore_schedules(test: Callable[P, object], /) -> Callable[P, None]: ...
@overload
def explore_schedules(
    *, examples: int | None = None
) -> Callable[[Callable[P, object]], Callable[P, None]]: ...
def explore_schedules(
    test: Callable[P, object] | None = None, /, *, examples: int | None = None
) -> Callable[P, None] | Callable[[Callable[P, object]], Callable[P, None]]:
    """Run a test under many schedules, that is orders in which Trio might run its tasks.

    An async test runs on a virtual clock, as by `plait.testing.run`, in a Trio of its own for each
    schedule: it needs no plugin of pytest, and no mark. A sync test calls `plait.testing.run` by
    itself. The first schedule is the plain order. A failure is made simpler, until as few turns as
    possible are out of order; the notes of the exception say which. It replays as `schedules` does.

    The arguments of the test are pytest's, as usual: fixtures, parameters, `self`. A fixture is made
    once, not once for each schedule. With `@given(...)` of Hypothesis each example has a schedule of
    its own, and each `@example` the plain order; write `@explore_schedules` above them.

    Args:
        test: The test; or nothing, and the decorator is made for what follows.
        examples: How many schedules; by default as many as Hypothesis' settings say, 100 if nobody
            has changed them. There is no deadline for an example unless `@settings` sets one.

    Returns:
        A sync test. It needs Hypothesis: `pip install 'plait[testing]'`.

    Raises:
        MissingExtra: Hypothesis is not installed.
        TypeError: What is decorated is no function, or a generator.
        ValueError: `examples` is less than 1.
        RuntimeError: When an async test is called: an event loop is running there.

    Example:
        ```python
        @plait.testing.explore_schedules
        async def test_the_cheapest_wins():
            assert await Cheapest(fetch).run(shops=["a", "b"]) == "a"
        ```
    """
    if examples is not None and examples < 1:
        raise ValueError(f"examples must be at least 1, not {examples!r}")
    if test is None:
        return functools.partial(_explore, examples=examples)
    return _explore(test, examples=examples)


def _explore(test: Callable[P, object], *, examples: int | None) -> Callable[P, None]:
    if not inspect.isfunction(test):
        raise TypeError(f"explore_schedules decorates a test function, not {test!r}")
    try:
        from hypothesis import given  # noqa: PLC0415 - tests without it do not load it
    except ModuleNotFoundError as missing:
        raise MissingExtra(
            "explore_schedules needs hypothesis. Type: pip install 'plait[testing]'"
        ) from missing
    handle = cast("Any", getattr(test, "hypothesis", None))
    body = cast("Callable[..., object]", test if handle is None else handle.inner_test)
    if inspect.isgeneratorfunction(body) or inspect.isasyncgenfunction(body):
        name = body.__name__
        raise TypeError(f"explore_schedules decorates a test; {name}() is a generator")
    own = getattr(test, SETTINGS, None) if hasattr(test, APPLIED) else None
    explored: Any = test
    if handle is None:
        names = inspect.signature(body).parameters
        name = "schedule" if "schedule" not in names else "schedule_"
        explored = given(**{name: schedules()})(cast("Any", _taking(name, _in_trio(body))))
    else:
        handle.inner_test = _drawing(_in_trio(body))
    setattr(explored, SETTINGS, _settings(own, examples))
    return cast("Callable[P, None]", explored)


def _in_trio(test: Callable[..., object]) -> Callable[..., object]:
    """Make a sync function of an async one."""
    if not inspect.iscoroutinefunction(test):
        return test

    @functools.wraps(test)
    def in_trio(*args: object, **kwargs: object) -> object:
        refuse_a_loop(f"{test.__name__}(), explored by explore_schedules,")
        return run(functools.partial(test, *args, **kwargs))

    return in_trio


def _taking(name: str, test: Callable[..., object]) -> Callable[..., object]:
    """Give a test one parameter more, which Hypothesis fills in and shows."""

    @functools.wraps(test)
    def taking(*args: object, **kwargs: object) -> object:
        del kwargs[name]
        return test(*args, **kwargs)

    old = inspect.signature(test)
    more = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)
    parameters = [*old.parameters.values()]
    keywords = [p for p in parameters if p.kind is inspect.Parameter.VAR_KEYWORD]
    others = [p for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD]
    cast("Any", taking).__signature__ = old.replace(parameters=[*others, more, *keywords])
    return taking


def _drawing(test: Callable[..., object]) -> Callable[..., object]:
    """Have a test of `@given` draw its schedule itself, after its arguments."""
    from hypothesis.control import current_build_context  # noqa: PLC0415 - loaded late

    @functools.wraps(test)
    def drawing(*args: object, **kwargs: object) -> object:
        data = current_build_context().data
        if data.max_choices == 0:  # an `@example`: there is nothing to draw from
            with in_force(Schedule(b"", 0, lambda _: None)):
                return test(*args, **kwargs)
        data.draw(schedules())
        return test(*args, **kwargs)

    return drawing


def _settings(own: Settings | None, examples: int | None) -> Settings:
    from hypothesis import HealthCheck, settings  # noqa: PLC0415 - loaded late

    base = own or settings.default
    assert base is not None
    return settings(
        base,
        max_examples=base.max_examples if examples is None else examples,
        deadline=None if own is None else own.deadline,
        # A fixture is made once: what it makes has to bear several runs.
        suppress_health_check=[*base.suppress_health_check, HealthCheck.function_scoped_fixture],
    )
