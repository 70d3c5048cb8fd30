"""Scenarios that reach beyond the event loop: threads, files, child processes."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import anyio
import anyio.abc
import trio

from plait import Context, Event, Resource, StartEvent, StopEvent, step
from tests.faults.scenarios.scenario import WITNESS, Program, Scenario


class Part(Event):
    n: int


class Done(Event):
    n: int


# ---------------------------------------------------------------- threads


class Calculating(Program):
    """Plain `def` steps, each in a thread."""

    @step
    def start(self, ctx: Context, ev: StartEvent) -> Part | None:
        with self.witness.body("start"):
            for n in range(3):
                ctx.send_event(Part(n=n))

    @step(num_workers=2)
    def work(self, ctx: Context, ev: Part) -> Done:
        with self.witness.body("work"):
            ctx.write_event_to_stream(ev)
            ctx.store.sync.set("last", ev.n)
        return Done(n=ev.n)

    @step
    def end(self, ctx: Context, ev: Done) -> StopEvent | None:
        with self.witness.body("end"):
            batch = ctx.collect_events(ev, [Done] * 3)
            return batch and StopEvent(result=sorted(done.n for done in batch))


class Threads(Scenario):
    """Steps in threads, which nobody can interrupt."""

    result = [0, 1, 2]
    virtual = False

    def make(self) -> Program:
        return Calculating(self.witness)


# ---------------------------------------------------------------- files


def workshop() -> TemporaryDirectory[str]:
    """Serve one run."""
    return TemporaryDirectory(dir=WITNESS.get().folder)


class Writing(Program):
    """Writes a file for each part in a folder of its own, closes it, and moves it out."""

    folder: Path

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Part | None:
        for n in range(2):
            ctx.send_event(Part(n=n))

    @step
    async def write(
        self, ev: Part, workshop: Annotated[str, Resource(workshop, scope="run")]
    ) -> Done:
        draft = Path(workshop, f"{ev.n}.txt")
        with self.witness.body("write"):
            async with self.opened(draft) as file:
                await file.write("head\n")
            draft.rename(self.folder / draft.name)  # noqa: ASYNC240 - at once
        return Done(n=ev.n)

    @asynccontextmanager
    async def opened(self, path: Path) -> AsyncIterator[anyio.AsyncFile[str]]:
        file = await anyio.open_file(path, "w")
        try:
            yield file
        finally:
            with anyio.CancelScope(shield=True):
                await file.write("tail\n")
                await file.aclose()

    @step
    async def end(self, ctx: Context, ev: Done) -> StopEvent | None:
        batch = ctx.collect_events(ev, [Done] * 2)
        return batch and StopEvent(result=len(batch))


class Files(Scenario):
    """Files that are written also in a `finally`, and a folder that goes with the run."""

    result = 2
    virtual = False

    def make(self) -> Program:
        flow = Writing(self.witness)
        flow.folder = self.folder
        return flow

    def check(self) -> None:
        super().check()
        for path in self.folder.iterdir():
            assert path.read_text() == "head\ntail\n", "half done, or a draft that is left"
            path.unlink()


# ---------------------------------------------------------------- processes


class Piping(Program):
    """Has other programs do the work: one that it talks to, one that it waits for."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Part | None:
        for n in range(2):
            ctx.send_event(Part(n=n))

    @step
    async def work(self, ev: Part) -> Done:
        with self.witness.body("work"):
            text = f"part {ev.n}\n".encode()
            answer = await (self.talk(text) if ev.n else self.call(text))
            assert answer == text
        return Done(n=ev.n)

    async def call(self, text: bytes) -> bytes:
        if trio.lowlevel.in_trio_task():
            return (await trio.run_process(["cat"], stdin=text, capture_stdout=True)).stdout
        return (await anyio.run_process(["cat"], input=text)).stdout

    async def talk(self, text: bytes) -> bytes:
        """Write a line and read it. The program goes on until it is told, or killed."""
        async with await anyio.open_process(["cat"], stderr=subprocess.DEVNULL) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            await process.stdin.send(text)
            answer = await process.stdout.receive()
            await process.stdin.aclose()
            assert await process.wait() == 0
            return answer

    @step
    async def end(self, ctx: Context, ev: Done) -> StopEvent | None:
        batch = ctx.collect_events(ev, [Done] * 2)
        return batch and StopEvent(result=len(batch))


class Processes(Scenario):
    """Child processes, in real time: nobody sleeps, each waits for what another does."""

    result = 2
    virtual = False

    def make(self) -> Program:
        return Piping(self.witness)
