"""One attempt of a step: what it asks for, what is kept of it, and what nobody may see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from plait import flows
from plait._strands._flows.book import Ancestors
from plait._strands._flows.kept import FlowValues
from plait._strands._flows.result import StepFailed, StepFailure
from plait._strands._flows.retrying import FlowRetry, delay_after, too_late, wants
from plait._strands._flows.story import FlowStarted, StepDone
from plait.durable import MemoryJournal
from plait.errors import ContextSerdeError

OUT = [{"name": "o", "type": "jmespath", "value": "stdout"}]


def script(text: str, *args: str, **more: Any) -> dict[str, Any]:
    return {
        "source": "process",
        "input": {"command": ["sh", "-c", text, *args]},
        "output": OUT,
        **more,
    }


def run(*steps: dict[str, Any], **more: Any) -> flows.RunResult:
    observe = more.pop("observe", None)
    journal = more.pop("journal", None)
    return trio.run(
        lambda: flows.load({"flow": [*steps], **more}).run(observe=observe, journal=journal)
    )


def test_a_retry_repeats_the_same_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("FT_X", "old")

    def change(news: flows.StepNews) -> None:
        if news.word == "retrying":
            monkeypatch.setenv("FT_X", "new")

    text = "test -e $1 && echo $0 && exit; touch $1; exit 3"
    command = script(text, "{{ env.FT_X }}", str(tmp_path / "tried"))
    result = run({"name": "a", "retry": {"attempts": 2, "delay": 0}, **command}, observe=change)
    assert (result.flows, result.steps["a"].attempts) == ({"a": {"o": "old\n"}}, 2)


def test_errors_in_records_show_no_secret(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FT_KEY", "s3cret-key")
    journal = MemoryJournal()
    seen: list[flows.StepNews] = []
    result = run(
        {"name": "a", **script("echo $0 >&2; exit 3", "{{ secrets.key }}"), "on_error": "continue"},
        {
            "name": "b",
            **script("echo $0", "{{ flows.a.error.process.stderr_tail }}", depends_on=["a"]),
        },
        secrets={"key": {"env": "FT_KEY"}},
        observe=seen.append,
        journal=journal,
    )
    assert result.flows == {"b": {"o": "***\n"}}
    assert result.reveal() == {"b": {"o": "s3cret-key\n"}}
    assert "s3cret-key" not in f"{result} {seen} {dict(result.steps)}"
    kept = b"".join(entry.body for stream in journal._streams.values() for entry in stream.entries)
    assert b"s3cret-key" not in kept
    assert b"exited with code 3" in kept


def test_a_step_sees_those_that_it_waits_for_also_at_second_hand():
    steps = [
        {"name": "a", **script("echo 1")},
        {"name": "b", **script("echo 2", depends_on=["a"])},
        {"name": "c", **script("echo 3")},
        {"name": "d", **script("echo $0", "{{ flows | list }}", depends_on=["b"])},
    ]
    assert run(*steps).flows["d"] == {"o": '["a", "b"]\n'}
    checked = flows.load({"flow": steps}).checked
    seen = Ancestors(checked.steps, "d", str.upper)
    assert (dict(seen), len(seen)) == ({"a": "A", "b": "B"}, 2)
    with pytest.raises(KeyError):
        seen["c"]


# ---------------------------------------------------------------- when it is tried again


def http(code: int, **more: Any) -> StepFailure:
    return StepFailure(kind="http_status", message=f"HTTP status {code}", code=code, **more)


@pytest.mark.parametrize(
    ("condition", "error", "met"),
    [
        ("5xx", http(503), True),
        ("5xx", http(404), False),
        ("4xx", http(404), True),
        (429, http(429), True),
        ("429", http(429), True),
        (429, http(428), False),
        ("timeout", StepFailure(kind="timeout", message="timeout"), True),
        ("connect", StepFailure(kind="connect", message=""), True),
        ("connect", http(503), False),
        ("exit", StepFailure(kind="exit", message="", code=3), True),
        ("exit:75", StepFailure(kind="exit", message="", code=75), True),
        ("exit:75", StepFailure(kind="exit", message="", code=3), False),
        ("exit:75", http(75), False),
        ("signal", StepFailure(kind="signal", message="", code=-9), True),
        ("source", StepFailure(kind="source", message=""), True),
        ("any", StepFailure(kind="source", message=""), True),
        ("any", StepFailure(kind="template", message=""), False),
        ("any", StepFailure(kind="output", message=""), False),
    ],
)
def test_conditions(condition, error, met):
    assert wants((condition,), error) is met


def spec(**more: Any) -> Any:
    step = {"name": "a", "source": "env", "retry": {"on": ["any"], **more}}
    return flows.load({"flow": [step]}).checked.steps["a"].spec.retry


def test_waits_grow_up_to_a_most():
    given = spec(delay="1s", factor=2, max_delay="5s", attempts=100)
    assert [delay_after(given, n) for n in (1, 2, 3, 4, 99)] == [1, 2, 4, 5, 5]
    assert delay_after(spec(factor=10, max_delay=7, attempts=100), 2_000) == 7


def test_chance_takes_off_a_part_and_is_the_same_again():
    policy = FlowRetry(spec(delay="10s", jitter=0.5, attempts=3))
    error = StepFailed("a", http(500))
    waits = {seed: policy.next(0, 1, error, seed=seed) for seed in range(50)}
    assert all(5 <= (wait or 0) <= 10 for wait in waits.values())
    assert len({*waits.values()}) > 25
    assert waits == {seed: policy.next(0, 1, error, seed=seed) for seed in range(50)}
    assert policy.next(0, 3, error) is None
    assert policy.next(0, 1, ValueError()) is None
    assert policy.next(0, 1, StepFailed("a", http(500), final=True)) is None


def test_a_server_is_given_the_time_that_it_asks_for():
    given = spec(delay="1s", jitter=0, max_delay="60s")
    asks = http(429, retry_after=7.0)
    assert FlowRetry(given).next(0, 1, StepFailed("a", asks)) == 7
    assert too_late(given, asks, 1) is None
    late = http(429, retry_after=3600.0)
    text = "HTTP status 429 (Retry-After 3600 s is more than max_delay 60 s)"
    assert too_late(given, late, 1) == text
    assert too_late(given, late, 3) is None  # it would not be tried again anyhow
    assert too_late(None, late, 1) is None


# ---------------------------------------------------------------- as it is kept


@pytest.mark.parametrize(
    "value",
    [
        FlowStarted(files=["a.yaml"], params={"n": 1}, resumed="r1", first="r0"),
        StepDone(outputs={"o": [1, None, {"k": "v"}]}, fingerprint="f"),
        StepDone(outputs={}, reused=True),
    ],
)
def test_values_are_read_as_they_were_written(value: object):
    values = FlowValues()
    assert values.decode(values.encode(value)) == value


def test_errors_are_read_as_they_were_written():
    values = FlowValues()
    error = StepFailure(kind="items", message="1 of 2", items=[{"index": 0}], outputs={"o": [None]})
    again = values.decode(values.encode(StepFailed("a", error)))
    assert (again.step, again.error) == ("a", error)
    foreign = values.decode(values.encode(ValueError("no")))
    assert foreign.error.message == "ValueError: no"


@pytest.mark.parametrize("data", [None, 3, [], {}, {"outputs": 3}, {"failed": "a"}, {"flow": []}])
def test_what_is_no_value_is_refused(data: object):
    with pytest.raises(ContextSerdeError):
        FlowValues().decode(data)


def test_numbers_that_json_does_not_have():
    values = FlowValues()
    values.odd = True
    odd = {"o": [float("inf"), ["nan"], [[1]], {"k": -float("inf")}]}
    again = values.decode(values.encode(StepDone(outputs=odd)))  # type: ignore[arg-type]
    assert repr(again.outputs) == repr(odd)


def test_a_journal_takes_them(tmp_path: Path):
    journal = MemoryJournal()
    text = """echo '{"v": NaN}'"""
    steps = [
        {
            "name": "a",
            **script(text),
            "output": [{"name": "o", "type": "jmespath", "value": "json.v"}],
        }
    ]
    result = run(*steps, journal=journal)
    assert repr(result.flows) == "{'a': {'o': nan}}"
    again = trio.run(lambda: flows.load({"flow": steps}).run(journal=journal, resume="last"))
    assert repr(again.flows) == "{'a': {'o': nan}}"
    assert again.steps["a"].reused
