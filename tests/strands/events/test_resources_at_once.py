"""Resources that several ask for at once, some of whom fail or are cancelled."""

from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Annotated, Any

import attrs
import hypothesis.strategies as st
import pytest
import trio
from hypothesis import given

import plait.testing
from plait import Context, Resource, StartEvent, StopEvent, Workflow, step
from plait.errors import StepTimeoutError
from plait.retry import retry_policy, stop_never, wait_none
from tests.strands.events.lending import Ask, Last, Manager, Next, at_once, noted, one_step, run


@pytest.mark.parametrize(
    ("options", "expected", "at"),
    [({}, 1, 1), ({"scope": "run"}, 1, 1), ({"scope": "step"}, 4, 1), ({"cache": False}, 4, 1)],
)
def test_it_is_made_once_for_those_who_share_it(options, expected, at):
    calls = []

    async def make():
        calls.append(1)
        await trio.sleep(1)

    assert run(at_once(Resource(make, **options)))[1] == at
    assert len(calls) == expected


def test_two_runs_at_once_share_what_is_the_workflows_and_nothing_else():
    log = []

    async def model():
        log.append("model")
        await trio.sleep(1)
        return "m"

    flow = one_step(Resource(model), Resource(noted("conn", log)))()

    async def main():
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                flow.run().start_soon(nursery)
        return trio.current_time()

    assert plait.testing.run(main) == 1
    assert sorted(log) == ["close conn", "close conn", "model", "open conn", "open conn"]


