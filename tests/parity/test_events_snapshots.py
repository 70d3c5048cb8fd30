"""Rows 83, 95, 96 and 98, and the refusals of section 4 that go with them: a run is written down."""

import copy
import json
from types import SimpleNamespace

import anyio
import pytest

from plait import (
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    JsonSerializer,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from plait._engine import shell
from plait.errors import ContextSerdeError, ContextStateError, WorkflowCancelledByUser
from plait.events import PickleSerializer
from plait.retry import ConstantDelayRetryPolicy
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A, B


class Six(Workflow):
    """Six items, two at a time, a second each."""

    def __init__(self, **options):
        super().__init__(**options)
        self.bodies = []

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> A | None:
        self.bodies.append(("start", ctx.idempotency_key))
        await ctx.store.set("begun", value=True)
        for n in range(6):
            ctx.send_event(A(n=n))

    @step(num_workers=2)
    async def work(self, ctx: Context, ev: A) -> B:
        self.bodies.append((ev.n, ctx.idempotency_key))
        await anyio.sleep(1)
        return B(n=ev.n)

    @step
    async def end(self, ctx: Context, ev: B) -> StopEvent | None:
        batch = ctx.collect_events(ev, [B] * 6)
        return batch and StopEvent(result=sorted(b.n for b in batch))

    def keys(self):
        return {key for n, key in self.bodies if n != "start"}


def text_of(run):
    return json.dumps(run.ctx.to_dict())


# ---------------------------------------------------------------- row 83


@in_virtual_time
async def test_row_083_the_context_of_a_cancelled_run_resumes_to_the_result():
    flow = Six()
    async with flow.run(run_id="R") as run:
        await anyio.sleep(1.5)
        await run.cancel_run()
        await run.cancel_run()
    with pytest.raises(WorkflowCancelledByUser):
        await run
    again = flow.run(ctx=run.ctx)
    assert await again == [0, 1, 2, 3, 4, 5]
    assert again.run_id == "R"
    names = [n for n, _ in flow.bodies]
    assert [names.count(n) for n in ("start", 0, 1, 2, 3, 4, 5)] == [1, 1, 1, 2, 2, 1, 1]
    assert len(flow.keys()) == 6
    assert anyio.current_time() == 3.5


@in_virtual_time
async def test_row_083_also_when_it_has_been_written_down():
    flow, other = Six(), Six()
    async with flow.run() as run:
        await anyio.sleep(1.5)
        run.cancel()
    saved = text_of(run)
    assert await other.run(ctx=Context.from_dict(other, json.loads(saved))) == [0, 1, 2, 3, 4, 5]
    assert [n for n, _ in other.bodies] == [2, 3, 4, 5]


# ---------------------------------------------------------------- row 95


@in_virtual_time
async def test_row_095_snapshot_and_resume():
    flow, other = Six(), Six()
    async with flow.run() as run:
        await anyio.sleep(1.5)
        saved = text_of(run)
        run.cancel()
    data = json.loads(saved)
    assert data.keys() == {
        "format",
        "version",
        "workflow",
        "run_id",
        "is_running",
        "elapsed",
        "next_delivery",
        "state",
        "steps",
        "streams",
        "mailbox",
        "children",
    }
    assert (data["format"], data["version"], data["workflow"]) == ("plait.context", 1, "Six")
    assert (data["is_running"], data["elapsed"], data["state"]) == (True, 1.5, {"begun": True})
    assert {"queue", "running", "buffers", "waits"} <= data["steps"]["work"].keys()
    run = other.run(ctx=Context.from_dict(other, data))
    assert sorted(await run) == [0, 1, 2, 3, 4, 5]
    assert "start" not in dict(other.bodies)
    assert run.run_id == data["run_id"]


@in_virtual_time
async def test_row_095_at_any_time():
    flow = Six()
    ctx = Context(flow)
    before = json.dumps(ctx.to_dict())
    run = flow.run(ctx=ctx)
    assert json.loads(before)["is_running"] is False
    async with run:
        first = text_of(run)
    after = text_of(run)
    assert json.loads(after)["is_running"] is False
    for saved, bodies in ((before, 7), (first, 7), (after, 7)):
        other = Six()
        assert await other.run(ctx=Context.from_dict(other, json.loads(saved))) == [*range(6)]
        assert len(other.bodies) == bodies


@in_virtual_time
async def test_row_095_without_the_store():
    flow = Six()
    async with flow.run() as run:
        await anyio.sleep(0.5)
        data = run.ctx.to_dict(include_state=False)
        run.cancel()
    assert data["state"] is None
    ctx = Context.from_dict(flow, data)
    assert await ctx.store.get("begun", None) is None


@in_virtual_time
async def test_row_095_waits_answers_and_retries_go_on(monkeypatch):
    # Times move over from clock to clock by Unix time: let that be virtual as well.
    clock = SimpleNamespace(time=lambda: 1_700_000_000.0 + anyio.current_time())
    monkeypatch.setattr(shell, "time", clock)

    class Asked(InputRequiredEvent):
        pass

    class Flow(Workflow):
        bodies = []

        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
            ctx.send_event(A())
            ctx.send_event(B())

        @step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=2, delay=5))
        async def t(self, ctx: Context, ev: A) -> Done:
            self.bodies.append(("t", anyio.current_time()))
            if ctx.retry_info().retry_number == 0:
                raise OSError("first")
            return Done(text=str(ctx.retry_info().last_exception))

        @step
        async def ask(self, ctx: Context, ev: B) -> Done:
            self.bodies.append(("ask", anyio.current_time()))
            first = await ctx.wait_for_event(HumanResponseEvent, Asked())
            second = await ctx.wait_for_event(HumanResponseEvent, Asked())
            return Done(text=first.response + second.response)

        @step
        async def end(self, ctx: Context, ev: Done) -> StopEvent | None:
            both = ctx.collect_events(ev, [Done] * 2)
            return both and StopEvent(result=sorted(one.text for one in both))

    flow = Flow(serializer=JsonSerializer([Asked, HumanResponseEvent]))
    async with flow.run() as run:
        await anyio.sleep(1)
        run.send_event(HumanResponseEvent(response="a"))
        await anyio.sleep(1)
        data = json.loads(text_of(run))
        run.cancel()
    async with flow.run(ctx=Context.from_dict(flow, data)) as run:
        questions = run.stream_events()
        await anyio.sleep(1)
        assert [one.kind for one in run.waiting()] == ["wait"]
        run.send_event(HumanResponseEvent(response="b"))
    assert await run == ["ab", "first"]
    # The open question is asked again, the answered one is not; the retry is due when it was.
    assert sum([isinstance(one, Asked) async for one in questions]) == 1
    assert sorted(flow.bodies) == [("ask", 0), ("ask", 2), ("t", 0), ("t", 5)]


