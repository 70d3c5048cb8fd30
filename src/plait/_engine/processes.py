"""Child processes: each leads a group of its own, and no process of the group outlives the call.

A child is started inside one call without a checkpoint, so it is never started for nobody. It is the
leader of a session and of a process group. When it has exited, what it left behind in the group is
ended: TERM to the group, the grace, KILL, and a wait until all are gone. A cancellation does the same,
under a shield. A process that is a zombie counts as gone: its parent has to reap it, and that may not
be plait.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import functools
import logging
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import attrs

from .native import Backend
from .process_groups import FIRST_LOOK, LAST_LOOK, PATIENCE, awaited, group_lives, signal_group

log = logging.getLogger("plait")

#: What is read from a pipe at once.
CHUNK: Final = 65536
#: Pieces that are taken from a pipe once the group is gone: no pipe holds more.
LAST_PIECES: Final = 17

Stream: TypeAlias = Literal["stdout", "stderr"]


class OutputTooLargeError(Exception):
    """A child wrote more than it may. Its group has been killed.

    Attributes:
        stream: Where.
        ended: What there was of the output.
    """

    def __init__(self, stream: Stream, ended: Ended) -> None:
        super().__init__(stream)
        self.stream: Stream = stream
        self.ended: Ended = ended


class OverdueError(Exception):
    """A child did not end in time. Its group has been ended.

    Attributes:
        ended: What there was of the output.
    """

    def __init__(self, ended: Ended) -> None:
        super().__init__()
        self.ended: Ended = ended


@attrs.frozen
class Ended:
    """A child that has ended.

    Attributes:
        returncode: Its exit code; the negative number of the signal that ended it.
        stdout: What it wrote.
        stderr: What it wrote there.
    """

    returncode: int
    stdout: bytes
    stderr: bytes


async def run_process(
    backend: Backend,
    argv: Sequence[str],
    *,
    stdin: bytes | None = None,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    deadline: float = math.inf,
    max_output: float = math.inf,
    grace: Callable[[], float] = lambda: 10.0,
    on_stderr: Callable[[str], object] | None = None,
) -> Ended:
    """Run a program to its end. A checkpoint.

    A cancellation ends the group: TERM, the grace, KILL; then it goes on.

    Args:
        backend: The running event loop's objects.
        argv: The program and its arguments. There is no shell.
        stdin: What it reads; `None`: nothing, from `/dev/null`.
        cwd: Where it runs; `None`: where plait does.
        env: Its whole environment; `None`: plait's.
        deadline: When it is ended at the latest, on the loop's clock.
        max_output: The bytes that it may write, on each of its two streams.
        grace: The seconds from TERM to KILL. Asked again and again, so that they can be shortened.
        on_stderr: Called with each line of stderr as it comes, without its end.

    Raises:
        OSError: It could not be started.
        ValueError: It could not be started, since an argument or a variable cannot be handed over.
        OutputTooLargeError: It wrote more than `max_output`.
        OverdueError: It did not end before the deadline.
    """
    await backend.checkpoint_if_cancelled()
    backend.protect(_Child.__init__)
    child = _Child(backend, argv, stdin, cwd, env, max_output, grace, on_stderr)
    try:
        with backend.cancel_scope(deadline=deadline) as scope:
            async with backend.open_nursery() as nursery:
                for task in child.tasks():
                    nursery.start_soon(task)
                await child.exited()
                await child.end_group()
                nursery.cancel_scope.cancel()
        if scope.cancelled_caught:
            await child.end_group()
            raise OverdueError(child.ended())
        return child.ended()
    finally:
        await child.clean_up()  # noqa: ASYNC102 - it has a shield, and PATIENCE, of its own


class _Child:
    """One child and its pipes."""

    def __init__(
        self,
        backend: Backend,
        argv: Sequence[str],
        stdin: bytes | None,
        cwd: str | None,
        env: Mapping[str, str] | None,
        max_output: float,
        grace: Callable[[], float],
        on_stderr: Callable[[str], object] | None,
    ) -> None:
        self._backend = backend
        self._clock = backend.clock()
        self._grace = grace
        self._pipes = _Pipes(feeds=stdin is not None)
        try:
            self._process = self._pipes.start(argv, cwd, env)
        except BaseException:
            self._pipes.close()
            raise
        self.pid: Final = self._process.pid
        awaited.add(self.pid)
        self._pidfd = _open_pidfd(self.pid)
        self._stdin = memoryview(stdin or b"")
        self._stdout = _Sink("stdout", self._pipes.stdout, max_output, None)
        self._stderr = _Sink("stderr", self._pipes.stderr, max_output, on_stderr)
        self._too_large: _Sink | None = None

    def tasks(self) -> Iterable[Callable[[], Coroutine[Any, Any, None]]]:
        """What goes on beside the child."""
        if self._pipes.stdin is not None:
            yield self._feed
        yield functools.partial(self._read, self._stdout)
        yield functools.partial(self._read, self._stderr)

    async def _feed(self) -> None:  # noqa: ASYNC910 - a task; with nothing to write there is no wait
        pipe = self._pipes.stdin
        assert pipe is not None
        while self._stdin:
            await self._backend.wait_writable(pipe)
            try:
                self._stdin = self._stdin[os.write(pipe, self._stdin[:CHUNK]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:  # it does not want to read all of it
                break
        self._pipes.close_stdin()

    async def _read(self, sink: _Sink) -> None:  # noqa: ASYNC910 - a task of its own
        while not sink.ended:
            await self._backend.wait_readable(sink.pipe)
            self._take(sink)

    def _take(self, sink: _Sink) -> bool:
        """Take a piece of what the pipe has now; was there one?"""
        found = sink.take()
        if sink.overflowed and self._too_large is None:
            self._too_large = sink
            self.signal(signal.SIGKILL)
        return found

    async def exited(self) -> None:
        """Wait until the leader has exited. A checkpoint."""
        if self._pidfd is not None:
            await self._backend.wait_readable(self._pidfd)
        await self._look_until(lambda: self._process.poll() is not None, lambda: math.inf)

    async def end_group(self) -> None:
        """End whoever is left, under a shield, and wait for that. A checkpoint if there is somebody."""
        if self._is_gone():
            return  # noqa: ASYNC910 - what comes before has waited
        with self._backend.cancel_scope(shield=True):
            self.signal(signal.SIGTERM)
            if await self._look_until(self._is_gone, self._grace):
                return  # noqa: ASYNC910 - the same
            self.signal(signal.SIGKILL)
            if not await self._look_until(self._is_gone, lambda: PATIENCE):
                log.error("Process group %d does not end, although it was killed.", self.pid)

    async def _look_until(self, done: Callable[[], bool], patience: Callable[[], float]) -> bool:
        begun, pause = self._clock(), FIRST_LOOK
        while not done():
            now = self._clock()
            if now - begun >= patience():
                return False  # noqa: ASYNC910 - its callers say whether they wait
            await self._backend.sleep_until(now + pause)
            pause = min(2 * pause, LAST_LOOK)
        return True  # noqa: ASYNC910 - the same

    def _is_gone(self) -> bool:
        return self._process.poll() is not None and not group_lives(self.pid)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the group."""
        if self._process.returncode is None or group_lives(self.pid):
            signal_group(self.pid, self._process, number)

    def ended(self) -> Ended:
        """Say what has come of it, once it has exited and the group is gone."""
        for sink in (self._stdout, self._stderr):
            for _ in range(LAST_PIECES):  # whoever left the group may go on writing
                if not self._take(sink):
                    break
            sink.finish()
        assert self._process.returncode is not None
        ended = Ended(self._process.returncode, bytes(self._stdout.data), bytes(self._stderr.data))
        if self._too_large is not None:
            raise OutputTooLargeError(self._too_large.stream, ended)
        return ended

    async def clean_up(self) -> None:
        """End the group if that has not been done, and close the pipes."""
        try:
            await self.end_group()
        except BaseException:  # asyncio has cancelled the task itself, past the shield
            self._kill_at_once()
            raise
        finally:
            awaited.discard(self.pid)
            self._pipes.close()
            if self._pidfd is not None:
                os.close(self._pidfd)

    def _kill_at_once(self) -> None:
        self.signal(signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        begun = self._clock()
        while group_lives(self.pid) and self._clock() - begun < PATIENCE:
            time.sleep(FIRST_LOOK)  # they have been killed, and are about to go


class _Sink:
    """Collects what comes through one pipe."""

    def __init__(
        self,
        stream: Stream,
        pipe: int,
        most: float,
        on_line: Callable[[str], object] | None,
    ) -> None:
        self.stream: Final[Stream] = stream
        self.pipe: Final = pipe
        self._most = most
        self._on_line = on_line
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._line = ""
        self.data = bytearray()
        self.ended = False

    def take(self) -> bool:
        """Take a piece; false if there is none now, or no more."""
        if self.ended:
            return False
        try:
            piece = os.read(self.pipe, CHUNK)
        except BlockingIOError:
            return False
        self.ended = not piece
        self.data += piece
        if self._on_line is not None:
            self._tell(self._decode(piece), self._on_line)
        if self.overflowed:
            self.ended = True
        return bool(piece)

    @property
    def overflowed(self) -> bool:
        """Is there more than there may be?"""
        return len(self.data) > self._most

    def finish(self) -> None:
        """Tell of a last line that has no end."""
        if self._on_line is not None:
            self._tell(self._decode(b"", final=True), self._on_line)
            if self._line:
                self._on_line(self._line)
                self._line = ""

    def _tell(self, text: str, on_line: Callable[[str], object]) -> None:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            on_line(line)


class _Pipes:
    """The pipes of one child: plait's ends, which never block."""

    def __init__(self, *, feeds: bool) -> None:
        self._mine: set[int] = set()
        self._childs: list[int] = []
        try:
            self.stdin: int | None = self._open(writes=True) if feeds else None
            self.stdout: Final = self._open(writes=False)
            self.stderr: Final = self._open(writes=False)
        except BaseException:
            self.close()
            raise

    def _open(self, *, writes: bool) -> int:
        ends = os.pipe()
        mine, childs = reversed(ends) if writes else ends
        self._mine.add(mine)
        self._childs.append(childs)
        os.set_blocking(mine, False)
        return mine

    def start(
        self, argv: Sequence[str], cwd: str | None, env: Mapping[str, str] | None
    ) -> subprocess.Popen[bytes]:
        """Start the child with the other ends, which plait then closes."""
        childs = self._childs if self.stdin is not None else [subprocess.DEVNULL, *self._childs]
        stdin, stdout, stderr = childs
        process = subprocess.Popen(  # noqa: S603 - a flow file says what to run
            argv,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
        self._close_childs()
        return process

    def _close_childs(self) -> None:
        while self._childs:
            os.close(self._childs.pop())

    def close_stdin(self) -> None:
        """Let the child see the end of its input."""
        if self.stdin is not None and self.stdin in self._mine:
            self._mine.discard(self.stdin)
            os.close(self.stdin)

    def close(self) -> None:
        """Close what is open."""
        self._close_childs()
        while self._mine:
            os.close(self._mine.pop())


def _open_pidfd(pid: int) -> int | None:
    """Open what becomes readable when a process exits, where there is such a thing."""
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno in {errno.ENOSYS, errno.EPERM, errno.EMFILE, errno.ENFILE}:
            return None
        raise
