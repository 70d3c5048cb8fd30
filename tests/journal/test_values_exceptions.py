"""The codec of users' values: exceptions are always written, and never built by their own code."""

import asyncio
import json
import sys
import types
from datetime import UTC, datetime

import attrs
import pytest
import trio

from plait import Event
from plait._journal.values import Values
from plait.errors import (
    ContextSerdeError,
    StepTimeoutError,
    UnreconstructedException,
    WorkflowStalledError,
    WorkflowValidationError,
)
from plait.events import StepFailedEvent, Waiting, WorkflowFailedEvent

VALUES = Values()


class Boom(Exception):  # noqa: N818 - as users name them, here and below
    def __init__(self, code, *, where="here"):
        assert not Boom.forbidden, "no __init__ is called"
        super().__init__(f"code {code}")
        self.code = code
        self.where = where

    forbidden = False


class Curious(Exception):  # noqa: N818
    """Its text is made of an attribute."""

    def __init__(self, code):
        super().__init__()
        self.code = code

    def __str__(self):
        return f"curious {self.code}"


class Picky(Exception):  # noqa: N818
    def __new__(cls, one, two):
        return super().__new__(cls, one)

    def __init__(self, one, two):
        super().__init__(one)


class Silent(Exception):  # noqa: N818
    def __str__(self):
        raise ZeroDivisionError


@attrs.define
class Slotted(Exception):  # noqa: N818
    code: int
    unset: int = attrs.field(init=False)


class Group(ExceptionGroup):
    def derive(self, excs):
        return Group(self.message, excs)


class PickyGroup(ExceptionGroup):
    def __new__(cls, excs):
        return super().__new__(cls, "picky", excs)


class Fatal(BaseException):
    pass


@attrs.frozen
class Unknown:
    pass


def through(error, values=VALUES):
    text = json.dumps(values.encode(error), sort_keys=True, allow_nan=False, ensure_ascii=False)
    return values.decode(json.loads(text.encode()))


def raised(error):
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        LookupError(),
        ValueError("a", 1, (2, b"x")),
        KeyError("k"),
        FileNotFoundError(2, "no such file", "a", None, "b"),
        OSError("odd"),
        ConnectionResetError(104, "reset"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        UnicodeEncodeError("ascii", "é", 0, 1, "bad"),
        SyntaxError("bad", ("f.py", 1, 2, "x y", 1, 3)),
        StopIteration(3),
        ImportError("no"),
        ModuleNotFoundError("no"),
        TimeoutError("late"),
        ExceptionGroup("g", [ValueError(1), ExceptionGroup("h", [KeyError("k")])]),
        Group("g", [ValueError(1)]),
        trio.TooSlowError(),
        asyncio.QueueEmpty("x"),
        StepTimeoutError("Step 's' timed out after 0.1 seconds."),
        UnreconstructedException("app.Boom: x"),
        ContextSerdeError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_of_a_loaded_class_comes_back(error):
    again = through(raised(error))
    assert type(again) is type(error)
    assert (str(again), repr(again)) == (str(error), repr(error))
    assert again.args == error.args or isinstance(error, ExceptionGroup)
    assert again.__traceback__ is None
    for name in ("filename", "filename2", "errno", "object", "lineno", "value"):
        assert getattr(again, name, None) == getattr(error, name, None)


def test_attributes_come_back_and_no_init_is_called(monkeypatch):
    boom = Boom(7, where=("a", "b"))
    monkeypatch.setattr(Boom, "forbidden", True)
    again = through(boom)
    assert (type(again), str(again)) == (Boom, "code 7")
    assert (again.code, again.where) == (7, ("a", "b"))
    assert through(Curious(3)).code == 3
    slotted = through(Slotted(5))
    assert (slotted.code, hasattr(slotted, "unset")) == (5, False)


def test_a_stall_keeps_who_waits():
    error = WorkflowStalledError("s", [Waiting("s", "collect", {"A": 1}, {"A": 2})])
    assert through(error).waiting == error.waiting
    faults = WorkflowValidationError("one", "two").faults
    assert through(WorkflowValidationError("one", "two")).faults == faults


def test_notes_causes_and_groups_are_kept():
    inner = ValueError("inner")
    inner.add_note("in step 's'")
    error = Boom(1)
    error.__cause__ = inner
    error.add_note("é")
    group = through(ExceptionGroup("g", [error, raised(KeyError("k"))]))
    again = group.exceptions[0]
    assert again.__notes__ == ["é"]
    assert again.__suppress_context__
    assert repr(again.__cause__) == "ValueError('inner')"
    assert again.__cause__.__notes__ == ["in step 's'"]
    matched, rest = group.split(Boom)
    assert (len(matched.exceptions), len(rest.exceptions)) == (1, 1)


def test_raise_from_none_is_kept():
    error = KeyError()
    error.__suppress_context__ = True
    again = through(error)
    assert (again.__cause__, again.__suppress_context__) == (None, True)
    assert not through(KeyError()).__suppress_context__


# ---------------------------------------------------------------- what cannot be built again


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Picky("a", "b"), f"{__name__}.Picky: a"),
        (Silent("a"), f"{__name__}.Silent: Silent('a')"),
        (Fatal("f"), f"{__name__}.Fatal: f"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (SystemExit(3), "SystemExit: 3"),
        (asyncio.CancelledError(), "asyncio.exceptions.CancelledError"),
        (ValueError(Unknown()), "ValueError: Unknown()"),
        (ValueError(lambda: 1), "ValueError: <function"),
        (ValueError("\ud800"), "ValueError: \\ud800"),
    ],
)
def test_what_cannot_be_built_has_a_stand_in_with_name_and_message(error, text):
    again = through(error)
    assert type(again) is UnreconstructedException
    assert str(again).startswith(text)
    assert through(again).args == again.args


