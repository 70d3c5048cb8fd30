"""What a page costs a run that nobody looks at, in executed opcodes: these do not depend on the machine."""

from __future__ import annotations

import sys

import trio

import plait.web
from plait import Event, StartEvent, StopEvent, Workflow, step


class Ping(Event):
    left: int


class Pong(Event):
    left: int


class Chain(Workflow):
    @step
    async def begin(self, ev: StartEvent) -> Ping:
        return Ping(left=ev.hops)

    @step
    async def ping(self, ev: Ping) -> Pong | StopEvent:
        return Pong(left=ev.left - 1) if ev.left else StopEvent()

    @step
    async def pong(self, ev: Pong) -> Ping | StopEvent:
        return Ping(left=ev.left - 1) if ev.left else StopEvent()


def opcodes(main):
    count = 0

    def trace(frame, event, _):
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        trio.run(main)
    finally:
        sys.settrace(before)
    return count


def per_hop(start):
    """The opcodes of one hop more."""

    def of(hops):
        async def main():
            await start(Chain().run(hops=hops))

        return opcodes(main)

    of(10)  # what is done once is done
    return (of(300) - of(100)) / 200


def test_with_nobody_watching_a_hop_costs_at_most_five_percent_more():
    page = plait.web.app()
    alone = per_hop(lambda run: run)
    watched = per_hop(page.watch)
    assert alone < watched <= 1.05 * alone
