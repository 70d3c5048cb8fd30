"""Durable calls in steps: recorded once, named by their delivery, and remembered by whoever goes on."""

import json
from collections import Counter

import anyio
import pytest

from plait import Context, StartEvent, StopEvent, step
from plait._steps.attempt import current_step
from plait.errors import (
    DeterminismError,
    NestedStepError,
    StepError,
    StepOutputError,
    UntrackedTaskError,
    WorkflowRuntimeError,
)
from tests.parity.clocks import in_virtual_time
from tests.strands.events.journal.durable_programs import (
    PROGRAMS,
    BodyRetries,
    CallsRetry,
    Deadline,
    Durable,
    Failing,
    Groups,
    Many,
    Nursery,
    Race,
    Sequence,
    broken,
    double,
    ran,
)
from tests.strands.events.journal.lives import (
    Held,
    Kept,
    Moment,
    entries_of,
    everywhere,
    live_until,
    outcome_of,
)
from tests.strands.events.journal.lives import home as home
from tests.strands.events.journal.lives import wall_clock as wall_clock

ENDED = {"step.completed", "step.failed"}


@pytest.fixture(autouse=True)
def nothing_ran():
    ran.clear()


def of_calls(journal, *kinds):
    """Entries of calls, of all runs of a journal."""
    return [
        entry
        for run_id in journal._streams
        for entry in entries_of(journal, run_id)
        if entry.key is not None and (not kinds or entry.kind in kinds)
    ]


# ---------------------------------------------------------------- another process goes on


@in_virtual_time
@pytest.mark.parametrize("program", PROGRAMS)
async def test_killed_after_each_append_it_comes_to_the_same(program):
    """The result is the same, and no call that had ended runs again; what runs again has its key."""
    journal = Kept()
    assert await program(journal=journal).run(run_id="r") == PROGRAMS[program]
    known = {*ran}
    assert known
    for number in range(1, len(journal.appends) + 1):
        left = journal.killed_after(number)
        over = {entry.key for entry in of_calls(left, *ENDED)}
        cancelled = {entry.key for entry in of_calls(left, "step.cancelled")}
        ran.clear()
        where = f"after {number} of {len(journal.appends)}, {left.appends[number - 1][-1].kind}"
        assert await outcome_of(program(journal=left).resume("r")) == PROGRAMS[program], where
        assert not over & {*ran}, where
        assert not cancelled & {*ran}, where
        assert {*ran} <= known, where
        ran.clear()
        assert await program(journal=left).resume("r") == PROGRAMS[program], where
        assert not ran, where


@in_virtual_time
@pytest.mark.parametrize("program", [Groups, Race, Many, BodyRetries])
async def test_killed_again_and_again_it_comes_to_the_same(program):
    """Each life has two appends: that it goes on, and one more."""
    journal, result = Kept(), None
    for lives in range(60):
        before = len(journal.appends)
        over = {entry.key for entry in of_calls(journal, *ENDED)}
        ran.clear()
        result = await outcome_of(program(journal=journal).run(run_id="r"))
        assert not over & {*ran}
        if len(journal.appends) <= before + 2:
            assert lives > 2
            break
        journal = journal.killed_after(before + 2)
    assert result == PROGRAMS[program]


