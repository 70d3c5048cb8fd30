"""Functions with their options become the plan that the kernel has of an app."""

from __future__ import annotations

import re
from datetime import timedelta

import attrs
import hypothesis
import pytest
from hypothesis import strategies as st

import plait
from plait._kernel.admission import effects, plan, records, stimuli
from plait._kernel.admission.advance import advance
from plait._kernel.admission.records import EventReceived
from plait._kernel.admission.state import AppState
from plait._strands._durable import options
from plait._strands._durable.arrivals import Events
from plait._strands._durable.compile import on_failure_id, plan_of, run_name
from plait._strands._durable.context import Context
from plait._strands._durable.event import Event
from plait._strands._durable.triggers import TriggerCron, TriggerEvent
from plait.errors import ConfigError
from tests.strands.durable.declaring import function


class Paid(plait.Event, name="shop/paid"):
    order: int


async def takes_paid(ctx: Context[Paid]) -> None:
    """Take a typed event."""


def compiled(*functions, app_id="shop"):
    events = Events.of(functions)
    return plan_of(functions, events, app_id=app_id), events


def only(**given):
    made, events = compiled(function(**given))
    return made.functions["shop-fn"], events


def event(events, data, *, number=1, name="order"):
    return EventReceived(1.0, number, f"id{number}", name, events.write(data), 1000)


def test_a_function_without_options():
    made, _ = only()
    assert made == plan.FunctionPlan("shop-fn", (plan.Trigger("order"),))


def by_user(e):
    return str(e.data["user"])


EVERYTHING = {
    "idempotency": by_user,
    "rate_limit": options.RateLimit(3, timedelta(minutes=1), key=by_user),
    "debounce": options.Debounce(timedelta(seconds=2), key=by_user, timeout=timedelta(minutes=2)),
    "singleton": options.Singleton("cancel", key=by_user),
    "priority": options.Priority(lambda e: e.data["user"] * 10),
    "throttle": options.Throttle(5, timedelta(hours=1), key=by_user, burst=2),
    "concurrency": [4, options.Concurrency(2, key=by_user, scope="app", of="runs")],
    "cancel": [options.Cancel("stop", timeout=timedelta(days=1)), options.Cancel(Paid)],
    "timeouts": options.Timeouts(start=timedelta(minutes=5), finish=30),
}


def test_every_option_arrives_with_seconds():
    made, events = only(**EVERYTHING)
    seven = event(events, {"user": 7})
    keys = [made.rate_limit, made.debounce, made.singleton, made.throttle, made.concurrency[1]]
    assert [made.idempotency(seven), *(knob.key(seven) for knob in keys)] == ["7"] * 6
    assert made.priority(seven) == 70
    plain = attrs.evolve
    assert plain(made.rate_limit, key=None) == plan.RateLimit(3, 60.0)
    assert plain(made.debounce, key=None) == plan.Debounce(2.0, None, 120.0)
    assert plain(made.singleton, key=None) == plan.Singleton("cancel")
    assert plain(made.throttle, key=None) == plan.Throttle(5, 3600.0, None, 2)
    assert made.concurrency[0] == plan.Concurrency(4)
    assert plain(made.concurrency[1], key=None) == plan.Concurrency(2, None, "app", "runs")
    assert made.cancels == (plan.Cancel("stop", None, 86400.0), plan.Cancel("shop/paid"))
    assert made.timeouts == plan.Timeouts(300.0, 30)


def test_a_batch():
    batch = options.Batch(8, timedelta(seconds=5), key=by_user, if_exp=lambda e: e.data["user"] < 5)
    made, events = only(batch_events=batch)
    one, nine = event(events, {"user": 1}), event(events, {"user": 9})
    assert attrs.evolve(made.batch, key=None, if_exp=None) == plan.Batch(8, 5.0)
    assert (made.batch.key(one), made.batch.if_exp(one), made.batch.if_exp(nine)) == (
        "1",
        True,
        False,
    )


def test_callables_see_events_and_typed_data():
    seen = []
    on = TriggerEvent(Paid, expression=lambda e: seen.append(e) or e.data.order > 1)
    made, events = only(on=[on], handler=takes_paid)
    [trigger] = made.triggers
    assert trigger.event == "shop/paid"
    assert trigger.expression(event(events, Paid(order=2), name="shop/paid"))
    assert not trigger.expression(event(events, Paid(order=1), name="shop/paid", number=2))
    assert seen[0] == Event(name="shop/paid", data=Paid(order=2), id="id1", ts=1000)


