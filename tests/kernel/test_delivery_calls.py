"""Durable calls of deliveries: what the shell cannot have meant."""

from __future__ import annotations

import pytest

from plait._errors import PlaitInternalError
from plait._ids import DeliveryId, RunId
from plait._kernel import delivery_calls
from plait._kernel.calls import records, stimuli
from plait._kernel.calls.keys import Key
from plait._kernel.plan import Kinds, Plan, StepPlan
from plait._kernel.state import RunState


class Event:
    """Whatever travels."""


KINDS = Kinds(
    event=Event,
    stop=Event,
    answer=Event,
    observable=lambda _: False,
    failed=Event,
    make_failed=lambda *_: Event(),
)


def nothing_runs() -> RunState:
    return RunState(Plan("w", (StepPlan("a", (Event,)),), KINDS), RunId("r"))


def test_a_key_that_is_of_no_delivery():
    key = Key((0,), "id", 0)
    with pytest.raises(PlaitInternalError, match="is no call of a delivery"):
        delivery_calls.delivery_of(key)


def test_a_stimulus_of_a_delivery_that_does_not_execute():
    with pytest.raises(PlaitInternalError, match="of delivery 7, which is not executing"):
        delivery_calls.hear(nothing_runs(), DeliveryId(7), stimuli.Began(0.0, 0))


def test_a_record_of_a_delivery_that_does_not_execute():
    cancelled = records.CallCancelled(0.0, Key((("a", 7),), "id", 0))
    with pytest.raises(PlaitInternalError, match="of delivery 7, which is not executing"):
        delivery_calls.fold(nothing_runs(), cancelled)
