"""The command in this process, and in one of its own, in a folder with a module of workflows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import attrs
import pytest

from plait._cli.main import main

ROOT = Path(__file__).parents[2]

SHOP = """
import trio
from plait import Event, HumanResponseEvent, StartEvent, StopEvent, Workflow, step

class Order(StartEvent):
    item: str
    number: int = 1
    notes: list[str] | None = None

class Part(Event):
    place: int

class Packed(Event):
    place: int

class Shop(Workflow):
    @step
    async def take(self, ev: Order) -> list[Part]:
        print("a step prints")
        return [Part(place=n) for n in range(ev.number)]

    @step(num_workers=1)
    async def pack(self, ev: Part) -> Packed:
        if ev.place == 3:
            raise ValueError("no\\x1b[2J box")
        return Packed(place=ev.place)

    @step
    async def send(self, evs: list[Packed]) -> StopEvent:
        return StopEvent(result={"item": "x", "packed": len(evs)})

class Open(Workflow):
    @step
    async def give_back(self, ev: StartEvent) -> StopEvent:
        return StopEvent(result=dict(ev.items()))

class Waiting(Workflow):
    @step
    async def wait(self, ev: StartEvent) -> StopEvent:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.lowlevel.checkpoint()
            print("cleaned up", flush=True)

open_shop = Open(workflow_name="corner")
number = 7
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current folder with `shop.py`. What is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PLAIT_JOURNAL", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "shop.py").write_text(SHOP)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and Path(file).is_relative_to(tmp_path):
            del sys.modules[name]


@attrs.frozen
class Done:
    """What a command has come to."""

    code: int
    out: str
    err: str


@pytest.fixture
def plait(here, capfd, monkeypatch):
    """Call the command in this process."""

    def call(*arguments, stdin=None):
        capfd.readouterr()
        code = main([str(one) for one in arguments])
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return call


def environment(**more):
    """The environment of a command in a process of its own: this tree's plait."""
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
    kept = {name: value for name, value in os.environ.items() if name != "PLAIT_JOURNAL"}
    return {**kept, "PYTHONPATH": path, **more}


class Command:
    """The command in a process of its own."""

    def __init__(self, *arguments, **options):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "plait", *map(str, arguments)],
            env=environment(),
            text=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            **options,
        )
        self.seen = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def until(self, text):
        """Read stderr up to a line with this text."""
        for line in self.process.stderr:
            self.seen.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} never came: {''.join(self.seen)}")

    def send(self, number=signal.SIGINT):
        """Send a signal to the process alone."""
        self.process.send_signal(number)

    def wait(self):
        """Wait for the end: exit code, stdout, and all of stderr."""
        out, err = self.process.communicate(timeout=60)
        return Done(self.process.returncode, out, "".join(self.seen) + err)


@pytest.fixture
def command(here):
    """Start the command in a process of its own: a context manager."""
    return Command


def dedent(text):
    """A file's text, as it is written in a test."""
    return textwrap.dedent(text).lstrip("\n")