def test_a_cancel_sees_what_started_the_run_and_what_has_come():
    means = options.Cancel("stop", if_exp=lambda trigger, e: trigger.data["id"] == e.data["id"])
    made, events = only(cancel=means)
    [cancel] = made.cancels
    started = event(events, {"id": 1})
    assert cancel.if_exp(started, event(events, {"id": 1}, name="stop", number=2))
    assert not cancel.if_exp(started, event(events, {"id": 2}, name="stop", number=3))


def test_an_event_is_read_once_for_all_who_are_asked_about_it():
    read = []

    class Counting(Events):
        def event_of(self, received):
            read.append(received.number)
            return super().event_of(received)

    functions = [function(str(n), idempotency=lambda e: e.id) for n in range(20)]
    made, events = plan_of(functions, Counting()), Events()
    received = [event(events, {}, number=n) for n in range(1, 21)]
    for one in received:
        for each in made.functions.values():
            assert each.idempotency(one) == one.id
    assert read == [*range(1, 21)]


def test_what_a_callable_raises_skips_the_function_and_reaches_the_sender():
    made, events = compiled(function(idempotency=lambda e: e.data["none"]), function("other"))
    state = AppState(made)
    arrival = stimuli.Arrival("e1", "order", events.write({}), 0)
    written, todo = advance(state, stimuli.EventsReceived(1.0, (arrival,)))
    [skipped] = [one for one in written if isinstance(one, records.EventSkipped)]
    assert (skipped.fn_id, skipped.knob) == ("shop-fn", "idempotency")
    [report] = [one for one in todo if isinstance(one, effects.Report)]
    assert isinstance(report.error, KeyError)
    assert [run.fn_id for run in state.runs.values()] == ["shop-other"]


# ---------------------------------------------------------------- triggers


def test_several_triggers_and_those_that_no_event_is():
    pytest.importorskip("cronsim")
    on = [TriggerEvent("a"), TriggerEvent("b"), TriggerCron("0 * * * *")]
    made, _ = only(on=on)
    assert [trigger.event for trigger in made.triggers] == ["a", "b"]


def test_events_about_functions_are_triggers_as_any_other():
    made, _ = compiled(function(on="plait/function.failed"))
    assert list(made.triggered) == ["plait/function.failed"]


# ---------------------------------------------------------------- on_failure


async def on_failure(ctx):
    """Clean up."""


def test_on_failure_is_a_function_that_nothing_triggers():
    made, _ = compiled(function(on_failure=on_failure, **EVERYTHING), function("other"))
    assert list(made.functions) == ["shop-fn", "shop-fn/on_failure", "shop-other"]
    assert made.functions[on_failure_id("shop-fn")] == plan.FunctionPlan("shop-fn/on_failure")


def test_nobody_else_may_have_the_name_of_an_on_failure():
    both = [function(on_failure=on_failure), function("fn/on_failure")]
    with pytest.raises(ConfigError, match="two functions have the id 'shop-fn/on_failure'"):
        compiled(*both)


# ---------------------------------------------------------------- names of runs

RUN_ID = re.compile("[A-Za-z0-9_-]{1,64}")


@hypothesis.given(st.text(), st.text(), st.integers(1, 2**63))
def test_a_run_has_a_name_that_may_be_one(app_id, fn_id, number):
    name = run_name(app_id, fn_id, number)
    assert RUN_ID.fullmatch(name)
    assert name == run_name(app_id, fn_id, number)


WHO = st.tuples(st.text(max_size=3), st.text(max_size=3), st.integers(1, 30))


@hypothesis.given(st.lists(WHO, unique=True, min_size=2))
def test_no_two_runs_have_one_name(who):
    assert len({run_name(*one) for one in who}) == len(who)


def test_the_names_of_runs_can_be_read():
    made, events = compiled(function("send mail"))
    name = made.name_run("shop-send mail", event(events, {}, number=17))
    assert re.fullmatch("shop-send-mail-17-[0-9a-f]{16}", name)
    assert run_name("a", "b-c", 1) != run_name("a-b", "c", 1)
    assert run_name("a-", "b", 1) != run_name("a", "-b", 1)
    assert len(run_name("shop", "x" * 200, 17)) == 64