class Child(Workflow):
    """Two steps, the second of two seconds."""

    bodies = []

    @step
    async def c1(self, ev: StartEvent) -> A:
        self.bodies.append("c1")
        return A(n=ev.n)

    @step
    async def c2(self, ev: A) -> StopEvent:
        self.bodies.append("c2")
        await anyio.sleep(2)
        return StopEvent(result=ev.n)


class Parent(Workflow):
    @step
    async def p(self, ev: StartEvent) -> StopEvent:
        first = await Child().run(n=1)
        return StopEvent(result=[first, await Child().run(n=2)])


@in_virtual_time
async def test_row_095_children_go_on_inside_their_parent():
    async with Parent().run() as run:
        await anyio.sleep(3)
        data = json.loads(text_of(run))
        run.cancel()
    assert len(data["children"]) == 2
    Child.bodies.clear()
    parent = Parent()
    assert await parent.run(ctx=Context.from_dict(parent, data)) == [1, 2]
    assert Child.bodies == ["c2"]
    assert anyio.current_time() == 5


@pytest.mark.parametrize("written", [False, True])
@in_virtual_time
async def test_row_083_children_of_a_cancelled_run_go_on_with_its_context(written):
    parent = Parent()
    async with parent.run() as run:
        await anyio.sleep(3)
        run.cancel()
    Child.bodies.clear()
    ctx = Context.from_dict(parent, json.loads(text_of(run))) if written else run.ctx
    assert await parent.run(ctx=ctx) == [1, 2]
    assert Child.bodies == ["c2"]
    assert anyio.current_time() == 5


