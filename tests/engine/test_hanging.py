"""The guard against tests that hang ends them, says where they hung, and lets the others run.

The inner tests hang in a process of their own. None waits for the clock: each gives the alarm itself.
"""

import os
import subprocess
import sys

from tests.engine.hanging import PATIENCE

HANGING = '''
import signal
import threading

import anyio
import pytest
import trio
import trio.testing

from tests.engine.hanging import no_test_hangs as no_test_hangs

BOTH = pytest.mark.parametrize("anyio_backend", [("trio", {}), ("asyncio", {})], ids=["trio", "asyncio"])


def alarm():
    signal.raise_signal(signal.SIGALRM)


@pytest.mark.trio
async def test_by_itself():
    trio.lowlevel.current_trio_token().run_sync_soon(alarm)
    await trio.sleep_forever()


@pytest.mark.trio
async def test_in_shields():
    async def shielded():
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(shielded)
        await trio.testing.wait_all_tasks_blocked()
        alarm()


@pytest.mark.trio
async def test_clean_up():
    """What comes of the first try hangs as well."""
    trio.lowlevel.current_trio_token().run_sync_soon(alarm)
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()


def test_who_swallows_it():
    """It ends as if nothing had been, and has failed all the same."""
    async def main():
        trio.lowlevel.current_trio_token().run_sync_soon(alarm)
        try:
            await trio.sleep_forever()
        except BaseException:
            pass

    trio.run(main)


def test_a_loop_of_its_own():
    async def main():
        trio.lowlevel.current_trio_token().run_sync_soon(alarm)
        await trio.sleep_forever()

    trio.run(main)


def test_no_loop():
    alarm()
    threading.Event().wait()


@pytest.mark.anyio
@BOTH
async def test_on_both():
    async def shielded():
        with anyio.CancelScope(shield=True):
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shielded)
        await anyio.wait_all_tasks_blocked()
        alarm()
        await anyio.sleep_forever()


@pytest.mark.anyio
@BOTH
async def test_which_does_not_hang():
    await anyio.lowlevel.checkpoint()
'''

STUBBORN = """
import signal

from tests.engine.hanging import no_test_hangs as no_test_hangs


def test_nothing_ends_it():
    for _ in range(100):
        try:
            signal.raise_signal(signal.SIGALRM)
        except BaseException:
            pass
"""


def outcome_of(folder, program):
    """Run tests in another process: its exit code, and what it said."""
    (folder / "test_inner.py").write_text(program)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "test_inner.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


def test_each_that_hangs_fails_and_the_others_run(tmp_path):
    code, said, told = outcome_of(tmp_path, HANGING)
    ends = {}
    for line in said.splitlines():
        end, _, rest = line.partition(" test_inner.py::")
        name, _, why = rest.partition(" - ")
        if end in {"PASSED", "FAILED"}:
            ends[name] = end if end == "PASSED" or "it hangs" in why else line
    good = (
        *("test_which_does_not_hang[trio]", "test_which_does_not_hang[asyncio]"),
        "test_who_swallows_it",
    )
    bad = (
        *("test_by_itself", "test_in_shields", "test_clean_up", "test_a_loop_of_its_own"),
        *("test_no_loop", "test_on_both[trio]", "test_on_both[asyncio]"),
    )
    assert ends == dict.fromkeys(good, "PASSED") | dict.fromkeys(bad, "FAILED")
    assert SWALLOWED in said  # with an error afterwards
    assert code == 1
    assert "in shielded" in told  # a task of Trio
    assert "in test_no_loop" in told  # a thread


SWALLOWED = (
    f"ERROR test_inner.py::test_who_swallows_it - Failed: it hangs: no end after {PATIENCE} s"
)


def test_what_nothing_ends_ends_the_process(tmp_path):
    code, _, told = outcome_of(tmp_path, STUBBORN)
    assert code == 3
    end = f"it hangs: no end after {PATIENCE} s, and nothing ends it: the process is ended\n"
    assert told.endswith(end)
