"""Rows 45, 75 to 77 and 79: what an attempt that fails leaves, and what the next one sees."""

import anyio
import anyio.lowlevel
import pytest

from plait import Context, StartEvent, StopEvent, Workflow, step
from plait.events import StepStateChanged
from plait.retry import (
    ConstantDelayRetryPolicy,
    retry_if_exception_type,
    retry_policy,
    stop_after_attempt,
    wait_fixed,
    wait_none,
)
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A, B

AT_ONCE = ConstantDelayRetryPolicy(maximum_attempts=3, delay=0)


@pytest.mark.anyio
async def test_row_045_a_batch_is_offered_to_every_attempt():
    seen = []

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(3):
                ctx.send_event(A(n=n))

        @step(num_workers=1, retry_policy=AT_ONCE)
        async def t(self, ctx: Context, ev: A) -> StopEvent | None:
            batch = ctx.collect_events(ev, [A] * 3)
            if batch is None:
                return None
            seen.append([a.n for a in batch])
            if len(seen) < 3:
                raise ValueError(len(seen))
            return StopEvent(result=[a.n for a in batch])

    run = Flow().run()
    assert await run == [0, 1, 2]
    assert seen == [[0, 1, 2]] * 3
    assert run.undelivered == ()


@pytest.mark.anyio
async def test_row_045_a_failure_before_the_batch_is_whole_counts_once():
    calls = []

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            ctx.send_event(A(n=0))
            ctx.send_event(A(n=1))

        @step(num_workers=1, retry_policy=AT_ONCE)
        async def t(self, ctx: Context, ev: A) -> StopEvent | None:
            batch = ctx.collect_events(ev, [A, A])
            calls.append((ev.n, batch and [a.n for a in batch]))
            if calls.count((0, None)) == 1 and ev.n == 0:
                raise ValueError
            return StopEvent() if len(calls) == 3 else None

    run = Flow().run()
    await run
    assert sorted(calls, key=repr) == [(0, None), (0, None), (1, [0, 1])]
    assert run.undelivered == ()


class WithSeed:
    def __init__(self):
        self.calls = []

    def next(self, elapsed_time, attempts, error, *, seed=None):
        self.calls.append((elapsed_time, attempts, str(error), seed))
        return 2.0 if attempts < 3 else None


class WithoutSeed:
    def __init__(self):
        self.calls = []

    def next(self, elapsed_time, attempts, error):
        self.calls.append((elapsed_time, attempts, str(error), None))
        return 2.0 if attempts < 3 else None


@in_virtual_time
@pytest.mark.parametrize("policy", [WithSeed, WithoutSeed])
async def test_row_075_custom_policies(policy):
    policy = policy()
    attempts = []

    class Flow(Workflow):
        @step(retry_policy=policy)
        async def s(self, ev: StartEvent) -> StopEvent:
            attempts.append(anyio.current_time())
            raise ValueError(f"no {len(attempts)}")

    with pytest.raises(ValueError, match="no 3"):
        await Flow().run(run_id="R")
    assert attempts == [0, 2, 4]
    assert [call[:3] for call in policy.calls] == [(0, 1, "no 1"), (2, 2, "no 2"), (4, 3, "no 3")]


@in_virtual_time
async def test_row_075_the_seed_follows_from_run_and_attempt():
    def flow(policy):
        class Flow(Workflow):
            @step(retry_policy=policy)
            async def s(self, ev: StartEvent) -> StopEvent:
                raise ValueError

        return Flow()

    one, again, other = WithSeed(), WithSeed(), WithSeed()
    for policy, run_id in ((one, "R"), (again, "R"), (other, "Q")):
        with pytest.raises(ValueError):
            await flow(policy).run(run_id=run_id)
    seeds = [[call[3] for call in policy.calls] for policy in (one, again, other)]
    assert seeds[0] == seeds[1] != seeds[2]
    assert None not in seeds[0]
    assert len({*seeds[0]}) == 3


@pytest.mark.anyio
async def test_row_075_a_policy_that_raises_fails_the_run():
    class Broken:
        def next(self, elapsed_time, attempts, error):
            raise ZeroDivisionError

    class Flow(Workflow):
        @step(retry_policy=Broken())
        async def s(self, ev: StartEvent) -> StopEvent:
            raise ValueError("x")

    with pytest.raises(ZeroDivisionError) as caught:
        await Flow().run()
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.anyio
async def test_row_075_a_condition_that_says_no_ends_the_attempts():
    attempts = []

    class Flow(Workflow):
        @step(retry_policy=retry_policy(retry_if_exception_type(OSError), wait=wait_none()))
        async def s(self, ev: StartEvent) -> StopEvent:
            attempts.append(1)
            raise OSError if len(attempts) == 1 else ValueError

    with pytest.raises(ValueError):
        await Flow().run()
    assert len(attempts) == 2


