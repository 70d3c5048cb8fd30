"""Failures: what is recorded of an exception, and which error a call raises, live and recovered."""

import sys
import types

import attrs
import pytest

from plait._journal import failures
from plait._journal.codec import from_bytes, to_bytes
from plait._journal.failures import LONGEST, Failure, nested, refused, timed_out
from plait.errors import (
    ContextSerdeError,
    InvokeTimeoutError,
    NestedStepError,
    NonRetriableError,
    NonRetriableStepError,
    RecordedError,
    RetryAfterError,
    StepError,
    StepOutputError,
)


class CardError(Exception):
    def __init__(self, code, *, bank="b"):
        super().__init__(code, bank)
        INITS.append(code)

    def __str__(self):
        return f"code {self.args[0]}"


INITS = []


def raised(error, cause=None):
    """The error as it is caught, with a traceback."""
    try:
        raise error from cause  # noqa: TRY301
    except Exception as caught:  # noqa: BLE001
        return caught


def recovered(failure):
    """What a process makes of it that has only the bytes."""
    return Failure.read(from_bytes(to_bytes(failure.write())))


def test_name_message_and_stack_are_taken_down():
    failure = Failure.of(raised(CardError(7)))
    assert (failure.name, failure.message, failure.how) == ("CardError", "code 7", "failed")
    assert failure.stack.startswith("Traceback")
    assert "in raised" in failure.stack


def test_they_are_the_same_after_recovery():
    failure = Failure.of(raised(CardError(7)))
    assert recovered(failure) == failure


def test_the_cause_is_the_very_exception_while_the_process_lives():
    error = raised(CardError(7))
    made = Failure.of(error).step_error("charge", '[[],"charge",0]', 3, live=error)
    assert type(made) is StepError
    assert made.__cause__ is error
    assert (made.step_id, made.key, made.attempts) == ("charge", '[[],"charge",0]', 3)
    assert (made.name, made.message) == ("CardError", "code 7")
    assert str(made) == "Step 'charge' failed after 3 attempts: CardError: code 7"


def test_after_recovery_it_is_built_again_without_its_init():
    failure = recovered(Failure.of(raised(CardError(7))))
    INITS.clear()
    made = failure.step_error("charge", "k", 1)
    assert type(made.__cause__) is CardError
    assert str(made.__cause__) == "code 7"
    assert INITS == []
    assert str(made) == "Step 'charge' failed: CardError: code 7"


def test_live_and_recovered_errors_say_the_same():
    error = raised(CardError(7))
    failure = Failure.of(error)
    live = failure.step_error("charge", "k", 2, live=error)
    again = recovered(failure).step_error("charge", "k", 2)
    assert vars(live) == vars(again)
    assert str(live) == str(again)


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), KeyError("k"), OSError(2, "No such file", "a.txt"), RetryAfterError("r", 3)],
    ids=repr,
)
def test_pythons_own_and_plaits_come_back(error):
    again = recovered(Failure.of(raised(error))).rebuilt()
    assert type(again) is type(error)
    assert (str(again), again.args) == (str(error), error.args)


def test_notes_and_causes_come_back():
    error = raised(ValueError("x"), cause=KeyError("k"))
    error.add_note("a note")
    again = recovered(Failure.of(error)).rebuilt()
    assert again.__notes__ == ["a note"]
    assert repr(again.__cause__) == "KeyError('k')"


@pytest.fixture
def gone():
    """An exception of a module that is loaded no more."""
    module = types.ModuleType("gone_module")
    sys.modules["gone_module"] = module
    exec("class GoneError(Exception): pass", vars(module))
    failure = Failure.of(raised(module.GoneError("bye"), cause=module.GoneError("why")))
    del sys.modules["gone_module"]
    return failure


def test_a_class_that_is_not_loaded_is_stood_in_for(gone):
    again = recovered(gone).rebuilt()
    assert type(again) is RecordedError
    assert (again.name, again.message, str(again)) == ("GoneError", "bye", "GoneError: bye")
    assert type(again.__cause__) is RecordedError


def test_a_class_that_makes_another_text_is_stood_in_for():
    class Local(Exception):  # noqa: N818
        pass

    again = recovered(Failure.of(raised(Local("x")))).rebuilt()
    assert type(again) is RecordedError
    assert str(again) == "Local: x"


