"""Handlers: a step that is given another step's final failures, as events.

What it returns is routed where the failed delivery was. It recovers so many times along one line of
descent; then the error is the run's.
"""

from __future__ import annotations

from plait._ids import DeliveryId
from plait._kernel import effects, records
from plait._kernel.plan import Gather, Plan
from plait._kernel.streams import Branch
from tests.kernel.shell import Shell
from tests.kernel.strategies import (
    A,
    B,
    Broken,
    C,
    Patience,
    Start,
    fan_in,
    plan,
    step,
)

ERROR = ValueError("for good")


def handled(max_recoveries: int = 1, **more: object) -> Plan:
    return plan(
        step("start", Start),
        step("work", A, handler="h", **more),
        step("h", Broken, max_recoveries=max_recoveries, returns_list=True),
        step("other", Broken),
    )


def failing(of: Plan) -> Shell:
    """A run in which delivery 2, of `work`, runs since 10."""
    shell = Shell(of)
    shell.open(Start())
    shell.works("start", A(1))
    shell.now = 10.0
    assert shell.comes("work") == 2
    return shell


def again(shell: Shell, name: str = "work") -> None:
    """Let a body of this step fail."""
    shell.raises(shell.comes(name) or 0, ERROR)


def test_a_final_failure_goes_to_the_handler_alone():
    shell = failing(handled())
    shell.now = 12.5
    shell.raises(2, ERROR)
    (recovered,) = shell.latest
    assert isinstance(recovered, records.Recovered)
    assert (recovered.delivery, recovered.error, recovered.to) == (2, ERROR, "h")
    assert shell.effects == [effects.Offer("h")]
    assert shell.queue("other") == []
    (delivery,) = shell.state.steps["h"].queue
    assert delivery.cause == 2
    event = delivery.event
    assert isinstance(event, Broken)
    assert (event.step, event.event, event.error) == ("work", A(), ERROR)
    assert (event.attempts, event.elapsed) == (1, 2.5)
    assert shell.state.failures == []


def test_the_time_of_the_failure_is_that_of_the_world():
    shell = Shell(plan(step("start", Start, handler="h"), step("h", Broken)))
    shell.epoch = 1000.0
    shell.open(Start())
    shell.comes("start")
    shell.now = 12.5
    shell.raises(1, ERROR)
    event = shell.state.steps["h"].queue[0].event
    assert isinstance(event, Broken)
    assert event.at == 1012.5


def test_a_handler_is_called_when_retries_are_exhausted():
    shell = failing(handled(retry=Patience(2, 5.0)))
    shell.raises(2, ERROR)
    assert shell.queue("h") == []
    shell.rings(2)
    again(shell)
    event = shell.state.steps["h"].queue[0].event
    assert isinstance(event, Broken)
    assert (event.attempts, event.elapsed) == (2, 5.0)


def test_a_run_goes_on_with_what_the_handler_returns():
    shell = failing(handled())
    shell.raises(2, ERROR)
    shell.works("h", A(3))
    assert len(shell.queue("work")) == 1
    assert shell.state.outcome is None


def test_the_line_of_descent_has_each_recovery():
    shell = failing(handled())
    shell.raises(2, ERROR)
    assert shell.state.steps["h"].queue[0].line == ("h",)
    number = shell.comes("h") or 0
    shell.sends(A(3), by=number)
    shell.returns(number, A(4))
    assert [delivery.line for delivery in shell.state.steps["work"].queue] == [("h",), ("h",)]


def test_it_recovers_so_many_times_along_one_line():
    for most in (1, 2, 3):
        shell = failing(handled(most))
        shell.raises(2, ERROR)
        for _ in range(most - 1):
            shell.works("h", A())
            again(shell)
            assert shell.state.outcome is None
        shell.works("h", A())
        again(shell)
        assert shell.state.outcome == records.Crashed()
        (failure,) = shell.state.failures
        assert failure.error is ERROR


def test_another_line_has_a_count_of_its_own():
    shell = failing(handled())
    shell.sends(A())
    for _ in range(2):
        shell.raises(2, ERROR) if 2 in shell.state.running else again(shell)
    assert shell.state.outcome is None
    assert len(shell.queue("h")) == 2


