"""Random runs, written down at random moments and gone on with: nothing is lost, nothing happens twice.

A run of a drawn workflow is written down while it is going, cancelled, and gone on with from the text in
another workflow object; several times over. However often and whenever that happens, the result is the
same, bodies that had returned do not run again, and those that were interrupted have the key they had.
"""

import json
from contextlib import suppress
from typing import Annotated

import anyio
import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import plait.testing
from plait import (
    Collect,
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    JsonSerializer,
    StartEvent,
    StopEvent,
    Workflow,
    WorkflowCheckpointer,
    step,
)
from plait.errors import ContextSerdeError, WorkflowRuntimeError
from plait.retry import ConstantDelayRetryPolicy
from tests.engine.hanging import no_test_hangs as no_test_hangs
from tests.parity.clocks import JumpingLoop


class Job(Event):
    n: int
    kind: str
    delay: float


class Made(Event):
    n: int
    text: str


class Out(Event):
    n: int
    text: str


class Question(InputRequiredEvent):
    n: int


class Answer(HumanResponseEvent):
    n: int


class Half(Event):
    n: int
    delay: float


@attrs.define
class Board:
    done: list[int] = attrs.field(factory=list)


#: What bodies did: (step, n, key) when they begin, and with "returned" when they return.
log = []


def begin(ctx, n):
    log.append((ctx.step_name, n, ctx.idempotency_key))


def returned(ctx, n):
    log.append((ctx.step_name, n, ctx.idempotency_key, "returned"))


class Part(Workflow):
    @step
    async def first(self, ctx: Context, ev: StartEvent) -> Half:
        begin(ctx, ev.n)
        await anyio.sleep(ev.delay)
        returned(ctx, ev.n)
        return Half(n=ev.n, delay=ev.delay)

    @step
    async def second(self, ctx: Context, ev: Half) -> StopEvent:
        begin(ctx, ev.n)
        await anyio.sleep(ev.delay)
        returned(ctx, ev.n)
        return StopEvent(result=f"part {ev.n}")


class Flow(Workflow):
    """Jobs of several kinds go in as a stream or one by one, and come out as a list or a batch."""

    def __init__(self, jobs, *, streamed):
        super().__init__(serializer=JsonSerializer(allowed_types=[Question, Answer, Board]))
        self.jobs, self.streamed = jobs, streamed

    @step
    async def split(self, ctx: Context[Board], ev: StartEvent) -> list[Job]:
        begin(ctx, -1)
        await anyio.sleep(0.3)
        for job in [] if self.streamed else self.jobs:
            ctx.send_event(job)
        await anyio.sleep(0.3)
        returned(ctx, -1)
        return self.jobs if self.streamed else []

    @step(num_workers=2, retry_policy=ConstantDelayRetryPolicy(maximum_attempts=4, delay=0.7))
    async def work(self, ctx: Context[Board], ev: Job) -> Made:
        begin(ctx, ev.n)
        await anyio.sleep(ev.delay)
        text = await getattr(self, f"_{ev.kind}")(ctx, ev)
        async with ctx.store.edit_state() as board:
            board.done = sorted({*board.done, ev.n})
        await anyio.sleep(ev.delay)
        returned(ctx, ev.n)
        return Made(n=ev.n, text=text)

    async def _plain(self, ctx, job):
        return f"plain {job.n}"

    async def _asks(self, ctx, job):
        answer = await ctx.wait_for_event(Answer, Question(n=job.n), requirements={"n": job.n})
        return f"answer {answer.n}"

    async def _fails(self, ctx, job):
        if ctx.retry_info().retry_number < 2:
            raise OSError(f"job {job.n}")
        return f"third time {ctx.retry_info().last_exception}"

    async def _nests(self, ctx, job):
        one = await Part().run(n=job.n, delay=job.delay)
        return one + await Part().run(n=100 + job.n, delay=job.delay)

    async def _sends(self, ctx, job):
        ctx.send_event(Out(n=1000 + job.n, text="sent"))
        await anyio.sleep(0.4)
        ctx.send_event(Out(n=2000 + job.n, text="sent"), on_success=True)
        return f"sends {job.n}"

    @step
    async def each(self, ctx: Context[Board], ev: Made) -> Out:
        begin(ctx, ev.n)
        await anyio.sleep(0.2)
        returned(ctx, ev.n)
        return Out(n=ev.n, text=ev.text)

    @step
    async def gather(
        self, ctx: Context[Board], evs: Annotated[list[Made], Collect(order="input")]
    ) -> Out:
        return Out(n=-1, text=" ".join(sorted(ev.text for ev in evs)))

    @step
    async def end(self, ctx: Context[Board], ev: Out) -> StopEvent | None:
        due = 1 + len(self.jobs) + 2 * sum(job.kind == "sends" for job in self.jobs)
        outs = ctx.collect_events(ev, {Out: due})
        if outs is None:
            return None
        board = await ctx.store.get_state()
        return StopEvent(result=[sorted([one.n, one.text] for one in outs), board.done])


JOBS = st.builds(
    lambda kinds: [Job(n=n, kind=kind, delay=delay) for n, (kind, delay) in enumerate(kinds)],
    st.lists(
        st.tuples(
            st.sampled_from(["plain", "asks", "fails", "nests", "sends"]),
            st.sampled_from([0, 0.1, 0.5, 1.0]),
        ),
        min_size=1,
        max_size=4,
    ),
)
#: Between the times at which something happens, and at some of them.
CUTS = st.lists(st.integers(min_value=0, max_value=30).map(lambda n: n / 10 + 0.05), max_size=4)
FLOWS = st.fixed_dictionaries({"streamed": st.booleans()})


