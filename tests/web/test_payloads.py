"""What is shown of users' values: JSON, bounded, with what sounds secret left out."""

from __future__ import annotations

import json
import traceback

import attrs
import pytest

from plait import Event, StartEvent, StopEvent, Workflow, step
from plait._strands._flows.result import StepFailed, StepFailure
from plait._strands._flows.story import StepDone
from plait._web.payloads import outputs_of, payload, plain, said, story


class Login(Event):
    user: str
    password: str
    tokens_used: int = 7
    session: str = attrs.field(default="s3ss", repr=False)


class Unshowable:
    def __repr__(self):
        raise RuntimeError("no")


def test_fields_that_sound_secret_or_are_not_for_repr_are_hidden():
    assert plain(Login(user="ann", password="hunter2")) == {
        "user": "ann",
        "password": "***",
        "tokens_used": 7,
        "session": "***",
    }
    assert plain({"Api-Key": "k", "deep": [{"SECRET_thing": ["x"]}]}) == {
        "Api-Key": "***",
        "deep": [{"SECRET_thing": "***"}],
    }


def test_placeholders_of_secrets_are_shown_as_hidden():
    done = StepDone(
        outputs={"o": "a ${plait:secrets.k:plain} b", "${plait:secrets.k:plain}": ["x"]}
    )
    assert plain(done) == {"o": "a *** b", "***": ["x"]}
    assert outputs_of(done) == {"o": "a *** b", "***": ["x"]}


def test_outputs_are_whole_and_payloads_are_cut():
    done = StepDone(outputs={"o": "x" * 50_000})
    assert outputs_of(done)["o"] == "x" * 50_000
    assert len(payload(done)) < 5_000
    assert "more characters" in payload(done)


@pytest.mark.parametrize(
    "value", [{"n": [*range(10_000)]}, [[[[[[[[[[[1]]]]]]]]]]], {n: n for n in range(999)}]
)
def test_large_and_deep_values_are_bounded(value):
    assert len(payload(value)) < 5_000
    json.dumps(plain(value), allow_nan=False)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "nan"),
        (b"12", "<2 bytes>"),
        ({1}, [1]),
        (Unshowable(), "<Unshowable, whose repr raises RuntimeError>"),
        (ValueError("x"), "ValueError: x"),
        (None, None),
    ],
)
def test_anything_can_be_shown(value, shown):
    assert plain(value) == shown


def test_an_error_has_a_line_and_a_story():
    with pytest.raises(ValueError) as raised:
        int("no box")
    assert said(raised.value).startswith("ValueError: invalid literal")
    assert "test_payloads.py" in story(raised.value)
    failure = StepFailure(
        kind="exit", message="process exited with code 3", process={"stderr_tail": "why"}
    )
    assert said(StepFailed("a", failure)) == "process exited with code 3"
    assert "why" in story(StepFailed("a", failure))


async def test_the_story_of_a_failure_does_not_tell_the_input_with_its_secrets():
    class Entry(Workflow):
        @step
        async def begin(self, ev: StartEvent) -> Login:
            return Login(user="ann", password="hunter2")

        @step
        async def enter(self, ev: Login) -> StopEvent:
            try:
                int("no number")
            except ValueError as error:
                raise LookupError("no entry") from error

    with pytest.raises(LookupError) as raised:
        await Entry().run()
    assert "hunter2" in "".join(traceback.format_exception(raised.value)), (
        "in a terminal it is told"
    )
    told = story(raised.value)
    assert "hunter2" not in told
    for part in ("no number", "no entry", "in step 'enter'"):
        assert part in told
