"""The check that runs after every test sees what it is there to see."""

import os
import socket
import subprocess
import sys
import threading
import time
from functools import partial

import anyio
import anyio.to_thread
import pytest
import trio

from tests.leaks import Belongings


def test_a_thread_is_seen_until_it_ends():
    before = Belongings.now()
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="loitering")
    thread.start()
    assert before.left_behind(patience=0) == ["thread 'loitering'"]
    end.set()
    assert before.left_behind() == []


def test_a_child_process_is_seen_until_somebody_waited_for_it():
    before = Belongings.now()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        left = before.left_behind(patience=0)
        assert left[0].startswith("child process")
        child.communicate()
    assert before.left_behind(patience=0) == []


def test_a_descriptor_is_seen_until_it_is_closed():
    before = Belongings.now()
    with socket.socket() as unused:
        number = unused.fileno()
        left = before.left_behind(patience=0)
        assert len(left) == 1
        assert left[0].startswith(f"descriptor {number} (")
    assert before.left_behind(patience=0) == []


def test_a_descriptor_that_took_the_place_of_another_is_seen():
    read, write = os.pipe()
    before = Belongings.now()
    other = os.open(os.devnull, os.O_RDONLY)
    try:
        os.dup2(other, read)
        assert len(before.left_behind(patience=0)) == 2
    finally:
        for number in (read, write, other):
            os.close(number)


def test_a_trio_thread_is_seen_while_it_works_and_not_while_it_is_idle():
    before = Belongings.now()
    begun, end = threading.Event(), threading.Event()

    def work():
        begun.set()
        end.wait()

    async def abandon():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(trio.to_thread.run_sync, work, abandon_on_cancel=True))
            await trio.to_thread.run_sync(begun.wait)
            nursery.cancel_scope.cancel()

    trio.run(abandon)
    assert len(before.left_behind(patience=0)) == 1
    end.set()
    assert before.left_behind() == []


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_worker_threads_of_a_loop_that_ended_are_no_leak(backend):
    before = Belongings.now()
    anyio.run(anyio.to_thread.run_sync, time.time, backend=backend)
    assert before.left_behind() == []
