"""Time over several lives: timeouts go on counting, retries keep their count and what is left of a delay.

The clock on the wall goes with the virtual clock of the loop; `wall_clock.ahead` is time that passes while
no process has the run.
"""

import anyio
import pytest

from plait import Context, HumanResponseEvent, StartEvent, StopEvent, Timeout, Workflow, step
from plait.errors import StepTimeoutError, WorkflowTimeoutError
from plait.events import StepFailedEvent, catch_error
from plait.retry import ConstantDelayRetryPolicy, retry_policy, stop_after_delay, wait_fixed
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A
from tests.strands.events.journal.lives import Kept, live_for, outcome_of
from tests.strands.events.journal.lives import wall_clock as wall_clock


class Told(HumanResponseEvent):
    pass


class Sleeps(Workflow):
    @step
    async def first(self, ev: StartEvent) -> A:
        await anyio.sleep(3)
        return A()

    @step
    async def second(self, ev: A) -> StopEvent:
        await anyio.sleep(6)
        return StopEvent(result=anyio.current_time())


@in_virtual_time
async def test_the_timeout_counts_all_lives(wall_clock):
    """Ten seconds of life, whatever lies between; the time without a process does not count."""
    journal = Kept()
    for _ in range(2):
        assert await live_for(4, Sleeps(timeout=10, journal=journal).run(run_id="r")) is None
        wall_clock.ahead += 1000
    error = await outcome_of(Sleeps(timeout=10, journal=journal).resume("r"))
    assert type(error) is WorkflowTimeoutError
    assert "Operation timed out after 10 seconds. Currently active steps: second" in str(error)
    assert anyio.current_time() == pytest.approx(10)


@in_virtual_time
async def test_a_run_that_ends_in_time_over_its_lives(wall_clock):
    journal = Kept()
    assert await live_for(4, Sleeps(timeout=10.5, journal=journal).run(run_id="r")) is None
    assert await Sleeps(timeout=10.5, journal=journal).resume("r") == 10


@in_virtual_time
async def test_a_killed_life_counts_as_far_as_it_is_on_record(wall_clock):
    """Of a process that was killed only what it wrote is known: the clock goes to its last record."""
    journal = Kept()
    assert await live_for(4, Sleeps(timeout=8, journal=journal).run(run_id="r")) is None
    left = Kept(journal.appends)
    started = anyio.current_time()
    error = await outcome_of(Sleeps(timeout=8, journal=left).resume("r"))
    assert type(error) is WorkflowTimeoutError
    assert 3 <= 8 - (anyio.current_time() - started) <= 4.001


class Asks(Workflow):
    @step
    async def only(self, ctx: Context, ev: StartEvent | Told) -> StopEvent | None:
        if isinstance(ev, StartEvent):
            await anyio.sleep(2)
            return None
        await anyio.sleep(2)
        return StopEvent(result="told")


@in_virtual_time
@pytest.mark.parametrize("while_idle", [False, True])
async def test_the_clock_that_stands_still_while_the_run_is_idle(wall_clock, while_idle):
    """Idle time counts against `Timeout(5)`, and not against `Timeout(5, while_idle=False)`."""
    journal = Kept()
    timeout = Timeout(5, while_idle=while_idle)
    assert await live_for(4, Asks(timeout=timeout, journal=journal).run(run_id="r")) is None
    outcome = None
    try:
        async with Asks(timeout=timeout, journal=journal).resume("r") as run:
            await anyio.sleep(10)
            if not run.is_done():
                run.send_event(Told())
                outcome = await run.result()
    except WorkflowTimeoutError as error:
        outcome = error
    if while_idle:
        assert type(outcome) is WorkflowTimeoutError
    else:
        assert outcome == "told"
    assert anyio.current_time() == pytest.approx(14 if while_idle else 16)


@in_virtual_time
async def test_the_clock_goes_on_when_the_answer_has_come(wall_clock):
    """What is left after an idle time is what was left before it, over two lives."""
    journal = Kept()
    timeout = Timeout(3, while_idle=False)
    assert await live_for(50, Asks(timeout=timeout, journal=journal).run(run_id="r")) is None
    async with Asks(timeout=timeout, journal=journal).resume("r") as run:
        await anyio.sleep(50)
        run.send_event(Told())
        error = await outcome_of(run)
    assert type(error) is WorkflowTimeoutError
    assert anyio.current_time() == pytest.approx(101)


class Retries(Workflow):
    """Fails three times; a line in the log for each attempt."""

    def __init__(self, journal, log):
        super().__init__(journal=journal)
        self.log = log

    @step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=4, delay=10))
    async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
        info = ctx.retry_info()
        self.log.append((info.retry_number, anyio.current_time(), ctx.idempotency_key))
        await anyio.sleep(1)
        if info.retry_number < 3:
            raise ValueError(info.retry_number)
        last = info.last_exception
        return StopEvent(result=(type(last).__name__, str(last), info.elapsed_seconds))


