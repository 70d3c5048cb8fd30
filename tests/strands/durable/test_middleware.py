"""Middleware is nested: the first is outermost."""

import functools

import pytest

from plait._strands._durable.event import Event
from plait._strands._durable.middleware import (
    Middleware,
    around_run,
    around_step,
    before_send,
    seal,
    unseal,
)
from plait.errors import ContextSerdeError

LOG = []


@pytest.fixture(autouse=True)
def log():
    LOG.clear()
    return LOG


class Named(Middleware):
    def __init__(self, name):
        self.name = name

    async def around_run(self, ctx, call_next):
        LOG.append(f"{self.name} before {ctx}")
        try:
            return f"{self.name}({await call_next()})"
        finally:
            LOG.append(f"{self.name} after")

    around_step = around_run

    def before_send(self, events):
        return [*events, Event(name=self.name)]

    def encode(self, data):
        return self.name.encode() + data

    def decode(self, data):
        assert data.startswith(self.name.encode())
        return data[len(self.name) :]


async def body():
    LOG.append("body")
    return "value"


@pytest.mark.parametrize("around", [around_run, around_step])
async def test_the_first_is_outermost(around):
    assert await around([Named("M1"), Named("M2")], "ctx", body) == "M1(M2(value))"
    assert LOG == ["M1 before ctx", "M2 before ctx", "body", "M2 after", "M1 after"]


@pytest.mark.parametrize("around", [around_run, around_step])
async def test_by_default_all_passes_through(around):
    assert await around([Middleware(), Middleware()], None, body) == "value"
    assert await around([], None, body) == "value"


@pytest.mark.parametrize("around", [around_run, around_step])
async def test_a_failure_passes_through(around):
    async def fails():
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await around([Named("M1"), Middleware()], "ctx", fails)
    assert LOG == ["M1 before ctx", "M1 after"]


def test_events_pass_the_first_one_first():
    events = before_send([Named("M1"), Middleware(), Named("M2")], [Event(name="a")])
    assert [event.name for event in events] == ["a", "M1", "M2"]


@pytest.mark.parametrize("given", [None, "a", [1], (Event(name="a"),)])
def test_what_gives_no_list_of_events_is_named(given):
    class Odd(Middleware):
        def before_send(self, events):
            return given

    with pytest.raises(TypeError, match=r"Odd.before_send\(\) must give a list of Events"):
        before_send([Odd()], [])


# ---------------------------------------------------------------- values

VALUES = [None, 7, "ä", [1, {"a": None}], {"$": ["tuple", [1]]}]


@pytest.mark.parametrize("data", VALUES, ids=repr)
def test_values_come_back_in_reverse_order(data):
    stack = [Named("M1"), Middleware(), Named("M2")]
    sealed = seal(stack, data)
    assert sealed != data
    assert unseal(stack, sealed) == data
    with pytest.raises(AssertionError):
        unseal([*reversed(stack)], sealed)


@pytest.mark.parametrize("data", VALUES, ids=repr)
def test_without_an_encode_values_stay_as_they_are(data):
    class Sends(Middleware):
        def before_send(self, events):
            return events

    assert seal([Sends()], data) is data
    assert unseal([Sends()], data) is data


def test_what_was_recorded_before_there_was_middleware_is_read():
    assert unseal([Named("M1")], {"a": 1}) == {"a": 1}


def test_what_nobody_can_open_is_told():
    sealed = seal([Named("M1")], [1])
    with pytest.raises(ContextSerdeError, match="there is none to decode it"):
        unseal([Middleware()], sealed)


def test_what_comes_out_must_be_json():
    class Wrong(Middleware):
        def decode(self, data):
            return b"\xff"

    with pytest.raises(ContextSerdeError, match="Decoding gave no value"):
        unseal([Wrong()], seal([Named("M1")], [1]))


@pytest.mark.parametrize("method", ["encode", "decode"])
def test_what_gives_no_bytes_is_named(method):
    wrong = type("Wrong", (Middleware,), {method: lambda self, data: "text"})()
    work = (
        functools.partial(seal, [wrong], [1])
        if method == "encode"
        else (functools.partial(unseal, [wrong], seal([Named("M1")], [1])))
    )
    with pytest.raises(TypeError, match=rf"Wrong.{method}\(\) must give bytes, not 'text'"):
        work()