def test_a_class_that_is_gone_or_not_loaded_is_not_imported():
    for name in ("app.gone.Boom", "ftplib.Error", "antigravity.Boom", "os.system", "Boom", ""):
        before = set(sys.modules)
        again = VALUES.decode({"$": ["error", name, "x", ["x"]]})
        assert (type(again), str(again)) == (UnreconstructedException, f"{name}: x")
        assert set(sys.modules) == before


def test_no_hook_of_a_module_or_class_is_asked(monkeypatch):
    module = types.ModuleType("hooked")

    def hook(name):
        raise AssertionError("this may import anything")

    class Meta(type):
        def __getattr__(cls, name):
            raise AssertionError("this too")

    module.__getattr__ = hook
    module.Thing = Meta("Thing", (), {})
    module.text = "a"
    monkeypatch.setitem(sys.modules, "hooked", module)
    monkeypatch.setitem(sys.modules, "hooked.none", None)
    for name in ("hooked.Boom", "hooked.Thing.Boom", "hooked.text.Boom", "hooked.none.Boom"):
        error = VALUES.decode({"$": ["error", name, "x", ["x"]]})
        assert type(error) is UnreconstructedException


def test_a_text_that_is_another_counts_as_not_built():
    assert type(VALUES.decode({"$": ["error", "builtins.ValueError", "x", ["y"]]})) is (
        UnreconstructedException
    )


def test_a_group_that_cannot_be_built_keeps_its_members():
    group = through(PickyGroup([ValueError(1), Picky("a", "b")]))
    assert type(group) is ExceptionGroup
    assert group.message == f"{__name__}.PickyGroup: picky (2 sub-exceptions)"
    assert repr(group.exceptions[0]) == "ValueError(1)"
    assert type(group.exceptions[1]) is UnreconstructedException
    mixed = through(BaseExceptionGroup("b", [KeyboardInterrupt(), ValueError(2)]))
    assert type(mixed) is ExceptionGroup
    assert [type(e) for e in mixed.exceptions] == [UnreconstructedException, ValueError]


def test_attributes_that_cannot_be_written_are_left_out():
    error = ValueError("x")
    error.request, error.code = object(), 3
    again = through(error)
    assert (again.code, hasattr(again, "request")) == (3, False)


def test_attributes_get_past_no_property_and_no_slot():
    """They go into the `__dict__`, whatever their names are."""
    more = {"attributes": {"__class__": 1, "args": 2, "__cause__": 3, "__traceback__": 4}}
    error = VALUES.decode({"$": ["error", "builtins.ValueError", "x", ["x"], more]})
    assert type(error) is ValueError
    assert (error.args, error.__cause__, error.__traceback__) == (("x",), None, None)


def test_however_long_a_chain_is_it_is_written():
    error = None
    for n in range(300):
        later = ValueError(n)
        later.__cause__ = error
        error = later
    again = through(error)
    for n in range(299, 250, -1):
        assert again.args == (n,)
        again = again.__cause__
    loop = ValueError("loop")
    loop.__cause__ = loop
    assert str(through(loop)) == "loop"
    assert str(through(ExceptionGroup("g", [error]))) == "g (1 sub-exception)"


def test_events_with_exceptions_come_back():
    failed = WorkflowFailedEvent(step_name="s", exception=Boom(3), attempts=2, elapsed_seconds=0.5)
    again = through(failed)
    assert (again.exception.code, again.attempts) == (3, 2)
    stamp = datetime.now(UTC)
    event = StepFailedEvent(
        step_name="s",
        input_event=Event(x=1),
        exception=KeyError("k"),
        attempts=1,
        elapsed_seconds=0.0,
        failed_at=stamp,
    )
    again = through(event)
    assert (again.input_event, repr(again.exception), again.failed_at) == (
        Event(x=1),
        "KeyError('k')",
        stamp,
    )


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (["builtins.ValueError"], "no error: TypeError"),
        ([1, "x", []], "not a text: 1"),
        (["builtins.ValueError", 1, []], "not a text: 1"),
        (["builtins.ValueError", "x", {}], "not a list: {}"),
        (["builtins.ValueError", "x", [], 1], "not a mapping of names: 1"),
        (["builtins.ValueError", "x", [], {"code": 1}], "an exception has no 'code'"),
        (["builtins.ValueError", "x", [], {"notes": [1]}], "not a text: 1"),
        (["builtins.ValueError", "x", [], {"notes": "x"}], "not a list: 'x'"),
        (["builtins.ValueError", "x", [], {"cause": 1}], "not an exception: 1"),
        (["builtins.ValueError", "x", [], {"members": [1]}], "not an exception: 1"),
        (["builtins.ValueError", "x", [], {"attributes": []}], "not a mapping of names"),
        (["builtins.ValueError", "x", [{"$": ["x"]}]], "an unknown tag"),
        (["builtins.ValueError", "x", [], {}, 1], "no error: TypeError"),
    ],
)
def test_an_exception_that_plait_does_not_write_is_refused(parts, text):
    with pytest.raises(ContextSerdeError) as caught:
        VALUES.decode({"$": ["error", *parts]})
    assert text in str(caught.value)