@in_virtual_time
async def test_retries_keep_their_count_and_what_is_left_of_the_delay(wall_clock):
    """Killed in the first delay, and again in the second: each attempt is at its time, with one key."""
    journal, log = Kept(), []
    assert await live_for(5, Retries(journal, log).run(run_id="r")) is None
    wall_clock.ahead += 2
    assert await live_for(10, Retries(journal, log).resume("r")) is None
    name, text, elapsed = await Retries(journal, log).resume("r")
    key = "r:only:1"
    assert log == [
        (0, 0, key),
        (1, pytest.approx(9), key),
        (2, pytest.approx(20), key),
        (3, pytest.approx(31), key),
    ]
    assert (name, text) == ("ValueError", "2")
    assert elapsed == pytest.approx(33)


@in_virtual_time
async def test_a_delay_over_several_lives(wall_clock):
    """Three processes see the same delay pass, each what was left of it."""
    journal, log = Kept(), []
    for seconds in (3, 2, 2):
        assert await live_for(seconds, Retries(journal, log).run(run_id="r")) is None
        wall_clock.ahead += 1
    assert await live_for(5, Retries(journal, log).resume("r")) is None
    assert [line[:2] for line in log] == [(0, 0), (1, pytest.approx(8))]


@in_virtual_time
async def test_a_delay_that_has_passed_is_over_at_once(wall_clock):
    journal, log = Kept(), []
    assert await live_for(5, Retries(journal, log).run(run_id="r")) is None
    wall_clock.ahead += 1000
    assert await live_for(0.5, Retries(journal, log).resume("r")) is None
    assert [line[:2] for line in log] == [(0, 0), (1, 5)]


@in_virtual_time
async def test_an_interrupted_attempt_uses_up_no_retry(wall_clock):
    """However often the process dies in it, it stays the first attempt."""
    journal, log = Kept(), []
    for _ in range(6):
        assert await live_for(0.5, Retries(journal, log).run(run_id="r")) is None
    assert [line[0] for line in log] == [0] * 6
    assert (await Retries(journal, log).resume("r"))[:2] == ("ValueError", "2")


@in_virtual_time
async def test_a_policy_counts_from_the_first_start_of_all_lives(wall_clock):
    """`stop_after_delay` sees the seconds since the first attempt began, in whatever process."""

    class W(Workflow):
        @step(retry_policy=retry_policy(wait=wait_fixed(4), stop=stop_after_delay(10)))
        async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
            log.append(anyio.current_time())
            raise ValueError(len(log))

    journal, log = Kept(), []
    for _ in range(2):
        assert await live_for(3, W(journal=journal).run(run_id="r")) is None
    error = await outcome_of(W(journal=journal).resume("r"))
    assert isinstance(error, ValueError)
    assert log == [0, 4, 8, 12]


@in_virtual_time
async def test_a_handler_of_a_failure_of_an_earlier_life(wall_clock):
    """The handler that was interrupted runs again with the same event, and the budget holds."""

    class W(Workflow):
        @step
        async def only(self, ev: StartEvent) -> StopEvent:
            log.append("only")
            raise ValueError("x")

        @catch_error
        async def handle(self, ctx: Context, ev: StepFailedEvent) -> StopEvent:
            log.append(
                (ctx.idempotency_key, str(ev.exception), ev.attempts, ev.input_event, ev.failed_at)
            )
            await anyio.sleep(2)
            return StopEvent(result=ev.step_name)

    journal, log = Kept(), []
    assert await live_for(1, W(journal=journal).run(run_id="r")) is None
    assert await W(journal=journal).resume("r") == "only"
    assert log[0] == "only"
    assert len(log) == 3
    assert log[1] == log[2]
    assert log[1][:4] == ("r:handle:2", "x", 1, StartEvent())


@in_virtual_time
async def test_the_timeout_of_a_step_is_that_of_one_body(wall_clock):
    """A body that runs again has its whole time again: it does everything again."""

    class W(Workflow):
        @step(timeout=5)
        async def only(self, ev: StartEvent) -> StopEvent:
            await anyio.sleep(naps.pop(0))
            return StopEvent(result=1)

    journal, naps = Kept(), [4.5, 4.5, 6]
    assert await live_for(4, W(journal=journal).run(run_id="r")) is None
    assert await live_for(4, W(journal=journal).run(run_id="r")) is None
    error = await outcome_of(W(journal=journal).run(run_id="r"))
    assert type(error) is StepTimeoutError
    assert anyio.current_time() == pytest.approx(13)


@in_virtual_time
async def test_queueing_is_not_timed(wall_clock):
    """A run that goes on behind others has its timeout from its admission."""
    journal = Kept()
    for name in ("a", "b"):
        assert await live_for(4, Sleeps(timeout=11, journal=journal).run(run_id=name)) is None
    flow = Sleeps(timeout=11, journal=journal, num_concurrent_runs=1)
    ends = {}

    async def own(name):
        ends[name] = await flow.resume(name)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(own, "a")
        tasks.start_soon(own, "b")
    assert sorted(ends.values()) == [14, 20]