def test_a_group_comes_back_and_one_of_an_unknown_class_is_stood_in_for():
    class Local(ExceptionGroup):
        pass

    again = recovered(Failure.of(raised(ExceptionGroup("g", [CardError(7)])))).rebuilt()
    assert type(again) is ExceptionGroup
    assert str(again.exceptions[0]) == "code 7"
    again = recovered(Failure.of(raised(Local("g", [CardError(7)])))).rebuilt()
    assert (type(again), again.name) == (RecordedError, "Local")


@attrs.frozen
class Unknown:
    n: int


def test_arguments_that_cannot_be_written_leave_name_and_message():
    failure = recovered(Failure.of(raised(CardError(Unknown(7)))))
    assert failure.message == "code Unknown(n=7)"
    assert type(failure.rebuilt()) is RecordedError


class HostileError(Exception):
    def __str__(self):
        raise OSError("no text")


def test_taking_down_never_fails():
    deep = ValueError("deepest")
    for _ in range(500):
        deep = raised(ValueError("x"), cause=deep)
    for error in (HostileError(), deep, ValueError("\ud800"), ValueError("x" * 10_000_000)):
        failure = Failure.of(error if error.__traceback__ else raised(error))
        assert recovered(failure) == failure
        assert recovered(failure).step_error("a", "k", 1).__cause__ is not None


def test_a_long_message_is_cut_live_and_recovered_alike():
    error = raised(ValueError("x" * 10_000_000))
    failure = Failure.of(error)
    assert len(failure.message) == LONGEST
    assert failure.message.endswith("x…")
    live = failure.step_error("a", "k", 1, live=error)
    assert live.message == recovered(failure).step_error("a", "k", 1).message
    assert len(to_bytes(failure.write())) < 4 * LONGEST


def test_what_is_cut_anyhow_is_not_written_first(monkeypatch):
    """It is written a dozen times, at each record: of a message of megabytes that took seconds."""
    written = []
    encode = failures._values.encode

    def note(error):
        written.append(type(error))
        return encode(error)

    monkeypatch.setattr(failures, "_values", types.SimpleNamespace(encode=note))
    failure = Failure.of(raised(ValueError("x" * 2_000_000)))
    assert written == []
    assert failure.message.endswith("x…")
    Failure.of(raised(ValueError("x")))
    assert written == [ValueError]


def test_what_carries_too_much_leaves_name_and_message():
    error = ValueError("x")
    error.carried = b"x" * 2_000_000
    failure = Failure.of(raised(error))
    assert len(to_bytes(failure.write())) < LONGEST
    assert type(failure.rebuilt()) is RecordedError


# ---------------------------------------------------------------- which class


class NeverError(NonRetriableError):
    pass


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (Failure.of(ValueError("x")), StepError),
        (Failure.of(NonRetriableError("x")), NonRetriableStepError),
        (Failure.of(NeverError("x")), NonRetriableStepError),
        (nested("x"), NestedStepError),
        (refused("x"), StepOutputError),
        (timed_out("x"), InvokeTimeoutError),
    ],
    ids=lambda value: getattr(value, "__name__", None) or value.name,
)
def test_the_error_of_a_call_has_the_class_that_says_how(failure, kind):
    error = recovered(failure).step_error("a", "k", 1)
    assert type(error) is kind
    assert error.message == "x"
    assert isinstance(error, NonRetriableError) == issubclass(kind, NonRetriableStepError)


def test_what_no_exception_caused_has_no_cause():
    error = recovered(refused("annotate")).step_error("a", "k", 1)
    assert error.__cause__ is None
    assert str(error) == "Step 'a' failed: StepOutputError: annotate"


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"name": 1, "message": "", "stack": "", "how": "failed", "exception": None},
        {"name": "", "message": "", "stack": "", "how": "odd", "exception": None},
        {"name": "", "message": "", "stack": "", "how": "failed"},
        {"name": "", "message": "", "stack": "", "how": "failed", "exception": None, "more": 1},
    ],
)
def test_another_thing_is_no_failure(data):
    with pytest.raises(ContextSerdeError):
        Failure.read(data)


def test_a_value_is_no_exception():
    with pytest.raises(ContextSerdeError):
        Failure("a", "b", "", "failed", {"a": 1}).rebuilt()
