"""Row 60, and beyond the rows: processes that are killed, two processes on one file, a forked child."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PROGRAM = """
import os, signal, sys
import anyio, trio, {backend}
from plait.durable import App, Context, TriggerEvent, current_step
from plait.errors import JournalForkedError, JournalLockedError

path, killed_in = sys.argv[1], int(sys.argv[2])
app = App("shop", journal=path)


async def work(n: int) -> int:
    with open(path + ".log", "a") as log:
        print(n, current_step().idempotency_key, file=log)
    if n == killed_in:
        os.kill(os.getpid(), signal.SIGKILL)
    return n * n


@app.create_function(fn_id="fn", trigger=TriggerEvent(event="begin"))
async def fn(ctx: Context) -> list[int]:
    first = [await ctx.step.run(f"step {{n}}", work, n) for n in range(3)]
    await ctx.step.sleep("nap", 0.001)
    rest = await ctx.group.map("map", work, range(3, 6), limit=1)
    return first + list(rest)


async def main():
    print(await app.invoke(fn, run_id="r1"), flush=True)


async def first_of_two():
    async with app.serve():
        print("served", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.readline)


async def forked():
    async with app.serve():
        child = os.fork()
        if child == 0:
            try:
                app.journal.append([], print)
            except JournalForkedError:
                os._exit(7)
            os._exit(1)
        _, status = await anyio.to_thread.run_sync(os.waitpid, child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    print(await app.invoke(fn, run_id="r1"), flush=True)


{run}
"""

BACKENDS = {"trio": "trio.run({main})", "asyncio": "asyncio.run({main}())"}

both = pytest.mark.parametrize("backend", [*BACKENDS])


def program(backend, main="main"):
    run = BACKENDS[backend].format(main=main)
    return textwrap.dedent(PROGRAM).format(backend=backend, run=run)


def command(source, path, killed_in=-1):
    return [sys.executable, "-c", source, str(path), str(killed_in)]


def environment():
    source = Path(__file__).parents[2] / "src"
    return {**os.environ, "PYTHONPATH": str(source)}


def live(source, path, killed_in=-1):
    return subprocess.run(
        command(source, path, killed_in),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@both
@pytest.mark.parametrize("killed_in", [0, 2, 5])
def test_row_060_killed_after_each_step(backend, killed_in, tmp_path):
    path, source = tmp_path / "shop.db", program(backend)
    killed = live(source, path, killed_in)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = live(source, path)
    assert again.stdout == "[0, 1, 4, 9, 16, 25]\n", again.stderr
    lines = [line.split() for line in path.with_name("shop.db.log").read_text().splitlines()]
    execs = [int(n) for n, _ in lines]
    assert execs == [*range(killed_in + 1), *range(killed_in, 6)]
    assert len({key for _, key in lines}) == 6  # the one that ran twice had the same key


@both
def test_two_processes_do_not_have_one_file(backend, tmp_path):
    path = tmp_path / "shop.db"
    with subprocess.Popen(
        command(program(backend, "first_of_two"), path),
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdout.readline() == "served\n"
        second = live(program(backend), path)
        assert second.returncode == 1
        assert "JournalLockedError" in second.stderr
        assert f"process {first.pid}" in second.stderr
        first.communicate("go\n", timeout=100)
    assert first.returncode == 0
    assert live(program(backend), path).stdout == "[0, 1, 4, 9, 16, 25]\n"


@both
def test_a_process_that_is_killed_leaves_the_file_to_the_next(backend, tmp_path):
    path = tmp_path / "shop.db"
    with subprocess.Popen(
        command(program(backend, "first_of_two"), path),
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdout.readline() == "served\n"
        first.kill()
    assert live(program(backend), path).stdout == "[0, 1, 4, 9, 16, 25]\n"


@both
def test_a_forked_child_does_not_have_the_journal(backend, tmp_path):
    done = live(program(backend, "forked"), tmp_path / "shop.db")
    assert done.stdout == "7\n[0, 1, 4, 9, 16, 25]\n", done.stderr