async def whole(run):
    """Let a run come to its end: questions are answered as they are put on the stream."""
    async with run:
        async for event in run.stream_events():
            if isinstance(event, Question):
                run.send_event(Answer(n=event.n))
    return await run


def lives_of(flow, cuts):
    """Run a workflow to its end, in as many lives as there are cuts and one."""

    async def main():
        lives, data = [], None
        for cut in [*cuts, None]:
            log.clear()
            workflow = flow()
            ctx = None if data is None else Context.from_dict(workflow, json.loads(data))
            run = workflow.run(ctx)
            async with run, anyio.create_task_group() as others:

                async def answer(run=run):
                    async for event in run.stream_events():
                        if isinstance(event, Question):
                            await anyio.sleep(0.25)
                            with suppress(WorkflowRuntimeError):  # it was cancelled just now
                                run.send_event(Answer(n=event.n))

                others.start_soon(answer)
                with anyio.move_on_after(1000 if cut is None else cut):
                    await run.result()
                if not run.is_done():
                    assert cut is not None, run.explain()
                    data = json.dumps(run.ctx.to_dict())
                    lives.append([*log])
                    run.cancel()
                    continue
            lives.append([*log])
            return await run, lives
        raise AssertionError("no end")

    return main


def check(lives):
    """No body runs again that had returned in an earlier life; who runs again has the same key."""
    over = set()
    keys = {}
    for life in lives:
        for step_name, n, key, *end in life:
            assert end or key not in over
            assert keys.setdefault((step_name, n), key) == key
        over |= {entry[2] for entry in life if entry[3:]}


def in_trio(main):
    return plait.testing.run(main)


def in_asyncio(main):
    return anyio.run(main, backend="asyncio", backend_options={"loop_factory": JumpingLoop})


@pytest.mark.parametrize("backend", [in_trio, in_asyncio])
@given(jobs=JOBS, options=FLOWS, cuts=CUTS)
def test_a_run_goes_on_from_its_snapshots(backend, jobs, options, cuts):
    def flow():
        return Flow(jobs, **options)

    expected, _ = backend(lives_of(flow, []))
    result, lives = backend(lives_of(flow, cuts))
    assert result == expected
    check(lives)


@pytest.mark.parametrize("backend", [in_trio, in_asyncio])
@given(jobs=JOBS, options=FLOWS, data=st.data())
def test_a_run_begins_from_any_of_its_checkpoints(backend, jobs, options, data):
    async def main():
        checkpointer = WorkflowCheckpointer(Flow(jobs, **options))
        log.clear()
        run = checkpointer.run()
        expected = await whole(run)
        kept = checkpointer.checkpoints[run.run_id]
        index = data.draw(st.integers(0, len(kept) - 1))
        log.clear()
        checkpointer.workflow = Flow(jobs, **options)
        again = checkpointer.run_from(kept[index])
        assert await whole(again) == expected
        later = checkpointer.checkpoints.get(again.run_id, [])
        before = [one.id_.partition(":")[2] for one in kept[: index + 1]]
        after = [one.id_.partition(":")[2] for one in later]
        assert not {*before} & {*after}
        assert len(later) == len(kept) - index - 1

    backend(main)


@given(jobs=JOBS, options=FLOWS, cuts=st.lists(CUTS.map(sum), min_size=1, max_size=3))
def test_to_dict_changes_nothing_and_shares_nothing(jobs, options, cuts):
    async def main(*moments):
        texts = []
        async with Flow(jobs, **options).run(run_id="r") as run, anyio.create_task_group() as group:

            async def look():
                for moment in moments:
                    await anyio.sleep(moment)
                    data = run.ctx.to_dict()
                    text = json.dumps(data)
                    assert run.ctx.to_dict() == data
                    data["steps"].clear()
                    data["mailbox"]["letters"].append(1)
                    assert json.dumps(run.ctx.to_dict()) == text
                    texts.append(text)

            group.start_soon(look)
            async for event in run.stream_events():
                if isinstance(event, Question):
                    run.send_event(Answer(n=event.n))
        return await run, texts

    looked, texts = plait.testing.run(main, *sorted(cuts))
    undisturbed, _ = plait.testing.run(main)
    assert looked == undisturbed
    for text in texts:
        data = json.loads(text)
        again = Context.from_dict(Flow(jobs, **options), data)
        assert json.dumps(again.to_dict(), sort_keys=True) == json.dumps(data, sort_keys=True)


@given(jobs=JOBS, options=FLOWS, cut=st.integers(1, 30), where=st.data())
def test_a_snapshot_that_was_tampered_with_is_refused_or_runs(jobs, options, cut, where):
    """Whatever is in a text, loading it gives a context or a `ContextSerdeError`."""

    async def main():
        async with Flow(jobs, **options).run() as run:
            await anyio.sleep(cut / 10 + 0.05)
            data = run.ctx.to_dict()
            run.cancel()
        return data

    data = plait.testing.run(main)
    path, holder = [], data
    while isinstance(holder, (dict, list)) and holder:
        keys = sorted(holder) if isinstance(holder, dict) else range(len(holder))
        key = where.draw(st.sampled_from([*keys]))
        path.append((holder, key))
        holder = holder[key]
        if where.draw(st.booleans()):
            break
    holder, key = path[-1]
    if where.draw(st.booleans()):
        del holder[key]
    else:
        garbage = st.sampled_from([None, -1, 10**9, 1.5, "x", [], {}, [1], {"x": 1}, True])
        holder[key] = where.draw(garbage)
    with suppress(ContextSerdeError):
        Context.from_dict(Flow(jobs, **options), data)