@everywhere
@pytest.mark.parametrize("program", [Sequence, Nursery])
async def test_what_is_suspended_goes_on_with_its_calls(home, program):
    """Nothing is recorded of who is called away, and the handler runs again with the same key."""
    begun = Moment()
    keys = []

    async def stuck():
        keys.append(current_step().idempotency_key)
        begun.set()
        if len(keys) == 1:
            await anyio.sleep_forever()
        return 7

    class Stuck(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            first = await ctx.step.run("first", double, 1)
            try:
                if program is Nursery:
                    (second,) = await ctx.group.map("second", lambda _: stuck(), [0])
                else:
                    second = await ctx.step.run("second", stuck)
            finally:
                ran.append("finally")
            return StopEvent(result=[first, second])

    await live_until(begun, Stuck(journal=home.journal()).run(run_id="r"))
    assert ran == ['[[["start",1]],"first",0]', "finally"]
    assert "step.cancelled" not in await home.tags("r")
    assert await Stuck(journal=home.journal()).resume("r") == [2, 7]
    assert len(keys) == 2
    assert len({*keys}) == 1
    assert ran == ['[[["start",1]],"first",0]', "finally", "finally"]
    assert (await home.tags("r")).count("step.completed") == 2


# ---------------------------------------------------------------- keys and records


@in_virtual_time
async def test_a_key_begins_with_the_step_and_the_delivery():
    journal = Kept()
    await Many(journal=journal).run(run_id="r")
    keys = [json.loads(entry.key) for entry in of_calls(journal, "step.completed")]
    assert sorted(key[0] for key in keys) == sorted(
        [["each", number]] for number in range(2, 6) for _ in range(2)
    )
    assert {(key[1], key[2]) for key in keys} == {("first", 0), ("second", 0)}


@in_virtual_time
async def test_places_in_groups_and_nurseries_come_after_that():
    journal = Kept()
    await Groups(journal=journal).run(run_id="r")
    paths = {tuple(map(str, json.loads(entry.key)[0])) for entry in of_calls(journal)}
    first = "['start', 1]"
    assert paths == {
        *((first, f"['g', 0, {k}]") for k in range(2)),
        *((first, f"['m', 'm', 0, {k}]") for k in range(3)),
        *((first, f"['g', 1, {k}]") for k in range(2)),
    }
    journal = Kept()
    await Nursery(journal=journal).run(run_id="r")
    places = Counter(json.loads(entry.key)[0][1] for entry in of_calls(journal, "step.completed"))
    assert places == {0: 2, 1: 2, 2: 2, 3: 2}


@in_virtual_time
async def test_an_outcome_is_on_disk_before_the_body_sees_it():
    journal, seen = Kept(), []

    class Looks(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            for n in range(3):
                await ctx.step.run("look", double, n)
                seen.append(sum(e.kind == "step.completed" for a in journal.appends for e in a))
            return StopEvent(result=None)

    await Looks(journal=journal).run(run_id="r")
    assert seen == [1, 2, 3]


@in_virtual_time
async def test_while_the_journal_is_silent_nothing_is_handed_out():
    journal, seen = Held(), []

    class Looks(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            journal.hold()
            seen.append(await ctx.step.run("look", double, 1))
            return StopEvent(result=None)

    async with anyio.create_task_group() as tasks:
        run = Looks(journal=journal).run(run_id="r")
        tasks.start_soon(outcome_of, run)
        await anyio.sleep(10)
        assert len(ran) == 1
        assert seen == []
        journal.release()
        await anyio.sleep(10)
        assert seen == [2]


@in_virtual_time
async def test_records_of_calls_are_told_to_observers_once_they_are_on_disk():
    journal = Kept()
    run = Sequence(journal=journal).run(run_id="r")
    trace = run.trace()
    await run
    told = [type(record).__name__ for record in trace.records]
    assert told.count("CallCompleted") == 6
    assert "step 'a' in delivery 1 of step 'start' ends" in str(trace)
    assert "3600.000 s  step 'nap' in delivery 1 of step 'start' ends" in str(trace)


@in_virtual_time
async def test_a_sleep_goes_on_from_process_to_process(wall_clock):
    journal = Kept()

    class Naps(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            await ctx.step.sleep("nap", 100)
            return StopEvent(result=None)

    with anyio.move_on_after(40):
        await Naps(journal=journal).run(run_id="r")
    wall_clock.ahead += 30  # the machine was off
    before = anyio.current_time()
    await Naps(journal=journal).resume("r")
    assert anyio.current_time() - before == pytest.approx(30)


# ---------------------------------------------------------------- what ran how often


@in_virtual_time
@pytest.mark.parametrize(
    ("program", "often"),
    [(Sequence, 5), (Race, 3), (Deadline, 2), (CallsRetry, 4), (BodyRetries, 2), (Failing, 2)],
)
async def test_each_handler_runs_as_often_as_it_must(program, often):
    assert await program(journal=Kept()).run(run_id="r") == PROGRAMS[program]
    assert len(ran) == often


@in_virtual_time
async def test_a_failed_call_fails_the_delivery_without_another_attempt_of_the_body():
    bodies = []

    class Fails(Durable):
        @step(retry_policy=CallsRetry.start.__plait_step__.retry_policy)
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            bodies.append(ctx.retry_info().retry_number)
            await ctx.group.parallel(
                (
                    lambda: ctx.step.run("bad", broken, retry=0),
                    lambda: ctx.step.run("worse", broken, retry=0),
                ),
                on_error="wait",
            )
            return StopEvent(result=None)

    journal = Kept()
    with pytest.raises(ExceptionGroup) as caught:
        await Fails(journal=journal).run(run_id="r")
    assert caught.group_contains(StepError, match="no disk")
    assert bodies == [0]
    again = await outcome_of(Fails(journal=journal).resume("r"))
    assert isinstance(again, ExceptionGroup)
    assert bodies == [0]


@in_virtual_time
async def test_a_value_that_cannot_be_recorded_fails_the_call():
    async def gives_object():
        return object()

    class Gives(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            try:
                await ctx.step.run("it", gives_object)
            except StepOutputError as error:
                return StopEvent(result=error.attempts)

    assert await Gives(journal=Kept()).run(run_id="r") == 1


@in_virtual_time
async def test_errors_are_the_same_after_a_recovery():
    journal = Kept()
    said = []

    class Catches(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            try:
                await ctx.step.run("bad", broken)
            except StepError as error:
                said.append((str(error), error.key, error.stack, repr(error.__cause__)))
            await ctx.step.run("after", double, 1)
            return StopEvent(result=None)

    await Catches(journal=journal).run(run_id="r")
    number = next(
        n for n, append in enumerate(journal.appends, 1) if append[-1].kind == "step.failed"
    )
    await Catches(journal=journal.killed_after(number)).resume("r")
    assert said[0] == said[1]
    assert said[0][3] == "OSError('no disk')"


# ---------------------------------------------------------------- what is refused


@in_virtual_time
async def test_a_call_inside_a_handler_is_refused():
    class Nests(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            async def outer():
                with pytest.raises(NestedStepError):
                    await ctx.step.run("inner", double, 1)

            await ctx.step.run("outer", outer)
            return StopEvent(result=None)

    journal = Kept()
    with pytest.raises(NestedStepError, match="inner"):
        await Nests(journal=journal).run(run_id="r")
    assert not ran
    assert [json.loads(e.key)[1] for e in of_calls(journal, "step.failed")] == ["outer"]


USES = {
    "step": lambda ctx: ctx.step,
    "group": lambda ctx: ctx.group,
    "move_on_after": lambda ctx: ctx.move_on_after(1),
    "fail_after": lambda ctx: ctx.fail_after(1),
}


@in_virtual_time
@pytest.mark.parametrize("use", USES)
async def test_without_a_journal_it_says_so(use):
    class Forgets(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            return StopEvent(result=USES[use](ctx))

    with pytest.raises(WorkflowRuntimeError, match=rf'ctx\.{use}.*\n  right:  Forgets\(journal="'):
        await Forgets().run()


@in_virtual_time
async def test_a_plain_function_is_refused():
    class Plain(Durable):
        @step
        def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            return StopEvent(result=ctx.step)

    with pytest.raises(WorkflowRuntimeError, match=r"plain function; ctx\.step needs async def"):
        await Plain(journal=Kept()).run(run_id="r")


async def behind_its_back():
    return await Context.get_step_context().step.run("hidden", double, 1)


@in_virtual_time
async def test_a_call_behind_the_back_of_a_body_that_is_not_watched_is_refused():
    class Hides(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            ctx.write_event_to_stream(None)
            return StopEvent(result=await behind_its_back())

    with pytest.raises(UntrackedTaskError, match=r"async def start\(self, ctx: Context"):
        await Hides(journal=Kept()).run(run_id="r")


@in_virtual_time
async def test_what_only_functions_have_is_refused_with_what_to_write():
    class Asks(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            for name, instead in (
                ("wait_for_event", r"ctx\.wait_for_event\("),
                ("send_event", r"ctx\.send_event\("),
                ("invoke", r"ctx\.run_child\("),
            ):
                with pytest.raises(AttributeError, match=instead):
                    getattr(ctx.step, name)
            with pytest.raises(AttributeError, match="no attribute 'rum'"):
                _ = ctx.step.rum
            with pytest.raises(TypeError, match="catch_error"):
                await ctx.step.run("a", double, 1, rollback=double)
            with pytest.raises(TypeError, match="step_id must be a str"):
                await ctx.step.run(1, double, 1)
            return StopEvent(result="all")

    assert await Asks(journal=Kept()).run(run_id="r") == "all"


@in_virtual_time
async def test_a_call_of_another_bodys_task_is_refused():
    class Crosses(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            stolen.append(ctx.step)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.other)
            return StopEvent(result=None)

        async def other(self):
            await Inside(journal=Kept()).run(run_id="s")

    class Inside(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            with pytest.raises(UntrackedTaskError, match="from a task of run 's'"):
                await stolen[0].run("theirs", double, 1)
            return StopEvent(result=await ctx.step.run("mine", double, 1))

    stolen = []
    await Crosses(journal=Kept()).run(run_id="r")
    assert len(ran) == 1


# ---------------------------------------------------------------- the code has changed


class Charges(Durable):
    handler = staticmethod(double)

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
        paid = await ctx.step.run("charge", self.handler, 1)
        await ctx.step.run("after", double, paid)
        return StopEvent(result=paid)


async def refund(x):
    return -x


@in_virtual_time
async def test_code_that_does_not_fit_the_journal_suspends_the_run(monkeypatch):
    """It is not failed: with the code restored, or by order, the run goes on."""
    journal = Kept()
    await Charges(journal=journal).run(run_id="r")
    number = next(
        n for n, append in enumerate(journal.appends, 1) if append[-1].kind == "step.completed"
    )
    left = journal.killed_after(number)
    with monkeypatch.context() as patch:
        patch.setattr(Charges, "handler", staticmethod(refund))
        with pytest.raises(DeterminismError) as caught:
            await Charges(journal=left).resume("r")
        assert "ran double before, now refund" in str(caught.value)
        assert "workflow.resume('r', accept_changes=True)" in str(caught.value)
        assert left._streams["r"].status == "held"
        held = entries_of(left, "r")[-1]
        assert (held.kind, held.key) == ("run.held", None)
        differs = json.loads(held.body)["why"]["differs"]
        assert (differs["before"], differs["now"]) == ("double", "refund")
        accepted = Kept(left.appends)
        assert await Charges(journal=accepted).resume("r", accept_changes=True) == 2
        assert accepted._streams["r"].status == "completed"
        with pytest.raises(DeterminismError):
            await Charges(journal=left).resume("r")
    assert await Charges(journal=left).resume("r") == 2
    assert left._streams["r"].status == "completed"
    statuses = [entry.status for append in left.appends for entry in append if entry.status]
    assert statuses == [*["running", "held"] * 2, "running", "completed"]


# ---------------------------------------------------------------- patches


class Before(Durable):
    @step
    async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
        ran.append("code before the change")
        a = await ctx.step.run("a", double, 1)
        b = await ctx.step.run("b", double, a)
        return StopEvent(result=[a, b])


class After(Durable):
    """The same with another handler, for those who were not on their way."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
        handler = refund if ctx.patched("refund") else double
        a = await ctx.step.run("a", handler, 1)
        b = await ctx.step.run("b", double, a)
        return StopEvent(result=[a, b, ctx.patched("refund"), ctx.patched("late")])


@in_virtual_time
async def test_a_patch_holds_for_bodies_that_begin_with_it():
    """Who was on the way goes on as it began; and what was said once is said again, wherever it dies."""
    journal = Kept()
    await Before(journal=journal, workflow_name="P").run(run_id="r")
    number = next(
        n for n, append in enumerate(journal.appends, 1) if append[-1].kind == "step.completed"
    )
    old = journal.killed_after(number)
    assert await After(journal=old, workflow_name="P").resume("r") == [2, 4, False, True]
    assert old.tags("r").count("delivery.patched") == 2

    journal = Kept()
    assert await After(journal=journal).run(run_id="r") == [-1, -2, True, True]
    for number in range(1, len(journal.appends) + 1):
        left = journal.killed_after(number)
        assert await After(journal=left).resume("r") == [-1, -2, True, True], number
        keys = [
            json.loads(entry.body)["patch"]
            for entry in entries_of(left, "r")
            if entry.kind == "delivery.patched"
        ]
        assert sorted(keys) == ["late", "refund"], number


@in_virtual_time
async def test_a_patch_is_remembered_in_a_snapshot():
    """Each delivery has its own."""
    reached = Moment()

    class W(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            on = ctx.patched("p")
            a = await ctx.step.run("a", double, 1)
            reached.set()
            await anyio.sleep(100 if not wait.is_set() else 0)
            return StopEvent(result=[on, ctx.patched("p"), ctx.patched("q"), a])

    wait = anyio.Event()
    flow = W(journal=Kept())
    async with flow.run(run_id="r") as run:
        await reached.wait()
        data = run.ctx.to_dict()
        wait.set()
        await run.cancel_run()
    reached = Moment()
    again = W(journal=Kept())
    before = len(ran)
    assert await again.run(ctx=Context.from_dict(again, data)) == [True, True, True, 2]
    assert len(ran) == before


@in_virtual_time
@pytest.mark.parametrize(("given", "error"), [(2, TypeError), ("", ValueError)])
async def test_a_patch_has_a_name(given, error):
    class W(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            with pytest.raises(error, match=r"write ctx.patched"):
                ctx.patched(given)
            return StopEvent()

    await W(journal=Kept()).run()


@in_virtual_time
async def test_without_a_journal_there_are_no_patches():
    class W(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            ctx.patched("p")
            return StopEvent()

    with pytest.raises(WorkflowRuntimeError, match=r"uses ctx.patched\(\), .* has no journal"):
        await W().run()