def test_the_count_holds_through_a_returned_list():
    shell = failing(handled())
    shell.raises(2, ERROR)
    shell.works("h", [A(3), A(4)])
    again(shell)
    assert shell.state.outcome == records.Crashed()


def test_the_count_holds_through_a_fan_in():
    of = plan(
        step("start", Start, A, returns_list=True, opens=("f",)),
        fan_in("f", B, handler="h"),
        step("h", Broken),
    )
    shell = Shell(of)
    shell.open(Start())
    shell.works("start", [B(1)])
    again(shell, "f")
    shell.works("h", A())
    shell.works("start", [])
    assert shell.state.steps["f"].queue[0].line == ("h",)
    again(shell, "f")
    assert shell.state.outcome == records.Crashed()


def test_a_fan_in_has_the_lines_of_what_it_gathered():
    of = plan(
        step("start", Start, returns_list=True, opens=("f",)),
        step("work", A, handler="h"),
        fan_in("f", B, handler="h"),
        step("h", Broken),
    )
    shell = Shell(of)
    shell.open(Start())
    shell.works("start", [A(1), B(2)])
    again(shell)
    shell.works("h", B(1))
    assert shell.state.steps["f"].queue[0].line == ("h",)


def test_what_a_handler_returns_stays_in_the_stream_of_the_failed_delivery():
    of = plan(
        step("start", Start, returns_list=True, opens=("f",)),
        step("work", A, handler="h"),
        step("h", Broken),
        fan_in("f", B),
    )
    shell = Shell(of)
    shell.open(Start())
    shell.works("start", [A(1), A(2)])
    again(shell)
    assert shell.state.steps["h"].queue[0].branch == Branch(1, 0)
    shell.works("h", B(8))
    shell.works("work", B(9))
    (fired,) = [record for record in shell.latest if isinstance(record, records.Fired)]
    assert len(fired.events) == 2


def test_a_handlers_own_failure_fails_the_run():
    shell = failing(handled())
    shell.raises(2, ERROR)
    own = KeyError("its own")
    shell.raises(shell.comes("h") or 0, own)
    (failure,) = shell.state.failures
    assert (failure.step, failure.error) == ("h", own)
    assert isinstance(failure.event, Broken)


def test_a_worker_of_a_recovered_body_leaves_and_its_slot_is_offered():
    shell = failing(handled(num_workers=1))
    shell.sends(A(5))
    shell.raises(2, ERROR)
    assert {*shell.effects} == {effects.Offer("h"), effects.Offer("work")}
    assert shell.comes("work") == 3


def test_a_suspended_body_that_fails_is_recovered_too():
    shell = failing(handled())
    shell.waits(2, C)
    shell.raises(2, ERROR)
    assert not shell.state.suspended
    assert not shell.state.waits
    assert len(shell.queue("h")) == 1


def test_what_is_no_exception_calls_no_handler():
    shell = failing(handled())
    shell.raises(2, KeyboardInterrupt())
    assert shell.state.outcome == records.Crashed()
    assert shell.queue("h") == []


def test_an_undeliverable_event_calls_no_handler():
    shell = failing(handled())
    shell.returns(2, C())
    assert shell.state.outcome == records.Crashed()
    assert shell.queue("h") == []


def test_an_exhausted_handler_leaves_the_failure_to_the_fan_in():
    of = plan(
        step("start", Start, returns_list=True, opens=("f",)),
        step("work", A, handler="h"),
        step("h", Broken),
        fan_in("f", Broken, gather=Gather()),
    )
    shell = Shell(of)
    shell.open(Start())
    shell.works("start", [A(1)])
    again(shell)
    shell.works("h", A(2))
    again(shell)
    (fired,) = [record for record in shell.latest if isinstance(record, records.Fired)]
    assert [type(event) for event in fired.events] == [Broken]
    assert "h" in shell.state.steps["f"].queue[0].line


def test_after_the_decision_no_handler_is_called():
    shell = failing(handled())
    shell.sends(A())
    other = shell.comes("work") or 0
    shell.raises(2, KeyboardInterrupt())
    shell.raises(other, ERROR)
    assert shell.queue("h") == []
    assert [failure.delivery for failure in shell.state.failures] == [
        DeliveryId(2),
        DeliveryId(other),
    ]
