"""A copy of a state goes its own way."""

from __future__ import annotations

from plait._kernel.copying import copy_of
from tests.kernel.shell import Shell
from tests.kernel.strategies import A, Answer, B, C, Start, Stop, fan_in, join, plan, step


def busy() -> Shell:
    """A run that has something of everything, but what is due later."""
    shell = Shell(
        plan(
            step("start", Start, opens=("gather",), returns_list=True),
            step("work", A, num_workers=2),
            join("both", A, B),
            fan_in("gather", C),
        )
    )
    shell.open(Start())
    shell.comes("start")
    for number in range(4):
        shell.sends(A(number), by=1)
    shell.returns(1, [C(1), C(2)])
    waiting, collecting = shell.comes("work"), shell.comes("work")
    assert waiting is not None
    assert collecting is not None
    shell.waits(waiting, Answer)
    shell.collects(collecting, [A, A, A])
    return shell


def test_what_happens_to_the_copy_does_not_happen_to_the_run():
    state = busy().state
    before = repr(state)
    copied = copy_of(state)
    assert copied == state
    assert repr(copied) == before
    for delivery in [*copied.live()]:
        delivery.worker = 99
    for one in copied.steps.values():
        one.queue.clear()
        one.buffers.clear()
        one.joins.clear()
        one.free.append(7)
    for stream in copied.streams.values():
        stream.gathered.clear()
    for key in [*copied.waits]:
        copied.waits.end(key)
    copied.mailbox.append((copied.next_delivery, Stop(1)))
    copied.running.clear()
    assert repr(state) == before
    state.check()


def test_events_are_shared():
    event = A(1)
    assert copy_of(event) is event
