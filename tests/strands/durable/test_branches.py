"""What `parallel` takes, what it refuses, and of what it warns."""

import functools
import re
import warnings

import pytest

from plait._steps.branches import Failed, LoopVariableWarning, Ok, Winner, check_branches


async def a():
    return 1


async def b():
    return 2


@pytest.mark.parametrize(
    "branches",
    [(), (a,), (a, b), (a, a), (functools.partial(a), functools.partial(a)), (lambda: a(), b)],  # noqa: PLW0108 - as users write it
)
def test_a_tuple_of_functions_is_fine(branches):
    check_branches(branches)


@pytest.mark.parametrize(
    ("branches", "text"),
    [
        ([a, b], "not a list: write (..., ...) instead of [..., ...], or tuple(branches)"),
        (a, "not one function: write (a,)"),
        (lambda: a(), "not one function: write (lambda: ...,)"),  # noqa: PLW0108
        ({a, b}, "takes a tuple of functions, not {"),
        (None, "takes a tuple of functions, not None"),
        ((a, 7), "branch 1 is 7"),
        ((a, None), "branch 1 is None"),
    ],
)
def test_another_thing_is_refused_with_what_to_write(branches, text):
    with pytest.raises(TypeError, match=re.escape(text)):
        check_branches(branches)


def test_a_coroutine_is_refused_and_closed():
    one, other = a(), b()
    with pytest.raises(TypeError, match="branch 0 is a coroutine of a, which has been called"):
        check_branches((one, other))
    with pytest.raises(TypeError, match=re.escape("not a coroutine: write (lambda: ctx.step.run(")):
        check_branches(alone := a())
    with pytest.raises(TypeError, match="not a list"):
        check_branches([listed := a()])
    for each in (one, other, alone, listed):
        assert each.cr_frame is None, "Python would warn that it was never awaited"


def test_modes_are_words():
    for mode in ("all", "settled", "race", "any"):
        check_branches((a,), mode)
    with pytest.raises(ValueError, match="mode='all' or 'settled' or 'race' or 'any', not 'first'"):
        check_branches((a,), "first")
    with pytest.raises(ValueError, match="on_error='cancel' or 'wait', not 'go on'"):
        check_branches((a,), "all", "go on")


def test_nobody_wins_a_race_of_nobody():
    for mode in ("race", "any"):
        with pytest.raises(ValueError, match="nobody can win"):
            check_branches((), mode)


# ---------------------------------------------------------------- loops


def test_lambdas_that_see_one_loop_variable_are_warned_of():
    branches = ()
    for user in (1, 2):
        branches += (lambda: user,)  # noqa: B023
    with pytest.warns(LoopVariableWarning, match="Branches 0 and 1") as caught:
        check_branches(branches)
    assert "ctx.group.map" in str(caught[0].message)
    assert caught[0].filename == __file__, "it points at the code that called plait"


GLOBAL = ()
for number in (1, 2, 3):
    GLOBAL += (lambda: number,)  # noqa: B023


def test_so_are_those_of_a_global_loop_variable():
    with pytest.warns(LoopVariableWarning):
        check_branches(GLOBAL)


def test_and_functions_that_were_defined_in_a_loop():
    branches = ()
    for user in (1, 2):

        async def branch():
            return user  # noqa: B023

        branches += (branch,)
    with pytest.warns(LoopVariableWarning, match="are the same"):
        check_branches(branches)


def make(user):
    return lambda: user


class Service:
    async def method(self):
        return 1


RIGHT = {
    "a default": tuple(lambda user=user: user for user in (1, 2)),
    "a keyword default": tuple(lambda *, user=user: user for user in (1, 2)),
    "a cell each": tuple(make(user) for user in (1, 2)),
    "partials": tuple(functools.partial(a, user) for user in (1, 2)),
    "methods": (Service().method, Service().method),
    "one function twice": (a, a),
    "two lambdas": (lambda: 1, lambda: 1),
}


@pytest.mark.parametrize("branches", RIGHT.values(), ids=RIGHT)
def test_branches_that_differ_in_something_are_not(branches):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_branches(branches)


# ---------------------------------------------------------------- results


def test_results_are_values():
    error = OSError("no")
    assert Ok(1) == Ok(1) != Ok(2)
    assert Failed(error) == Failed(error)
    assert (Winner(0, "a").branch, Winner(0, "a").value) == (0, "a")
    match (Ok(7), Failed(error), Winner(1, "a")):
        case (Ok(value), Failed(found), Winner(branch, won)):
            assert (value, found, branch, won) == (7, error, 1, "a")
        case _:
            pytest.fail("they have patterns")
    assert repr(Winner(0, "a")) == "Winner(branch=0, value='a')"
