"""The processes of the contenders, seen from the session."""

import multiprocessing
import os
import time
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

from benchmarks.worker import Command, Failed, Missing, Order, Prepare, Reply, Sample, serve


class ContenderError(Exception):
    """A contender raised, hung, died or gave a wrong answer."""

    def __init__(self, reason: str, details: str = "") -> None:
        super().__init__(reason)
        self.details = details


class NotInstalledError(Exception):
    """A contender is not there, which is no failure."""


@attrs.define(eq=False)
class Worker:
    """One contender's process."""

    process: SpawnProcess
    pipe: Connection
    #: Seconds after which it counts as hanging.
    patience: float

    def sample(self, size: int, repeat: int, core: int | None = None) -> Sample:
        """Run the program.

        Raises:
            ContenderError: It failed.
        """
        self.send(Order(size, repeat, core))
        reply = self.receive()
        assert isinstance(reply, Sample), reply
        return reply

    def send(self, command: Command) -> None:
        """Tell the process what to do next."""
        try:
            self.pipe.send(command)
        except OSError:
            raise ContenderError("its process ended") from None

    def receive(self) -> Reply:
        """The next answer.

        Raises:
            ContenderError: There was none in time, or it was an error.
            NotInstalledError: The contender is not there.
        """
        if not self.pipe.poll(self.patience):
            raise ContenderError(f"no answer within {self.patience:.0f} s")
        try:
            reply: Reply = self.pipe.recv()
        except EOFError:
            raise ContenderError("its process ended") from None
        if isinstance(reply, Failed):
            raise ContenderError(reply.reason, reply.details)
        if isinstance(reply, Missing):
            raise NotInstalledError(reply.reason)
        return reply

    def end(self) -> None:
        """Let it go home, or make it."""
        self.pipe.close()
        self.process.join(1)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


@attrs.define(eq=False)
class Pool:
    """A process for each contender that was asked for, until the block is left."""

    patience: float
    workers: dict[str, Worker] = attrs.field(factory=dict[str, Worker], init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self.workers.values():
            worker.end()

    def prepare(self, scenario: str, contender: str, *, role: str = "") -> Worker:
        """Start building a program; the worker's next answer says whether there is one.

        A contender that already has a process keeps it, unless `role` tells two of them apart.
        """
        name = f"{contender} {role}".strip()
        if name not in self.workers:
            # Spawned, not forked: a contender must start from a clean interpreter.
            spawn = multiprocessing.get_context("spawn")
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=serve, args=(theirs, contender), daemon=True, name=name)
            process.start()
            theirs.close()
            self.workers[name] = Worker(process, ours, self.patience)
        self.workers[name].send(Prepare(scenario))
        return self.workers[name]

    def dismiss(self, contender: str) -> None:
        """End a process that went wrong: the next scenario gets a fresh one."""
        self.workers.pop(contender).end()


def quiet_core() -> int | None:
    """The core that was least busy just now, or `None` where the platform cannot tell or pin."""

    def busy() -> dict[int, int]:
        rows = (line.split() for line in Path("/proc/stat").read_text().splitlines())
        # user, nice, system, then behind idle and iowait the interrupts, and what the host took
        return {
            int(row[0][3:]): sum(map(int, [*row[1:4], *row[6:9]]))
            for row in rows
            if row[0].startswith("cpu") and row[0] != "cpu"
        }

    try:
        mine, before = os.sched_getaffinity(0), busy()
        time.sleep(0.3)
        now = busy()
    except (AttributeError, OSError):
        return None
    return min(sorted(mine, reverse=True), key=lambda core: now[core] - before[core])