def test_if_who_makes_it_is_cancelled_the_next_one_makes_it():
    log = []

    async def make():
        log.append(f"begin {trio.current_time():g}")
        try:
            await trio.sleep(3)
        except trio.Cancelled:
            log.append("cancelled")
            raise
        return "made"

    class Flow(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Ask | Next | None:
            ctx.send_event(Ask())
            await trio.sleep(1)
            ctx.send_event(Next())
            await trio.sleep(1)
            assert ctx.cancel_step("first") == 1

        @step
        async def first(self, ev: Ask, it: Annotated[str, Resource(make)]) -> None:
            raise AssertionError("it was cancelled")

        @step
        async def second(self, ev: Next, it: Annotated[str, Resource(make)]) -> StopEvent:
            return StopEvent(result=it)

    assert run(Flow, skip_graph_checks=["dead_end"]) == (["made"], 5)
    assert log == ["begin 0", "cancelled", "begin 2"]


def test_a_context_manager_is_left_alone_if_who_waits_for_it_is_cancelled():
    log = []

    @asynccontextmanager
    async def slow():
        try:
            await trio.sleep(2)
            log.append("open")
            yield "it"
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            log.append(f"close {trio.current_time():g}")

    class Flow(Workflow):
        @step(timeout=1, retry_policy=retry_policy(wait=wait_none()))
        async def start(self, ev: StartEvent, it: Annotated[str, Resource(slow)]) -> StopEvent:
            raise AssertionError("never given it")

    with pytest.raises(StepTimeoutError):
        run(Flow)
    assert log == ["close 2", "close 4", "close 6"]


def test_a_context_manager_that_opens_just_when_its_asker_is_cancelled_is_closed():
    log = []

    @asynccontextmanager
    async def make(ctx: Context):
        await trio.sleep(1)
        assert ctx.cancel_step("ask") == 1
        log.append("open")
        yield
        log.append("close")

    class Flow(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent | Ask:
            ctx.send_event(Ask())
            await trio.sleep(2)
            log.append("later")
            return StopEvent()

        @step
        async def ask(self, ev: Ask, it: Annotated[None, Resource(make)]) -> StopEvent:
            raise AssertionError("it was cancelled")

    run(Flow)
    assert log == ["open", "close", "later"]


def test_a_failure_in_the_clean_up_of_a_cancelled_entry_is_not_lost():
    @asynccontextmanager
    async def make():
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("clean-up")
        yield

    class Flow(Workflow):
        @step(timeout=1)
        async def start(self, ev: StartEvent, it: Annotated[None, Resource(make)]) -> StopEvent:
            raise AssertionError("never given it")

    with pytest.raises(StepTimeoutError) as caught:
        run(Flow)
    assert repr(caught.value.__cause__) == "OSError('clean-up')"


@pytest.mark.parametrize("scope", ["step", "run", "workflow"])
def test_a_factorys_error_is_the_askers_and_is_not_kept(scope):
    calls = []

    async def make():
        calls.append(trio.current_time())
        if len(calls) < 3:
            raise OSError(len(calls))
        return "made"

    class Flow(Workflow):
        @step(retry_policy=retry_policy())
        async def start(
            self, ev: StartEvent, it: Annotated[str, Resource(make, scope=scope)]
        ) -> StopEvent:
            return StopEvent(result=it)

    assert run(Flow) == (["made"], 10)
    assert calls == [0, 5, 10]


@pytest.mark.parametrize("managed", [True, False])
def test_if_who_makes_it_fails_the_next_one_makes_it(managed):
    calls = []

    @asynccontextmanager
    async def manager():
        calls.append(1)
        await trio.sleep(1)
        if len(calls) == 1:
            raise OSError("busy")
        yield "made"

    async def value():
        async with manager() as it:
            return it

    class Flow(at_once(Resource(manager if managed else value))):
        @step(num_workers=4, retry_policy=retry_policy(wait=wait_none()))
        async def ask(
            self,
            ctx: Context,
            ev: Ask,
            it: Annotated[Any, Resource(manager if managed else value)],
        ) -> StopEvent | None:
            if ctx.collect_events(ev, {Ask: 4}) is not None:
                return StopEvent(result=it)
            return None

    assert run(Flow) == (["made"], 2)
    assert len(calls) == 2


def test_the_error_of_a_context_managers_entry_is_the_askers():
    @contextmanager
    def broken():
        raise OSError("no route")
        yield

    for scope in ("run", "step"):
        with pytest.raises(OSError, match="no route") as caught:
            run(one_step(Resource(broken, scope=scope)))
        assert "in step 'start'" in caught.value.__notes__[0]


@pytest.mark.parametrize(("made", "scope"), [(Manager, "run"), (object, "workflow")])
@pytest.mark.parametrize("order", [1, -1])
def test_markers_with_and_without_a_scope_share_one_instance(made, scope, order):
    calls = []

    async def make():
        await trio.sleep(1)
        calls.append(1)
        return made()

    one, two = [Resource(make), Resource(make, scope=scope)][::order]

    class Flow(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Ask | Next | None:
            self.lent = []
            ctx.send_event(Ask())
            ctx.send_event(Next())

        @step
        async def first(self, ev: Ask, it: Annotated[Any, one]) -> Last:
            self.lent.append(it)
            return Last()

        @step
        async def second(self, ev: Next, it: Annotated[Any, two]) -> Last:
            self.lent.append(it)
            return Last()

        @step
        async def end(self, ctx: Context, ev: Last) -> StopEvent | None:
            if ctx.collect_events(ev, [Last] * 2) is not None:
                return StopEvent(result=self.lent)
            return None

    [[it, same]], time = run(Flow)
    assert it is same
    assert (calls, time) == ([1], 1)


# ---------------------------------------------------------------- in any order


@attrs.frozen
class Asker:
    """A delivery: when it asks, and how long it uses what it gets; `patience` ends it before."""

    asks_at: int
    uses: int
    patience: int


askers = st.lists(
    st.builds(Asker, st.integers(0, 6), st.integers(0, 6), st.integers(0, 9)),
    min_size=1,
    max_size=5,
)
#: How long each attempt at opening takes, and whether it fails.
openings = st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=4)


class Place:
    """Where instances of one context manager are opened and closed."""

    def __init__(self, name, openings, log):
        self.name = name
        self.openings = iter(openings)
        self.log = log
        self.being_opened = 0
        self.living = []

    @asynccontextmanager
    async def instance(self):
        assert not self.living
        assert self.being_opened == 0, "two are opened at once"
        takes, fails = next(self.openings, (1, False))
        self.being_opened += 1
        try:
            await trio.sleep(takes)
            if fails:
                raise OSError(self.name)
        finally:
            self.being_opened -= 1
        it = object()
        self.living.append(it)
        self.log.append(("open", self.name))
        try:
            yield it
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            self.living.remove(it)
            self.log.append(("close", self.name))


@given(askers, openings, openings)
@pytest.mark.parametrize("known", [True, False])
def test_one_instance_whoever_asks_fails_or_is_cancelled(known, askers, of_root, of_tip):
    log, lent = [], []
    root, tip = Place("root", of_root, log), Place("tip", of_tip, log)

    def make_root():
        return root.instance()

    def make_tip(below: Annotated[object, Resource(make_root, scope="run" if known else None)]):
        assert root.living == [below]
        return tip.instance()

    marker = Resource(make_tip, scope="run" if known else None)

    class Flow(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Ask | StopEvent:
            for n in range(len(askers)):
                ctx.send_event(Ask(n=n))
            for time in range(25):
                for n, asker in enumerate(askers):
                    if time == asker.asks_at + asker.patience:
                        ctx.cancel_step("use", lambda ev, n=n: ev.n == n)
                await trio.sleep(1)
            return StopEvent(result="done")

        @step
        async def wait(self, ev: Ask) -> Next:
            await trio.sleep(askers[ev.n].asks_at)
            return Next(n=ev.n)

        @step(num_workers=5, retry_policy=retry_policy(wait=wait_none(), stop=stop_never))
        async def use(self, ev: Next, it: Annotated[object, marker]) -> None:
            assert tip.living == [it]
            lent.append(it)
            await trio.sleep(askers[ev.n].uses)

    # It fails if an opening fails just when its asker is cancelled: that one does not try again.
    with suppress(OSError):
        assert run(Flow, skip_graph_checks=["dead_end"])[0] == ["done"]
    assert len(set(map(id, lent))) <= 1
    still_open = []
    for event, name in log:
        if event == "open":
            still_open.append(name)
        else:
            assert still_open.pop() == name, "the newest is closed first"
    assert still_open == tip.living == root.living == []
