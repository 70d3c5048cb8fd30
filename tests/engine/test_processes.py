"""Child processes: what they get, what comes back, and that nothing of a group is left."""

import asyncio
import os
import signal
import sys

import pytest

from plait._engine import process_groups, processes
from plait._engine.native import current
from plait._engine.process_groups import group_lives
from plait._engine.processes import Ended, OutputTooLargeError, OverdueError, run_process

pytestmark = pytest.mark.anyio

linux = pytest.mark.skipif(sys.platform != "linux", reason="process groups are looked at in /proc")


# Real processes know nothing of a clock that jumps.
@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request):
    return (request.param, {})


async def run(*argv, **options):
    return await run_process(current(), argv, **options)


async def shell(text, **options):
    return await run("/bin/sh", "-c", text, **options)


def members(group):
    return [one for one in process_groups._processes() if one.group == group and not one.is_zombie]


async def test_what_a_child_writes_and_how_it_ends():
    assert await shell("printf out; printf err >&2; exit 3") == Ended(3, b"out", b"err")
    assert await shell("kill -9 $$") == Ended(-9, b"", b"")


async def test_what_it_reads():
    assert (await run("cat", stdin=b"given")).stdout == b"given"
    assert (await run("cat")).stdout == b""  # from /dev/null, and not from plait's own


async def test_much_goes_both_ways_at_once():
    much = os.urandom(1 << 20) * 3
    assert (await run("cat", stdin=much)).stdout == much


async def test_it_need_not_read_what_it_is_given():
    assert await run("true", stdin=b"x" * (1 << 22)) == Ended(0, b"", b"")


async def test_where_it_runs_and_what_it_knows(tmp_path):
    ended = await shell('pwd; echo "$X $HOME"', cwd=str(tmp_path), env={"X": "1"})
    assert ended.stdout.decode() == f"{tmp_path.resolve()}\n1 \n"


async def test_it_leads_a_session_and_a_group():
    text = "import os; print(os.getpid() == os.getpgrp() == os.getsid(0))"
    assert (await run(sys.executable, "-c", text)).stdout == b"True\n"


async def test_lines_of_stderr_are_told_as_they_come():
    lines = []
    ended = await shell(
        "echo one >&2; printf 'two\\nthr' >&2; printf ee >&2", on_stderr=lines.append
    )
    assert lines == ["one", "two", "three"]
    assert ended.stderr == b"one\ntwo\nthree"


async def test_a_line_is_told_while_the_child_runs(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def answer(line):
        assert line == "ready"
        fifo.write_text("go\n")  # the child waits for just this

    ended = await shell(f"echo ready >&2; read word < {fifo}; echo $word", on_stderr=answer)
    assert ended.stdout == b"go\n"


async def test_text_that_is_cut_within_a_character():
    lines = []
    await shell(
        r"printf '\303'; printf '\303' >&2; sleep 0.05; printf '\251\n' >&2", on_stderr=lines.append
    )
    assert lines == ["é"]  # one, though it came in two pieces


@pytest.mark.parametrize(
    ("argv", "error", "text"),
    [
        (["no-such-bin-xyz"], FileNotFoundError, "'no-such-bin-xyz'"),
        (["/"], PermissionError, "'/'"),
        (["true", "a\0b"], ValueError, "null byte"),
        (["true", "x" * (1 << 22)], OSError, r"\[Errno 7\]"),
    ],
)
async def test_what_cannot_be_started(argv, error, text):
    with pytest.raises(error, match=text):
        await run(*argv)


async def test_a_folder_that_is_not_there():
    with pytest.raises(FileNotFoundError, match="/no/such/folder"):
        await run("true", cwd="/no/such/folder")


@linux
async def test_children_that_a_leader_leaves_are_ended():
    ended = await shell("sleep 60 & sleep 60 & echo $$")
    group = int(ended.stdout)
    assert ended.returncode == 0
    assert members(group) == []


@linux
async def test_a_grandchild_is_asked_before_it_is_killed(tmp_path):
    trap = 'trap "echo asked; exit" TERM'
    text = f"sh -c '{trap}; echo ready >&2; while :; do sleep 0.01; done' & read x"
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def go(line):
        if line == "ready":
            fifo.write_text("\n")

    ended = await shell(f"{text} < {fifo}", on_stderr=go)
    assert ended.stdout == b"asked\n"  # and what it said then was read


@linux
async def test_cancelled_the_whole_group_ends(tmp_path):
    backend = current()
    pids = []
    with backend.cancel_scope() as scope:

        def cancel(line):
            pids.append(int(line))
            scope.cancel()

        await shell("sleep 60 & sleep 60 & echo $$ >&2; wait", on_stderr=cancel)
    assert scope.cancelled_caught
    assert len(pids) == 1
    assert members(pids[0]) == []


@linux
async def test_who_ignores_term_is_killed_after_the_grace():
    backend = current()
    pids = []
    asked = []

    def grace():
        asked.append(True)
        return 0.05

    with backend.cancel_scope() as scope:

        def cancel(line):
            pids.append(int(line))
            scope.cancel()

        await shell("trap '' TERM; echo $$ >&2; sleep 60 & sleep 60", on_stderr=cancel, grace=grace)
    assert len(asked) > 1
    assert members(pids[0]) == []


@linux
async def test_a_grace_can_be_shortened_while_it_goes_on():
    backend = current()
    answers = iter([3600.0, 3600.0, 3600.0])
    with backend.cancel_scope() as scope:
        await shell(
            "trap '' TERM; echo >&2; while :; do sleep 0.01; done",
            on_stderr=lambda _: scope.cancel(),
            grace=lambda: next(answers, 0.0),
        )
    assert scope.cancelled_caught


@linux
def test_asyncios_own_cancellation_twice_kills_at_once():
    """It goes past every shield: then nothing is waited for, and nothing is left."""
    pids, news = [], []

    async def main():
        asked = asyncio.Event()

        def grace():
            asked.set()
            return 3600.0

        def ready(line):
            pids.append(int(line))
            task.cancel()

        text = "trap '' TERM; echo $$ >&2; sleep 60 & while :; do sleep 0.01; done"
        task = asyncio.create_task(shell(text, on_stderr=ready, grace=grace))
        await asked.wait()
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            news.append("cancelled")

    asyncio.run(main())
    assert news == ["cancelled"]
    assert members(pids[0]) == []


@linux
async def test_a_deadline_ends_the_group_and_keeps_what_was_written():
    backend = current()
    with pytest.raises(OverdueError) as caught:
        await shell("echo $$; echo why >&2; sleep 60 & sleep 60", deadline=backend.clock()() + 0.2)
    ended = caught.value.ended
    assert (ended.returncode, ended.stderr) == (-signal.SIGTERM, b"why\n")
    assert members(int(ended.stdout)) == []


@linux
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_too_much_output_kills_the_group(stream):
    number = {"stdout": 1, "stderr": 2}[stream]
    with pytest.raises(OutputTooLargeError) as caught:
        await shell(f"trap '' TERM; yes >&{number} & yes >&{number}", max_output=100_000)
    assert caught.value.stream == stream
    assert caught.value.ended.returncode == -signal.SIGKILL


async def test_as_much_as_is_allowed_is_fine():
    ended = await shell("head -c 100000 /dev/zero", max_output=100_000)
    assert len(ended.stdout) == 100_000


@linux
async def test_who_has_left_the_group_does_not_keep_the_call_waiting(tmp_path):
    pid_file = tmp_path / "pid"
    # It holds the pipes open, for a minute.
    text = f"import os, time; os.setsid(); open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    command = (
        f'{sys.executable} -c "{text}" & while ! test -s {pid_file}; do sleep 0.01; done; echo done'
    )
    ended = await shell(command)
    left = int(pid_file.read_text())
    try:
        assert ended.stdout == b"done\n"
    finally:
        os.kill(left, signal.SIGKILL)


