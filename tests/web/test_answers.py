"""Answering people's questions on the page: what is asked, which form there is, and what is let through."""

from __future__ import annotations

import enum
import json
from datetime import datetime
from typing import Any, Literal

import anyio
import attrs
import pytest

import plait.web
from plait import (
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from plait._web.forms import Unfit, form_of, made
from tests.web.conftest import TOKEN, Braid, ask


class Size(enum.Enum):
    SMALL = 1
    LARGE = 2


class Decision(Event):
    approved: bool
    amount: int
    user: str
    ratio: float = 0.5
    colour: Literal["red", "green"] = "red"
    size: Size | None = None
    note: str | None = None
    tags: list[str] = attrs.field(factory=list)
    api_token: str = "hush-hush"


class Ask(InputRequiredEvent):
    question: str
    order: int


class Deciding(Workflow):
    """Waits in its body for a typed answer of one user."""

    @step
    async def decide(self, ctx: Context, ev: StartEvent) -> StopEvent:
        answer = await ctx.wait_for_event(
            Decision,
            waiter_event=Ask(question="Pay <b>it</b>?", order=7),
            requirements={"user": "ann"},
        )
        return StopEvent(result=answer)


class Talking(Workflow):
    """Asks with one step, takes the answer with another."""

    @step
    async def begin(self, ev: StartEvent) -> InputRequiredEvent:
        return InputRequiredEvent(prefix="Who are you?")

    @step
    async def greet(self, ev: HumanResponseEvent) -> StopEvent:
        return StopEvent(result=ev.response)


async def questions(page, run=""):
    [whole] = (await ask(page, f"/api/changes?run={run}")).json["messages"]
    return whole["data"]["questions"]


async def answer(page, run, question, fields, kind=None):
    body = {
        "run": str(run.run_id),
        "question": question["id"],
        "kind": question["forms"][0]["kind"] if kind is None else kind,
        "fields": fields,
    }
    return await ask(page, "/api/answer", "POST", body=body)


# ---------------------------------------------------------------- from question to answer


@pytest.mark.anyio
async def test_a_body_that_waits_is_answered(page):
    async with page.watch(Deciding().run()) as run:
        await run.wait_idle()
        [question] = await questions(page)
        assert (question["step"], question["says"]) == ("decide", "Pay <b>it</b>?")
        assert (question["event"], json.loads(question["payload"])) == ("Ask", {"order": 7})
        assert question["fixed"] == {"user": '"ann"'}
        [form] = question["forms"]
        assert form["label"] == "Decision"
        assert "free" not in form
        assert {one["name"]: one["asks"] for one in form["fields"]} == {
            "approved": "check",
            "amount": "integer",
            "ratio": "number",
            "colour": "choice",
            "size": "choice",
            "note": "text",
            "tags": "json",
            "api_token": "text",
        }
        told = await answer(page, run, question, {"approved": True, "amount": 3})
        assert (told.status, told.json) == (202, {})
        result = await run.result()
    assert result == Decision(approved=True, amount=3, user="ann")
    assert await questions(page) == []
    assert "hush-hush" not in (await ask(page, "/api/changes")).text


@pytest.mark.anyio
async def test_a_step_that_takes_answers_is_answered(page):
    async with page.watch(Talking().run()) as run:
        await run.wait_idle()
        [question] = await questions(page)
        assert (question["step"], question["says"]) == ("greet", "Who are you?")
        [form] = question["forms"]
        assert (form["fields"], form["free"]) == ([], '{"response": ""}')
        told = await answer(page, run, question, {"response": "Ann"})
        assert told.status == 202
        assert await run.result() == "Ann"


@pytest.mark.anyio
async def test_windows_are_told_that_a_question_has_come_and_gone(page):
    async with page.watch(Deciding().run()) as run:
        first = (await ask(page, "/api/changes")).json["messages"][-1]
        await run.wait_idle()
        changes = (await ask(page, f"/api/changes?after={first['id']}")).json["messages"]
        found = [one["data"]["questions"] for one in changes if "questions" in one["data"]]
        assert [len(one) for one in found] == [1]
        again = (await ask(page, f"/api/changes?after={changes[-1]['id']}")).json["messages"]
        assert again == [], "and it is told once"
        await answer(page, run, found[0][0], {"approved": False, "amount": 0})
        await run.result()
        later = (await ask(page, f"/api/changes?after={changes[-1]['id']}")).json["messages"]
        assert [one["data"]["questions"] for one in later if "questions" in one["data"]] == [[]]


async def test_of_two_that_want_the_same_the_older_is_answered_first(page):
    class Two(Workflow):
        @step
        async def begin(self, ev: StartEvent) -> list[Ask]:
            return [Ask(question=f"number {n}", order=n) for n in range(2)]

        @step
        async def wait(self, ctx: Context, ev: Ask) -> HumanResponseEvent:
            found = await ctx.wait_for_event(HumanResponseEvent, waiter_event=ev)
            return HumanResponseEvent(response=(ev.order, found.response))

        @step
        async def end(self, evs: list[HumanResponseEvent]) -> StopEvent:
            return StopEvent(result=[one.response for one in evs])

    async with page.watch(Two().run()) as run:
        await run.wait_idle()
        waits = [one for one in await questions(page) if "/" in one["id"]]
        assert [one.get("behind", False) for one in waits] == [False, True]
        told = await answer(page, run, waits[1], {"response": "b"})
        assert (told.status, "older" in told.json["error"]) == (409, True)
        run.cancel()


async def test_several_questions_of_steps_go_when_they_are_answered(page):
    class Three(Workflow):
        @step
        async def begin(self, ctx: Context, ev: StartEvent) -> InputRequiredEvent:
            ctx.write_event_to_stream(InputRequiredEvent(prefix="one"))
            ctx.write_event_to_stream(InputRequiredEvent(prefix="two"))
            return InputRequiredEvent(prefix="three")

        @step
        async def collect(self, ctx: Context, ev: HumanResponseEvent) -> StopEvent | None:
            found = ctx.collect_events(ev, [HumanResponseEvent] * 3)
            return None if found is None else StopEvent(result=[one.response for one in found])

    async with page.watch(Three().run()) as run:
        await run.wait_idle()
        first, second, third = await questions(page)
        assert [one["says"] for one in (first, second, third)] == ["one", "two", "three"]
        await answer(page, run, second, {"response": 2})
        await run.wait_idle()
        assert [one["says"] for one in await questions(page)] == ["one", "three"]
        run.send_event(HumanResponseEvent(response=1))  # from elsewhere: it goes to the oldest
        await run.wait_idle()
        assert [one["says"] for one in await questions(page)] == ["three"]
        told = await answer(page, run, second, {"response": 2})
        assert (told.status, "not open any more" in told.json["error"]) == (409, True)
        await answer(page, run, third, {"response": 3})
        assert await run.result() == [2, 1, 3]


async def test_a_run_inside_a_run_is_answered(page):
    class Outer(Workflow):
        @step
        async def begin(self, ctx: Context, ev: StartEvent) -> StopEvent:
            return StopEvent(result=await ctx.run_child(Deciding(), forward_events=True))

    async with page.watch(Outer().run()) as run:
        with anyio.fail_after(60):
            while not (found := await questions(page)):
                await anyio.lowlevel.checkpoint()
        assert (found[0]["step"], found[0]["says"]) == ("decide", "Pay <b>it</b>?")
        await answer(page, run, found[0], {"approved": True, "amount": 1})
        assert (await run.result()).amount == 1


async def test_a_run_that_was_taken_up_again_still_says_what_it_asks(tmp_path):
    path = tmp_path / "runs.db"
    async with Deciding(journal=path).run(run_id="kept") as run:
        await run.wait_idle()
        run._shell.abandon()
    page = plait.web.app(journal=path, token=TOKEN)
    async with page.watch(Deciding(journal=path).resume("kept")) as run:
        await run.wait_idle()
        [question] = await questions(page)
        assert question["says"] == "Pay <b>it</b>?"
        await answer(page, run, question, {"approved": True, "amount": 2})
        assert (await run.result()).amount == 2


async def test_steps_that_take_several_classes_have_a_form_for_each(page):
    class Yes(HumanResponseEvent):
        why: str

    class No(HumanResponseEvent):
        pass

    class Choosing(Workflow):
        @step
        async def begin(self, ev: StartEvent) -> InputRequiredEvent:
            return InputRequiredEvent()

        @step
        async def end(self, ev: Yes | No) -> StopEvent:
            return StopEvent(result=type(ev).__name__)

    async with page.watch(Choosing().run()) as run:
        await run.wait_idle()
        [question] = await questions(page)
        assert {one["label"] for one in question["forms"]} == {"Yes", "No"}
        told = await answer(page, run, question, {}, kind=Decision.__plait_name__)
        assert told.status == 409, "no other class is made"
        assert "answered with" in told.json["error"]
        told = await answer(page, run, question, {}, kind=Yes.__plait_name__)
        assert (told.status, told.json["fields"]) == (422, {"why": "is needed"})
        await answer(page, run, question, {"why": "so"}, kind=Yes.__plait_name__)
        assert await run.result() == "Yes"


# ---------------------------------------------------------------- what is refused


async def test_what_does_not_fit_is_said_beside_each_field(page):
    async with page.watch(Deciding().run()) as run:
        await run.wait_idle()
        [question] = await questions(page)
        told = await answer(
            page, run, question, {"approved": "yes", "amount": True, "size": "HUGE", "other": 1}
        )
        assert told.status == 422
        assert told.json["fields"] == {
            "approved": "must be true or false",
            "amount": "must be a whole number",
            "size": "must be one of SMALL, LARGE or must be null",
            "other": "Decision has no field of that name",
        }
        assert run.state == "idle", "nothing was sent"
        told = await answer(page, run, question, {"approved": True, "amount": 1, "user": "bob"})
        assert told.status == 202
        assert (await run.result()).user == "ann", "what is wanted cannot be filled in otherwise"


async def test_runs_that_ask_nothing_or_are_not_here_are_not_answered(page, tmp_path):
    body = {"run": "nobody", "question": "x", "kind": "y", "fields": {}}
    told = await ask(page, "/api/answer", "POST", body=body)
    assert (told.status, "not one of this process" in told.json["error"]) == (409, True)
    run = page.watch(Braid().run())
    await run
    told = await ask(page, "/api/answer", "POST", body={**body, "run": run.run_id})
    assert (told.status, "has ended" in told.json["error"]) == (409, True)
    assert await questions(page) == []


RIGHT = {"run": "r", "question": "q", "kind": "k", "fields": {}}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"{}", 400),
        (json.dumps({**RIGHT, "fields": []}).encode(), 400),
        (json.dumps({**RIGHT, "kind": None}).encode(), 400),
        (json.dumps({**RIGHT, "question": {"a": 1}}).encode(), 400),
        (b"[" * 60_000, 400),
        (json.dumps({**RIGHT, "fields": {"x": "y" * 70_000}}).encode(), 413),
        (json.dumps(RIGHT).encode(), 409),
        (b"\xff\xfe", 400),
    ],
)
async def test_what_is_sent_is_checked(page, body, status):
    told = await ask(page, "/api/answer", "POST", body=body, content_type="application/json")
    assert (told.status, bool(told.json["error"])) == (status, True)


