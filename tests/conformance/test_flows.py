"""Flow files on every event loop: what runs, what fails, what is cancelled, what is kept."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from plait import StopEvent, flows
from plait.durable import MemoryJournal, SqliteJournal
from plait.errors import ConfigError, UnknownRunError, WorkflowRuntimeError, WorkflowTimeoutError

everywhere = pytest.mark.anyio


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """Not the clock that jumps: it would jump over the ends of processes."""
    return request.param, {}


ENV = {"type": "env", "configuration": {"vars": []}}


def process(script: str, *args: str) -> dict[str, Any]:
    return {"type": "process", "configuration": {"command": ["sh", "-c", script, *args]}}


SOURCES = {
    "e": ENV,
    "ok": process("echo ok"),
    "bad": process("exit 3"),
    "long": process("sleep 60 & sleep 60"),
}
OUT = [{"name": "o", "type": "jmespath", "value": "stdout"}]


def flow(*steps: dict[str, Any], **more: Any) -> flows.Flow:
    return flows.load(
        {"sources": SOURCES, "flow": [{"source": "e", **one} for one in steps], **more}
    )


DIAMOND = (
    {"name": "a", "source": "ok", "output": OUT},
    {"name": "b", "depends_on": "a"},
    {
        "name": "c",
        "source": "process",
        "input": {"command": ["echo", "{{ flows.a.o }}"]},
        "output": OUT,
    },
    {"name": "d", "source": "ok", "depends_on": ["b", "c"], "output": OUT},
)


@everywhere
async def test_a_diamond():
    words: list[tuple[str, str]] = []
    result = await flow(*DIAMOND).run(observe=lambda news: words.append((news.word, news.step)))
    assert result.flows == {"a": {"o": "ok\n"}, "b": {}, "c": {"o": "ok\n\n"}, "d": {"o": "ok\n"}}
    assert (result.state, result.exit_code) == ("completed", 0)
    assert words[:2] == [("started", "a"), ("succeeded", "a")]
    assert words[-2:] == [("started", "d"), ("succeeded", "d")]
    assert [step.state for step in result.steps.values()] == ["succeeded"] * 4
    result.raise_if_failed()


@everywhere
async def test_a_failure_is_a_result_and_can_be_raised():
    result = await flow({"name": "a", "source": "bad"}, {"name": "b", "depends_on": "a"}).run()
    assert (result.state, result.exit_code) == ("failed", 1)
    assert (result.steps["b"].state, result.steps["b"].reason) == ("skipped", "abort")
    with pytest.raises(
        flows.StepFailed, match="step 'a' failed: process exited with code 3"
    ) as caught:
        result.raise_if_failed()
    assert caught.value.error.code == 3
    assert caught.value.__notes__ == [f"in run {result.run_id}"]


@everywhere
async def test_two_failures_are_a_group():
    result = await flow({"name": "a", "source": "bad"}, {"name": "b", "source": "bad"}).run()
    with pytest.raises(ExceptionGroup, match="2 steps failed"):
        result.raise_if_failed()


@everywhere
async def test_an_owner_that_is_cancelled_takes_the_run_along():
    words: list[tuple[str, str]] = []
    ready = anyio.Event()

    def look(news: flows.StepNews) -> None:
        words.append((news.word, news.step))
        if {("failed", "x"), ("started", "a")} <= {*words}:
            ready.set()

    made = flow({"name": "a", "source": "long"}, {"name": "x", "source": "bad"})
    run = made.start(observe=look, grace=lambda: 1.0)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(_await, run)
            await ready.wait()
            scope.cancel()
    assert scope.cancelled_caught
    assert run.state == "cancelled"
    assert words[-1] == ("cancelled", "a")


async def _await(run: Any) -> None:
    await run


@everywhere
async def test_its_steps_take_no_events():
    async with flow({"name": "a"}).start() as run:
        with pytest.raises(
            WorkflowRuntimeError, match="takes no events: its steps follow one another"
        ):
            run.send_event(StopEvent())


@everywhere
async def test_cancel_gives_what_there_is():
    begun = anyio.Event()

    def look(news: flows.StepNews) -> None:
        if (news.word, news.step) == ("started", "b"):
            begun.set()

    made = flow(
        {"name": "a", "source": "ok", "output": OUT},
        {"name": "b", "source": "long", "depends_on": "a"},
        {"name": "c", "depends_on": "b"},
    )
    async with made.start(observe=look) as run:
        await begun.wait()
        run.cancel()
        result = await run
    assert (result.state, result.exit_code, run.state) == ("cancelled", 130, "cancelled")
    assert result.flows == {"a": {"o": "ok\n"}}
    assert [step.state for step in result.steps.values()] == ["succeeded", "cancelled", "cancelled"]


@everywhere
async def test_a_run_that_takes_too_long():
    made = flows.load({"sources": SOURCES, "flow": [{"name": "a", "source": "long"}]}, timeout=0.2)
    result = await made.run()
    assert (result.state, result.exit_code) == ("failed", 124)
    with pytest.raises(WorkflowTimeoutError, match=r"timed out after 0.2 seconds"):
        result.raise_if_failed()


@everywhere
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_journal_keeps_it_and_another_run_takes_it_over(kind: str, tmp_path: Any):
    journal = MemoryJournal() if kind == "memory" else SqliteJournal(tmp_path / "runs.db")
    steps = [*DIAMOND, {"name": "x", "source": "bad"}]
    first = await flow(*steps).run(journal=journal)
    assert first.exit_code == 1
    second = await flow(*steps).run(journal=journal, resume=first.run_id)
    reused = [name for name, step in second.steps.items() if step.reused]
    assert reused == ["a", "c", "d"]  # what the environment has is asked again
    assert second.flows == first.flows


@everywhere
async def test_what_cannot_be_resumed():
    made = flow(*DIAMOND)
    with pytest.raises(ConfigError, match="write journal="):
        await made.run(resume="last")
    with pytest.raises(UnknownRunError, match="The journal has no run yet"):
        await made.run(journal=MemoryJournal(), resume="last")
    with pytest.raises(ConfigError, match="journal must be"):
        await made.run(journal=[])  # type: ignore[arg-type]


@everywhere
async def test_several_runs_at_once_share_nothing():
    made = flow(*DIAMOND)
    found: list[flows.RunResult] = []

    async def one() -> None:
        found.append(await made.run())

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(one)
    assert len({result.run_id for result in found}) == 3
    assert all(result.flows["d"] == {"o": "ok\n"} for result in found)