@linux
def test_a_zombie_counts_as_gone():
    pid = os.posix_spawn("/bin/true", ["true"], {}, setpgroup=0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
    try:
        os.killpg(pid, 0)  # and can still be sent signals
        assert not group_lives(pid)
    finally:
        os.waitpid(pid, 0)


async def test_without_a_descriptor_for_the_exit(monkeypatch):
    monkeypatch.setattr(processes, "_open_pidfd", lambda _: None)
    assert await shell("echo out; exit 4") == Ended(4, b"out\n", b"")


async def test_without_proc(monkeypatch):
    """As on other systems: then `ps` is asked."""
    monkeypatch.setattr(process_groups.sys, "platform", "darwin")
    backend = current()
    with pytest.raises(OverdueError) as caught:
        await shell("echo $$; sleep 60 & sleep 60", deadline=backend.clock()() + 0.2)
    monkeypatch.undo()
    if sys.platform == "linux":
        assert members(int(caught.value.ended.stdout)) == []


async def test_a_cancelled_call_starts_nothing(tmp_path):
    with current().cancel_scope() as scope:
        scope.cancel()
        await shell(f"touch {tmp_path}/started")
    assert not (tmp_path / "started").exists()


SUBREAPER = """
import subprocess, sys, trio
from plait._engine.native import current
from plait._engine.process_groups import become_subreaper, end_orphans, _orphans
from plait._engine.processes import run_process

async def main():
    mine = subprocess.Popen(["sleep", "60"])  # it was there before, and stays
    assert become_subreaper()
    ended = await run_process(current(), [sys.executable, "-c", LEAVER])
    assert len(_orphans()) == 1, _orphans()
    await end_orphans(current(), lambda: 5.0)
    assert _orphans() == []
    assert mine.poll() is None
    mine.kill()
    mine.wait()
    print(ended.stdout.decode(), end="")

LEAVER = '''
import os, sys
read, write = os.pipe()
if os.fork() == 0:
    os.setsid()
    print(os.getpid(), flush=True)
    os.write(write, b"x")
    os.execvp("sleep", ["sleep", "60"])
os.read(read, 1)
'''
trio.run(main)
"""


@linux
async def test_a_program_of_plaits_own_ends_who_left_the_group():
    """In a process of its own, since all orphans of the tests would come to it."""
    ended = await run(sys.executable, "-c", SUBREAPER, env={**os.environ})
    assert ended.returncode == 0, ended.stderr.decode()
    with pytest.raises(ProcessLookupError):
        os.kill(int(ended.stdout), 0)


@linux
async def test_nothing_is_an_orphan_that_somebody_waits_for():
    seen = []
    await shell("echo ready >&2", on_stderr=lambda _: seen.append(process_groups._orphans()))
    assert seen == [[]]
