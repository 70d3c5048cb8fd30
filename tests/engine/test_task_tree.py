"""While a run is going, Trio's own task tree is the picture of `architecture.md`."""

from contextvars import ContextVar

import pytest
import trio

import plait.testing
from plait import Context, StartEvent, StopEvent, Workflow, step
from plait.testing import task_tree
from tests.conformance.seeds import ParallelWorkflow
from tests.engine.harness import recorded

DELAYS = {"A": 1, "B": 3, "C": 5}


def below(name, tree):
    """Cut out what is below the line of this name, without its indent."""
    lines = tree.splitlines()
    at = next(n for n, line in enumerate(lines) if line.strip() == name)
    indent = len(lines[at]) - len(lines[at].lstrip())
    kept = []
    for line in lines[at + 1 :]:
        if len(line) - len(line.lstrip()) <= indent:
            break
        kept.append(line[indent + 2 :])
    return kept


def test_a_run_in_a_nursery_is_drawn_as_the_user_drew_it():
    async def main():
        before = task_tree()
        async with trio.open_nursery() as nursery:
            ParallelWorkflow(DELAYS).run(run_id="R").start_soon(nursery)
            await trio.sleep(0.5)
            early = below("run R", task_tree())
            await trio.sleep(1)
            late = below("run R", task_tree())
        assert task_tree() == before
        return early, late

    early, late = plait.testing.run(main)
    process = ["step process_data", "  worker", "  worker", "  worker"]
    start = ["step start", "  worker"]
    assert early == [*process, *start]
    assert late == ["step combine_results", "  worker", *process, *start]


def test_an_awaited_run_has_its_steps_in_the_awaiting_task():
    async def main():
        before = task_tree()
        trees = []
        async with trio.open_nursery() as nursery:

            async def caller():
                await ParallelWorkflow(DELAYS).run()

            nursery.start_soon(caller, name="caller")
            await trio.sleep(0.5)
            trees.append(below("caller", task_tree()))
        assert task_tree() == before
        return trees[0]

    assert plait.testing.run(main) == [
        "step process_data",
        "  worker",
        "  worker",
        "  worker",
        "step start",
        "  worker",
    ]


def test_a_child_is_below_the_worker_whose_step_runs_it():
    class Parent(Workflow):
        @step
        async def nest(self, ev: StartEvent) -> StopEvent:
            return StopEvent(result=await ParallelWorkflow(DELAYS).run(run_id="C"))

    async def main():
        async with Parent().run(run_id="P") as run:
            await trio.sleep(0.5)
            tree = below("run P", task_tree())
            await run
        return tree

    assert plait.testing.run(main) == [
        "step nest",
        "  worker",
        "    step process_data",
        "      worker",
        "      worker",
        "      worker",
        "    step start",
        "      worker",
    ]


@pytest.mark.parametrize("dirty", [False, True])
def test_the_limiters_statistics_are_true(monkeypatch, dirty):
    """A token is a body that runs: looked at while all of them sleep."""
    var = ContextVar("var")
    bodies = 0

    class Flow(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> plait.Event | None:
            for n in range(20):
                ctx.send_event(plait.Event(n=n))

        @step(num_workers=3)
        async def work(self, ctx: Context, ev: plait.Event) -> StopEvent | None:
            nonlocal bodies
            bodies += 1
            if dirty:
                var.set(ev.n)
            if ev.n % 3:
                await trio.sleep(1)
            bodies -= 1
            return ctx.collect_events(ev, {plait.Event: 20}) and StopEvent()

    async def look(made):
        while True:
            for limiter in made.limiters:
                if limiter.total_tokens == 3:
                    assert limiter.borrowed_tokens == bodies
                    looks.add(bodies)
            await trio.sleep(0.25)

    async def main():
        with recorded(monkeypatch) as made:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(look, made)
                await Flow().run()
                nursery.cancel_scope.cancel()

    looks = set()
    plait.testing.run(main)
    assert 3 in looks
