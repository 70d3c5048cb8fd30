"""Programs by chance on the real engine, with the codec of real events: what they wrote can be read.

Records go to entries and back, and are folded; the run's state goes to a document and back. At any
moment, all three are the same run.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import plait.testing
from plait._journal.codec import Codec, read_run
from plait._journal.snapshot import read, write
from plait._journal.values import Values
from plait._kernel.records import Record
from plait._kernel.state import RunState
from tests.model import program as p
from tests.model.compile import KINDS, compiled, make, send_in
from tests.model.draw import draw, of_seed
from tests.model.facts import Log
from tests.model.play import one_schedule

VALUES = Values(KINDS.values())
BLOCK = 20


def document(state: RunState) -> dict[str, Any]:
    return write(state, VALUES, elapsed=0.0, store=state.store)


class Witness:
    """Keeps the records of a run, as entries, and compares."""

    def __init__(self, run: Any) -> None:
        self.state: RunState = run._shell.state
        self.codec = Codec(run.run_id, VALUES)
        self.entries: list[Any] = []
        self.looks = 0
        run.observe(self.keep)

    def keep(self, record: Record) -> None:
        n = len(self.entries) + 1
        entry = self.codec.encode(record, n)
        again = self.codec.encode(self.codec.decode(entry), n)
        assert alike(json.loads(again.body)) == alike(json.loads(entry.body))
        self.entries.append(entry)

    def look(self) -> None:
        """At a moment between two stimuli."""
        self.looks += 1
        written = document(self.state)
        again = read(self.state.plan, json.loads(json.dumps(written)), VALUES).state
        assert alike(document(again)) == alike(written)
        folded = RunState(self.state.plan, self.state.run_id)
        read_run(folded, self.codec, self.entries)
        assert alike(as_remembered(document(folded))) == alike(as_remembered(written))


def alike(data: Any) -> Any:
    """What stands for an exception may be less than it was, and so is what it is written as."""
    match data:
        case {"$": ["error", *_]}:
            return "an exception"
        case dict():
            return {key: alike(held) for key, held in data.items()}
        case list():
            return [alike(held) for held in data]
        case _:
            return data


def as_remembered(written: dict[str, Any]) -> dict[str, Any]:
    """What a body has sent and written is kept with its events while records are folded, and counted live."""
    for step in written["steps"].values():
        for place in ("queue", "running", "suspended", "due"):
            for delivery in step[place]:
                if (memory := delivery.get("memory")) is not None:
                    memory["sends"] = 0
                    memory.pop("writes", None)
                    if not (memory["answers"] or memory["owed"]):
                        del delivery["memory"]
    return written


async def witnessed(program: p.Program) -> int:
    log = Log()
    flow = log.of(program, compiled)(log, "top")
    run = flow.run(start_event=make(p.start(program)))
    witness = Witness(run)
    with contextlib.suppress(Exception):  # how the run ends is the business of others
        async with run:
            for number, inward in enumerate(program.outside):
                for _ in range(4):
                    await anyio.sleep(inward.after / 4)
                    witness.look()
                if run.is_done():
                    break
                send_in(flow, run, p.arrival(program, number))
            for _ in range(8):
                await anyio.sleep(0.375)
                witness.look()
            run.cancel()
    await anyio.lowlevel.checkpoint()
    witness.look()
    return witness.looks


@pytest.mark.parametrize("first", range(0, 200, BLOCK))
def test_a_run_is_the_same_in_memory_in_a_journal_and_in_a_snapshot(first: int):
    for seed in range(first, first + BLOCK):
        with one_schedule(seed):
            assert plait.testing.run(witnessed, draw(of_seed(seed))) > 8
