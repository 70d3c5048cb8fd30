"""The errors of durable functions: their attributes and their texts."""

from datetime import UTC, datetime, timedelta

import pytest

import plait.errors
from plait.errors import (
    ConfigError,
    Fault,
    InvokeTimeoutError,
    NestedStepError,
    NobodyAccepts,
    NonRetriableError,
    NonRetriableStepError,
    PlaitError,
    RecordedError,
    RetryAfterError,
    RunCancelledError,
    RunSkippedError,
    StepError,
    StepOutputError,
)


def test_a_step_error_says_which_call_failed_and_how():
    error = StepError("charge", "k", 1, "CardError", "no money", "Traceback…")
    assert vars(error) == {
        "step_id": "charge",
        "key": "k",
        "attempts": 1,
        "name": "CardError",
        "message": "no money",
        "stack": "Traceback…",
    }
    assert str(error) == "Step 'charge' failed: CardError: no money"
    assert str(StepError("", "k", 2, "E", "", "")) == "Step '' failed after 2 attempts: E"


def test_their_family():
    for kind in (InvokeTimeoutError, NonRetriableStepError):
        assert issubclass(kind, StepError)
    assert not issubclass(InvokeTimeoutError, NonRetriableError)
    assert issubclass(NonRetriableStepError, NonRetriableError)
    for kind in (NestedStepError, StepOutputError):
        assert issubclass(kind, NonRetriableStepError)
    for name in [
        "DeterminismError",
        "RunLockedError",
        "RunConflictError",
        "RunCancelledError",
        "RunSkippedError",
        "UnknownRunError",
        "NobodyAccepts",
        "ConfigError",
        "JournalError",
        "RecordedError",
        "RetryAfterError",
    ]:
        assert issubclass(getattr(plait.errors, name), PlaitError)
    assert StepError.__module__ == NobodyAccepts.__module__ == "plait.errors"


@pytest.mark.parametrize(
    ("after", "delay"),
    [
        (1, 1.0),
        (0.5, 0.5),
        (0, 0.0),
        (-3, 0.0),
        (timedelta(minutes=1), 60.0),
        (datetime.fromtimestamp(1007.5, UTC), 7.5),
        (datetime.fromtimestamp(900, UTC), 0.0),
    ],
)
def test_a_delay_is_said_in_seconds_as_a_span_or_as_a_moment(after, delay):
    error = RetryAfterError("later", after)
    assert error.delay(1000.0) == delay
    assert str(error) == "later"


@pytest.mark.parametrize(
    ("after", "kind", "text"),
    [
        ("1m", TypeError, "not '1m'"),
        (True, TypeError, "not True"),
        (None, TypeError, "not None"),
        (float("nan"), ValueError, "finite"),
        (float("inf"), ValueError, "finite"),
        (datetime(2026, 1, 1), ValueError, "a moment that has a time zone"),  # noqa: DTZ001
    ],
)
def test_another_delay_is_refused(after, kind, text):
    with pytest.raises(kind, match=text):
        RetryAfterError("later", after)


def test_a_config_error_tells_every_fault():
    one = ConfigError("limit must be at least 1")
    assert str(one) == "limit must be at least 1"
    two = ConfigError("a", Fault("b", "shop.py", 7, hint="write c"), function="charge")
    assert str(two) == (
        "2 mistakes in function 'charge':\n  - a\n  - b\n  write c\n    at shop.py:7"
    )
    assert [fault.text for fault in two.faults] == ["a", "b"]
    assert str(ConfigError("a", function="charge")) == "A mistake in function 'charge': a"


def test_the_others_say_what_they_are_about():
    cancelled = RunCancelledError("r1", "too old")
    assert (cancelled.run_id, cancelled.reason) == ("r1", "too old")
    assert str(cancelled) == "Run r1 was cancelled: too old"
    assert str(RunCancelledError("r1")) == "Run r1 was cancelled"
    skipped = RunSkippedError("singleton", "7")
    assert (skipped.knob, skipped.key) == ("singleton", "7")
    assert str(skipped) == "The run was dropped by singleton for key '7'"
    assert str(RunSkippedError("rate_limit")) == "The run was dropped by rate_limit"
    assert str(RecordedError("E", "")) == "E"