@pytest.mark.parametrize("path", ["/api/answer", "/api/retry"])
async def test_the_guard_is_before_every_button(path):
    page = plait.web.app(Braid(), token=TOKEN)
    cookie = {"cookie": f"plait-8000={TOKEN}"}
    assert (await ask(page, path, "POST", token="wrong", body=RIGHT)).status == 401
    assert (await ask(page, path, "POST", token=None, body=RIGHT)).status == 401
    assert (await ask(page, path, "POST", token=None, body=RIGHT, **cookie)).status == 403
    other = {**cookie, "origin": "http://evil.example"}
    assert (await ask(page, path, "POST", token=None, body=RIGHT, **other)).status == 403
    assert (await ask(page, path, "POST", host="evil.example", body=RIGHT)).status == 421
    assert (await ask(page, path)).status == 405
    assert (await ask(page, f"{path}/../../status", "POST", body=RIGHT)).status == 404
    own = {**cookie, "origin": "http://127.0.0.1:8000"}
    assert (await ask(page, path, "POST", token=None, body=RIGHT, **own)).status == 409
    assert (await ask(page, path, "POST", body=b"{}", content_type="text/plain")).status == 415


# ---------------------------------------------------------------- forms


class Deep(Event):
    when: datetime
    counts: dict[str, list[int]]
    anything: Any = None
    either: int | str = 0


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"when": "2026-01-02T03:04:05", "counts": {"a": [1]}}, {}),
        ({"when": "2026-01-02T03:04:05", "counts": {}, "either": "x", "anything": [{}]}, {}),
        ({"when": "soon", "counts": {}}, {"when"}),
        ({"when": "2026-01-02T03:04:05", "counts": {"a": [1.5]}}, {"counts"}),
        ({"when": "2026-01-02T03:04:05", "counts": {}, "either": []}, {"either"}),
        ({"counts": None}, {"when", "counts"}),
        ({"when": 5, "counts": [], "__class__": 1}, {"when", "counts", "__class__"}),
    ],
)
def test_json_is_read_by_the_types_of_the_class(fields, wrong):
    if not wrong:
        assert isinstance(made(Deep, fields, {}).when, datetime)
        return
    with pytest.raises(Unfit) as raised:
        made(Deep, fields, {})
    assert raised.value.fields.keys() == wrong


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "1", True, None])
def test_no_number_is_no_number(value):
    with pytest.raises(Unfit):
        made(Decision, {"approved": True, "amount": 1, "user": "x", "ratio": value}, {})


def test_an_open_class_takes_any_field_but_no_inner_ones():
    assert made(HumanResponseEvent, {"response": "yes", "more": [1]}, {}).more == [1]
    for name in ("__plait_undeclared__", "__class__", "no name", ""):
        with pytest.raises(Unfit):
            made(HumanResponseEvent, {name: {}}, {})


def test_what_a_validator_says_is_said():
    class Checked(Event):
        number: int = attrs.field(validator=attrs.validators.gt(3))

    with pytest.raises(Unfit, match="must be > 3"):
        made(Checked, {"number": 1}, {})


def test_secret_fields_are_not_seen_and_have_no_default_in_the_form():
    fields = {one.name: one for one in form_of(Decision).fields}
    assert fields["api_token"].secret
    assert "hush" not in json.dumps([one.as_json() for one in fields.values()])


def test_annotations_that_mean_nothing_are_asked_for_as_json():
    class Odd(Event):
        thing: Nowhere  # noqa: F821

    [field] = form_of(Odd).fields
    assert field.asks == "json"
    assert made(Odd, {"thing": {"a": 1}}, {}).thing == {"a": 1}