@in_virtual_time
async def test_row_083_what_keeps_a_child_from_going_on_is_said_when_it_would():
    class Holder(Workflow):
        @step
        async def c1(self, ctx: Context, ev: StartEvent) -> StopEvent:
            await ctx.store.set("lock", object())
            await anyio.sleep(2)
            return StopEvent()

    class Around(Workflow):
        @step
        async def p(self, ev: StartEvent) -> StopEvent:
            await Holder().run()
            return StopEvent()

    flow = Around()
    async with flow.run() as run:
        await anyio.sleep(1)
        run.cancel()
    with pytest.raises(ContextSerdeError, match="lock"):
        run.ctx.to_dict()
    with pytest.raises(ContextSerdeError, match="lock"):
        await flow.run(ctx=run.ctx)


# ---------------------------------------------------------------- row 96


@in_virtual_time
async def test_row_096_completed_work_never_runs_again():
    flow, other = Six(), Six()
    async with flow.run() as run:
        await anyio.sleep(1.5)
        saved = text_of(run)
        run.cancel()
    result = await other.run(ctx=Context.from_dict(other, json.loads(saved)))
    assert result == [0, 1, 2, 3, 4, 5]
    bodies = flow.bodies + other.bodies
    names = [n for n, _ in bodies]
    assert [names.count(n) for n in range(6)] == [1, 1, 2, 2, 1, 1]
    assert names.count("start") == 1
    assert len({key for n, key in bodies if n != "start"}) == 6


@in_virtual_time
async def test_row_096_what_was_sent_is_not_sent_again():
    class Sends(Workflow):
        sent = []

        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(3):
                ctx.send_event(A(n=n))
                await anyio.sleep(1)

        @step
        async def t(self, ctx: Context, ev: A) -> StopEvent | None:
            self.sent.append(ev.n)
            batch = ctx.collect_events(ev, [A] * 3)
            return batch and StopEvent(result=[a.n for a in batch])

    flow = Sends()
    async with flow.run() as run:
        await anyio.sleep(1.5)
        data = json.loads(text_of(run))
        run.cancel()
    assert await flow.run(ctx=Context.from_dict(flow, data)) == [0, 1, 2]
    assert flow.sent == [0, 1, 2]


# ---------------------------------------------------------------- row 97, inside a context


@in_virtual_time
@pytest.mark.parametrize("serializer", [JsonSerializer(), PickleSerializer()])
async def test_row_097_a_context_is_written_by_any(serializer):
    flow, other = Six(serializer=serializer), Six(serializer=serializer)
    async with flow.run() as run:
        await anyio.sleep(1.5)
        saved = text_of(run)
        run.cancel()
    assert await other.run(ctx=Context.from_dict(other, json.loads(saved))) == [*range(6)]
    by_hand = Context(Six(), run.ctx.to_dict(serializer), serializer)
    assert await by_hand.store.get("begun") is True


@in_virtual_time
async def test_row_097_what_cannot_be_written_is_named():
    flow = Six()
    ctx = Context(flow)
    await ctx.store.set("f", lambda: 1)
    with pytest.raises(ContextSerdeError, match=r"^Failed to serialize state value for key f:"):
        ctx.to_dict()
    assert ctx.to_dict(include_state=False)["state"] is None


# ---------------------------------------------------------------- row 98


@in_virtual_time
async def test_row_098_garbage_is_refused():
    flow = Six()
    async with flow.run() as run:
        await anyio.sleep(1.5)
        good = json.loads(text_of(run))
        run.cancel()
    bad = [{}, None, {"foo": 1}, 5, "x", [], good | {"version": 99}, good | {"foo": 1}]
    bad += [{k: v for k, v in good.items() if k != key} for key in good]
    nope = copy.deepcopy(good)
    nope["steps"]["nope"] = nope["steps"]["work"]
    unknown = json.loads(json.dumps(good).replace("letters.A", "letters.Nobody"))
    assert unknown != good
    bad += [nope, unknown, good | {"workflow": "Other"}, good | {"elapsed": "1.5"}]
    for data in bad:
        for load in (Context.from_dict, Context):
            if data is None and load is Context:
                continue  # no context to go on with
            with pytest.raises(ContextSerdeError, match=r"^Cannot load this context: \d+ fault"):
                load(flow, data)
                pytest.fail(str(data))
    with pytest.raises(ContextSerdeError) as caught:
        Context.from_dict(flow, nope)
    assert "  steps.nope: workflow 'Six' has no step 'nope'" in str(caught.value)


