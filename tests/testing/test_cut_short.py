"""A clean-up that a cancellation cuts short is found, and one that it does not is left alone."""

from contextlib import asynccontextmanager, suppress

import pytest
import trio

import plait.testing
from plait.testing._cut_short import cut_short


def undone(body):
    """What the clean-up of a cancelled body has not come to."""

    async def main():
        found = []

        async def watched():
            try:
                await body()
            except BaseException as error:
                found.extend(cut_short(error))
                raise

        with trio.move_on_after(1):
            await watched()
        return found

    return [(cut.awaited, cut.undone) for cut in plait.testing.run(main)]


def never_called():
    raise AssertionError


def fails():
    raise KeyError


# ------------------------------------------------------------ cut short


async def awaits_first():
    try:
        await trio.sleep_forever()
    finally:
        await trio.sleep(1)
        never_called()


async def says_goodbye():
    await trio.sleep(1)
    never_called()


async def calls_another():
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        await says_goodbye()
        raise


async def closes_one_after_the_other():
    try:
        await trio.sleep_forever()
    finally:
        for seconds in (1, 2):
            await trio.sleep(seconds)


async def awaits_deeper():
    try:
        await trio.sleep_forever()
    finally:
        if trio.current_time():
            with suppress(KeyError):
                await trio.sleep(1)
        never_called()


async def awaits_after_another_failure():
    try:
        await trio.sleep_forever()
    finally:
        try:
            fails()
        except KeyError:
            await trio.sleep(1)
            never_called()


@asynccontextmanager
async def opened():
    try:
        yield
    finally:
        await trio.sleep(1)
        never_called()


async def uses_a_manager():
    async with opened():
        await trio.sleep_forever()


class Connection:
    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await trio.sleep(1)
        never_called()


async def uses_a_class():
    async with Connection():
        await trio.sleep_forever()


async def in_a_nursery():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(awaits_first)
        await trio.sleep_forever()


@pytest.mark.parametrize(
    ("body", "awaited", "lost"),
    [
        (awaits_first, "await trio.sleep(1)", "never_called()"),
        (calls_another, "await trio.sleep(1)", "never_called()"),
        (
            closes_one_after_the_other,
            "await trio.sleep(seconds)",
            "the rest of for seconds in (1, 2):",
        ),
        (awaits_deeper, "await trio.sleep(1)", "never_called()"),
        (awaits_after_another_failure, "await trio.sleep(1)", "never_called()"),
        (uses_a_manager, "await trio.sleep(1)", "never_called()"),
        (uses_a_class, "await trio.sleep(1)", "never_called()"),
        (in_a_nursery, "await trio.sleep(1)", "never_called()"),
    ],
    ids=lambda body: getattr(body, "__name__", ""),
)
def test_it_is_found(body, awaited, lost):
    assert undone(body) == [(awaited, lost)]


def test_it_is_told_where():
    async def main():
        try:
            with trio.move_on_after(1):
                try:
                    await calls_another()
                except trio.Cancelled as cancelled:
                    (cut,) = cut_short(cancelled)
                    assert str(cut).startswith(f"says_goodbye() at {__file__}:")
                    assert str(cut).endswith(
                        ": cancelled in `await trio.sleep(1)`, and `never_called()` was never done"
                    )
                    raise
        finally:
            pass

    plait.testing.run(main)


# ------------------------------------------------------------ not cut short


async def has_no_clean_up():
    await trio.sleep_forever()
    never_called()


async def does_not_await():
    try:
        await trio.sleep_forever()
    finally:
        done.append(1)


async def is_shielded():
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep(1)
        done.append(1)


async def awaits_at_last():
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        done.append(1)
        await trio.lowlevel.checkpoint()
        raise


async def closes_channels():
    send, receive = trio.open_memory_channel(0)
    async with send, receive:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.sleep_forever()
        never_called()


async def is_cancelled_while_it_handles_something_else():
    try:
        fails()
    except KeyError:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.sleep_forever()
        never_called()


async def leaves_a_block_while_it_handles_something_else():
    try:
        fails()
    except KeyError:
        send, receive = trio.open_memory_channel(0)
        async with send, receive:
            await trio.sleep_forever()
        never_called()


async def is_cancelled_by_itself():
    with trio.move_on_after(0.5):
        await trio.sleep_forever()
    await trio.sleep_forever()
    never_called()


async def runs_another_finally():
    try:
        await trio.sleep_forever()
    finally:
        try:
            await trio.lowlevel.checkpoint()
        finally:
            done.append(1)


done = []


@pytest.mark.parametrize(
    "body",
    [
        has_no_clean_up,
        does_not_await,
        is_shielded,
        awaits_at_last,
        closes_channels,
        is_cancelled_while_it_handles_something_else,
        leaves_a_block_while_it_handles_something_else,
        is_cancelled_by_itself,
        runs_another_finally,
    ],
    ids=lambda body: body.__name__,
)
def test_it_is_left_alone(body):
    assert undone(body) == []


def test_installed_code_is_not_judged(monkeypatch):
    monkeypatch.setattr("plait.testing._cut_short.INSTALLED", (__file__,))
    assert undone(calls_another) == []


def test_without_source_nothing_is_said():
    made = {"trio": trio}
    exec(
        "async def body():\n"
        "    try:\n"
        "        await trio.sleep_forever()\n"
        "    finally:\n"
        "        await trio.sleep(1)\n"
        "        raise KeyError\n",
        made,
    )
    assert undone(made["body"]) == []


def test_other_errors_are_none():
    assert [*cut_short(KeyError())] == []
    assert [*cut_short(ExceptionGroup("", [KeyError()]))] == []