@pytest.mark.anyio
async def test_row_076_retry_info():
    infos = []

    class Flow(Workflow):
        @step(retry_policy=AT_ONCE)
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            infos.append(ctx.retry_info())
            if len(infos) < 3:
                raise errors[len(infos) - 1]
            return StopEvent()

    errors = [ValueError("first"), KeyError("second")]
    await Flow().run()
    assert [info.retry_number for info in infos] == [0, 1, 2]
    assert [info.last_exception for info in infos] == [None, *errors]
    assert infos[0].last_failed_at is None
    assert all(info.last_failed_at.utcoffset().total_seconds() == 0 for info in infos[1:])


@in_virtual_time
async def test_row_076_retry_info_knows_the_seconds_of_the_runs_clock():
    infos = []

    class Flow(Workflow):
        @step(retry_policy=retry_policy(wait=wait_fixed(5), stop=stop_after_attempt(3)))
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            await anyio.sleep(1)
            infos.append(ctx.retry_info())
            if len(infos) < 3:
                raise ValueError
            return StopEvent()

    await Flow().run()
    # The first attempt begins at 0, the second at 6, the third at 12.
    assert [info.elapsed_seconds for info in infos] == [0, 6, 12]
    assert anyio.current_time() == 13


@in_virtual_time
async def test_row_077_a_delayed_retry_frees_its_slot():
    log = []

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(3):
                ctx.send_event(A(n=n))

        @step(num_workers=1, retry_policy=ConstantDelayRetryPolicy(maximum_attempts=2, delay=1))
        async def t(self, ctx: Context, ev: A) -> B:
            log.append((ev.n, anyio.current_time()))
            if len(log) == 1:
                raise ValueError
            return B(n=ev.n)

        @step
        async def end(self, ctx: Context, ev: B) -> StopEvent | None:
            return ctx.collect_events(ev, [B] * 3) and StopEvent()

    await Flow().run()
    assert log == [(0, 0), (1, 0), (2, 0), (0, 1)]


@pytest.mark.anyio
async def test_row_077_a_retry_goes_to_the_back_of_the_queue():
    log = []

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(3):
                ctx.send_event(A(n=n))

        @step(num_workers=1, retry_policy=AT_ONCE)
        async def t(self, ctx: Context, ev: A) -> B:
            log.append(ev.n)
            await anyio.lowlevel.checkpoint()
            if len(log) == 1:
                raise ValueError
            return B(n=ev.n)

        @step
        async def end(self, ctx: Context, ev: B) -> StopEvent | None:
            return ctx.collect_events(ev, [B] * 3) and StopEvent()

    await Flow().run()
    assert log == [0, 1, 2, 0]


@in_virtual_time
async def test_row_077_a_pending_retry_does_not_end_the_run():
    class Flow(Workflow):
        @step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=2, delay=100))
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            if ctx.retry_info().retry_number == 0:
                raise ValueError
            return StopEvent(result="second")

    async with Flow().run() as run:
        await anyio.sleep(50)
        assert run.state == "running"
        assert run.running_steps() == []
        states = [
            event
            async for event in run.stream_events(expose_internal=True)
            if isinstance(event, StepStateChanged)
        ]
        assert [event.step_state.value for event in states] == ["running", "not_running"]
    assert await run == "second"
    assert anyio.current_time() == 100


class Sender(Workflow):
    """Sends twice in each of three attempts, of which two fail."""

    def __init__(self):
        super().__init__()
        self.attempts = 0
        self.got = []

    @step(retry_policy=AT_ONCE)
    async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
        self.attempts += 1
        ctx.send_event(B(n=self.attempts), on_success=True)
        ctx.send_event(A(n=self.attempts))
        if self.attempts < 3:
            raise ValueError
        return A(n=99)

    @step(num_workers=1)
    async def t(self, ev: A | B) -> StopEvent | None:
        self.got.append(ev)
        return StopEvent() if ev.n == 99 else None


@pytest.mark.anyio
async def test_row_079_sends_of_failed_attempts_can_be_held_back():
    flow = Sender()
    await flow.run()
    assert [ev for ev in flow.got if isinstance(ev, B)] == [B(n=3)]
    assert [ev.n for ev in flow.got if isinstance(ev, A)] == [1, 2, 3, 99]


@pytest.mark.anyio
async def test_row_079_a_held_event_comes_after_the_sends_and_before_the_return():
    flow = Sender()
    await flow.run()
    assert flow.got == [A(n=1), A(n=2), A(n=3), B(n=3), A(n=99)]


@pytest.mark.anyio
async def test_row_079_what_a_step_that_never_succeeds_held_is_dropped():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | StopEvent:
            ctx.send_event(A(), on_success=True)
            raise ValueError

        @step
        async def t(self, ev: A) -> None:
            pytest.fail("was never sent")

    run = Flow(disable_validation=True).run()
    with pytest.raises(ValueError):
        await run
    assert run.undelivered == ()