@in_virtual_time
async def test_row_098_all_faults_at_once():
    flow = Six()
    async with flow.run() as run:
        await anyio.sleep(1.5)
        data = json.loads(text_of(run))
        run.cancel()
    data["steps"]["nope"] = {}
    data["elapsed"] = "1.5"
    with pytest.raises(ContextSerdeError) as caught:
        Context.from_dict(flow, data)
    first, *rest = str(caught.value).splitlines()
    assert first == "Cannot load this context: 2 faults"
    assert len(rest) == 2


@in_virtual_time
async def test_row_098_an_older_event_is_upgraded_or_refused():
    class Query1(Event, name="shop.query"):
        txt: str

    class Query2(Event, name="shop.query", version=2):
        text: str

    class Query3(Event, name="shop.query", version=2):
        text: str

        @classmethod
        def upgrade(cls, data, version):
            assert version == 1
            return {"text": data["txt"]}

    def flow_of(query):
        class Flow(Workflow):
            @step
            async def s(self, ev: StartEvent) -> query:
                return query(txt="x")

            @step
            async def t(self, ev: query) -> StopEvent:
                await anyio.sleep(1)
                return StopEvent(result=ev.to_dict())

        return Flow()

    async with flow_of(Query1).run() as run:
        await anyio.sleep(0.5)
        data = json.loads(text_of(run))
        run.cancel()
    with pytest.raises(ContextSerdeError) as caught:
        Context.from_dict(flow_of(Query2), data)
    assert "shop.query: cannot load version 1, the class is version 2 and has no upgrade()." in str(
        caught.value
    )
    newer = flow_of(Query3)
    assert await newer.run(ctx=Context.from_dict(newer, data)) == {"text": "x"}


# ---------------------------------------------------------------- the texts of section 4


@in_virtual_time
async def test_messages_of_contexts_that_cannot_do_it():
    caught = []

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            for call in (ctx.to_dict, lambda: Flow().run(ctx=ctx)):
                with pytest.raises(ContextStateError) as error:
                    call()
                caught.append(str(error.value))
            await anyio.sleep(1)
            return StopEvent()

    flow = Flow()
    async with flow.run() as run:
        await anyio.sleep(0.5)
        data = run.ctx.to_dict()
        with pytest.raises(ContextStateError) as error:
            flow.run(ctx=run.ctx)
        caught.append(str(error.value))
        run.cancel()
    assert caught == [
        "to_dict is only available from handler code, not from within steps.",
        "Cannot start workflow from a step function context",
        RUNNING,
    ]
    with pytest.raises(TypeError) as refused:
        flow.run(ctx=Context.from_dict(flow, data), q=1)
    text = "run() got start fields for a context that is already under way: q"
    assert str(refused.value) == text


@in_virtual_time
async def test_messages_of_classes_that_nobody_knows():
    class Stranger(Event):
        pass

    flow = Six()
    ctx = Context(flow)
    await ctx.store.set("x", [Stranger()])
    with pytest.raises(ContextSerdeError) as caught:
        ctx.to_dict()
    name = f"{Stranger.__module__}.{Stranger.__qualname__}"
    assert str(caught.value).startswith("Failed to serialize state value for key x: ")
    assert (
        f"Class {name} is not known to workflow 'Six'. "
        "Pass JsonSerializer(allowed_types=[Stranger])." in str(caught.value)
    )
    data = ctx.to_dict(JsonSerializer(allowed_types=[Stranger]))
    with pytest.raises(ContextSerdeError, match="is not known"):
        Context.from_dict(flow, data)
    again = Context.from_dict(flow, data, JsonSerializer(allowed_types=[Stranger]))
    assert await again.store.get("x") == [Stranger()]


class Done(Event):
    text: str


RUNNING = (
    "Cannot start a new run while context is already running. "
    "Wait for completion or use a new Context."
)
