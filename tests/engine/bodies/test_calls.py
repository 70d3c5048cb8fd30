"""Durable calls: alive, and after a crash at any moment."""

import asyncio
import random
from datetime import UTC, datetime

import pytest
import trio

import plait.testing
from plait._engine import native
from plait._engine.bodies.body import Raised, Returned, Suspended
from plait._engine.bodies.current import current_step
from plait._kernel.calls import marks
from plait._kernel.calls.apply import apply
from plait._kernel.calls.records import (
    CallCancelled,
    CallCompleted,
    CallFailed,
    CallRetrying,
    CallStarted,
    DeadlineFired,
)
from plait.errors import (
    DeterminismError,
    JournalFullError,
    NestedStepError,
    NonRetriableError,
    NonRetriableStepError,
    RetryAfterError,
    RunSuspended,
    StepError,
    UntrackedTaskError,
)
from plait.retry import ConstantDelayRetryPolicy
from tests.engine.bodies.hosting import Life, World, ended, lives
from tests.parity.clocks import JumpingLoop, in_virtual_time

THREE = ConstantDelayRetryPolicy(maximum_attempts=3, delay=5)


def of(life, kind):
    return [record for _, record in life.records if isinstance(record, kind)]


# ------------------------------------------------------------------ values, in sequence and beside


@in_virtual_time
async def test_steps_in_sequence():
    async def function(t):
        a = await t.run("a", t.takes(3, 1))
        b = await t.run("b", t.takes(2, a + 1))
        return a, b

    life = await lives(function)
    assert life.result == (1, 2)
    assert [*life.world.ran.values()] == [1, 1]


@in_virtual_time
async def test_the_same_id_twice_in_a_loop():
    async def function(t):
        return [await t.run("foo", t.takes(1, k)) for k in range(3)] + [await t.run("foo:1")]

    life = await lives(function)
    assert life.result == [0, 1, 2, "foo:1"]
    assert [key.occurrence for key in life.started] == [0, 1, 2, 0]


@in_virtual_time
async def test_plain_nurseries_of_steps():
    async def function(t):
        got = []

        async def one(k):
            got.append(await t.run("get", t.takes(3 - k, k)))
            got.append(await t.run("get", t.takes(k, -k)))

        async with t.backend.open_nursery() as nursery:
            for k in range(3):
                nursery.start_soon(one, k)
        return sorted(got)

    life = await lives(function)
    assert life.result == [-2, -1, 0, 0, 1, 2]
    assert set(life.world.ran.values()) == {1}


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": JumpingLoop})])
async def test_task_groups_and_gather_of_asyncio():
    async def function(t):
        got = await asyncio.gather(*(t.run("get", t.takes(3 - k, k)) for k in range(3)))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(t.run("put", t.takes(k, k))) for k in range(3)]
        return got, [task.result() for task in tasks]

    life = await lives(function)
    assert life.result == ([0, 1, 2], [0, 1, 2])
    assert set(life.world.ran.values()) == {1}


async def first_two(t):
    """The first two of five win, and the others are cancelled."""
    won = []

    async def one(k, nursery):
        won.append(await t.run(f"step {k}", t.takes(5 - k, k)))
        if len(won) == 2:
            nursery.cancel_scope.cancel()
        await t.run("after", t.takes(0.5))

    async with t.backend.open_nursery() as nursery:
        for k in range(5):
            nursery.start_soon(one, k, nursery)
    return won[:2]


@in_virtual_time
async def test_the_first_two_win_again():
    life = await lives(first_two)
    assert life.result == [4, 3]
    assert len(of(life, CallCancelled)) == 3
    assert life.warned == []


def test_the_first_two_win_again_in_any_schedule():
    """Handlers that end in the same moment: the journal says which was first."""

    async def function(t):
        won = []

        async def one(k, nursery):
            won.append(await t.run(f"step {k}", t.takes(1, k)))
            if len(won) == 2:
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for k in range(4):
                nursery.start_soon(one, k, nursery)
        return won[:2]

    @plait.testing.explore_schedules(examples=20)
    async def explored():
        await lives(function, same=False)

    explored()


@in_virtual_time
async def test_a_value_is_given_as_recovery_would_give_it():
    read = []

    class AsText:
        def settle(self, value):
            return repr(value), [value]

        def read(self, data):
            read.append(data)
            return [int(data)]

    async def function(t):
        return await t.run("a", t.takes(0, 3), output=AsText())

    life = await lives(function)
    assert life.result == [3]
    read.clear()
    await Life().live(function)
    assert read == [], "what is settled is not read once more"
    assert of(life, CallCompleted)[0].value == "3"


@in_virtual_time
async def test_a_value_that_cannot_be_recorded_fails_the_call_at_once():
    class Refuses:
        def settle(self, value):
            raise OSError(value)

    async def function(t):
        with pytest.raises(StepError, match="OSError: x"):
            await t.run("a", t.takes(0, "x"), output=Refuses(), retry=THREE)
        return "goes on"

    life = await lives(function)
    assert life.result == "goes on"
    assert [*life.world.ran.values()] == [1]


# ------------------------------------------------------------------ errors and retries


@in_virtual_time
async def test_retries_with_their_delays():
    async def function(t):
        async def handler():
            if current_step.get().attempt < 2:
                raise OSError(current_step.get().attempt)
            return "done"

        return await t.run("a", handler, retry=THREE)

    life = await lives(function)
    assert life.result == "done"
    began, over = life.records[0][1].at, life.records[-1][1].at
    assert over - began == pytest.approx(10, abs=0.1)
    assert [r.attempt for r in of(life, CallRetrying)] == [0, 1]
    assert [r.attempt for r in of(life, CallStarted)] == [0, 1, 2]


@in_virtual_time
async def test_an_attempt_that_the_process_did_not_survive_is_not_counted():
    attempts = []

    async def function(t):
        async def handler():
            attempts.append(current_step.get().attempt)
            await t.nap(3)
            raise OSError("always")

        with pytest.raises(StepError) as caught:
            await t.run("a", handler, retry=THREE)
        return caught.value.attempts, str(caught.value.__cause__)

    life = await lives(function)
    assert life.result == (3, "always")
    assert {*attempts} == {0, 1, 2}


@in_virtual_time
async def test_errors_that_say_when_or_never():
    async def function(t):
        async def later():
            if current_step.get().attempt == 0:
                raise RetryAfterError("busy", 100)

        async def never():
            raise NonRetriableError("no")

        await t.run("later", later, retry=THREE)
        with pytest.raises(NonRetriableStepError):
            await t.run("never", never, retry=THREE)

    life = await lives(function)
    due = of(life, CallRetrying)[0]
    assert due.due_at - due.at == 100
    assert of(life, CallFailed)[0].attempts == 1


@in_virtual_time
async def test_an_uncaught_failure_comes_out_of_the_body():
    async def function(t):
        await t.run("a", t.takes(1, error=OSError("broken")))

    life = await lives(function)
    assert isinstance(life.ending, Raised)
    assert isinstance(life.ending.error, StepError)


@in_virtual_time
async def test_a_handler_knows_its_call():
    seen = []

    async def function(t):
        async def handler():
            seen.append(current_step.get())

        await t.run("a", handler)
        await t.run("a", handler)
        assert current_step.get(None) is None

    await Life().live(function)
    assert [(s.run_id, s.step_id, s.key, s.attempt) for s in seen] == [
        ("r1", "a", '[[],"a",0]', 0),
        ("r1", "a", '[[],"a",1]', 0),
    ]
    keys = {s.idempotency_key for s in seen}
    assert len(keys) == 2
    assert all(len(key) == 32 and int(key, 16) >= 0 for key in keys)


# ------------------------------------------------------------------ where no call may be


@in_virtual_time
async def test_a_call_inside_a_handler_fails_the_outer_one_whatever_it_catches():
    async def function(t):
        async def catches():
            try:
                await t.run("inner")
            except Exception:  # noqa: BLE001 - as users do
                return "caught"

        async def in_a_task():
            async with t.backend.open_nursery() as nursery:
                nursery.start_soon(catches)

        async def in_a_group():
            with pytest.raises(NestedStepError):
                await t.groups.parallel((catches,))

        async def under_a_deadline():
            with pytest.raises(NestedStepError), t.calls.move_on_after(1):
                raise AssertionError

        async def sleeps():
            with pytest.raises(NestedStepError):
                await t.calls.sleep("nap", 1)

        handlers = [catches, in_a_task, in_a_group, under_a_deadline, sleeps]
        for k, handler in enumerate(handlers):
            with pytest.raises(NestedStepError):
                await t.run(f"outer {k}", handler, retry=THREE)
        return "goes on"

    life = await lives(function)
    assert life.result == "goes on"
    assert {r.key.step_id for _, r in life.records} == {f"outer {k}" for k in range(5)}
    assert all(r.attempts == 1 for r in of(life, CallFailed))


@in_virtual_time
async def test_a_call_from_elsewhere_is_refused():
    caught = []

    async def stranger(t):
        with pytest.raises(UntrackedTaskError):
            await t.run("a")
        caught.append(t.records)

    async def function(t):
        await t.run("b", t.takes(1))

    await Life().live(function, stranger)
    assert len(caught) == 1


@in_virtual_time
async def test_an_id_that_is_no_text_is_refused():
    async def function(t):
        with pytest.raises(TypeError, match="step_id must be a str, not 7"):
            await t.run(7)

    assert (await Life().live(function)).result is None


@in_virtual_time
@pytest.mark.parametrize("change", ["handler", "op", "where"])
async def test_code_that_does_not_fit_the_journal_holds_the_run(change):
    async def one(t, changed):
        try:
            if changed and change == "op":
                await t.calls.sleep("a", 1)
            else:
                await t.run("a", name="refund" if changed and change == "handler" else "charge")
        except Exception:  # noqa: BLE001
            await t.run("b")  # whatever it does, it is no outcome

    async def other(t):
        await one(t, changed=True)

    async def function(t, changed):
        async with t.backend.open_nursery() as nursery:
            if changed and change == "where":
                nursery.start_soon(other, t)
            else:
                nursery.start_soon(one, t, changed)

    first = await Life().live(lambda t: function(t, changed=False))

    async def changed(t):
        await function(t, changed=True)

    again = await Life(records=first.records).live(changed)
    assert isinstance(again.ending, DeterminismError)
    assert again.records == first.records
    accepted = await Life(records=first.records, accept_changes=True).live(changed)
    assert accepted.result is None


# ------------------------------------------------------------------ sleep, deadlines, patches


@in_virtual_time
async def test_a_sleep_goes_on_where_it_was():
    async def function(t):
        await t.calls.sleep("nap", 100)
        return "slept"

    first = await lives(function)
    began = native.current().clock()()
    await Life(records=first.records[:1]).live(function)  # overdue by now
    assert native.current().clock()() - began < 1
    life = Life()

    async def crash(t):
        await t.nap(60)
        t.body.suspend()

    began = native.current().clock()()
    await life.live(function, crash)
    assert life.ending == Suspended()
    again = await Life(records=life.records).live(function)
    assert again.result == "slept"
    assert native.current().clock()() - began == pytest.approx(100, abs=0.1)


@in_virtual_time
async def test_sleeps_that_are_over_at_once():
    async def function(t):
        began = t.backend.clock()()
        await t.calls.sleep("zero", 0)
        await t.calls.sleep("less", -5)
        await t.calls.sleep_until("past", datetime(1999, 1, 1, tzinfo=UTC))
        with pytest.raises(ValueError, match="time zone"):
            await t.calls.sleep_until("naive", datetime(1999, 1, 1))  # noqa: DTZ001
        return t.backend.clock()() - began < 1

    assert (await lives(function)).result is True


@in_virtual_time
async def test_a_durable_deadline():
    async def function(t):
        with t.calls.move_on_after(10) as scope:
            await t.run("fast", t.takes(1))
            await t.run("slow", t.takes(1000))
        with pytest.raises(TimeoutError), t.calls.fail_after(5):
            await t.run("slow", t.takes(1000))
        with t.calls.fail_after(5):
            await t.run("fast", t.takes(1))
        return scope.cancelled_caught

    # A deadline that has passed while nobody ran it is over at once.
    life = await lives(function, same=False)
    assert life.result is True
    assert len(of(life, DeadlineFired)) == 2
    assert life.warned == []


@in_virtual_time
async def test_a_raw_deadline_warns_and_its_loser_does_not_run_again():
    async def function(t):
        with t.backend.cancel_scope(deadline=t.backend.clock()() + 10):
            await t.run("slow", t.takes(1000))
        return await t.run("next")

    life = await lives(function)
    again = await Life(records=life.records).live(function)
    assert len(again.warned) == 1


@in_virtual_time
async def test_a_cancellation_that_does_not_come_again_holds_the_run():
    async def function(t):
        async with t.backend.open_nursery() as nursery:
            nursery.start_soon(t.run, "a", t.takes(1000))
            await t.nap(1)
            nursery.cancel_scope.cancel()

    first = await Life().live(function)

    async def changed(t):
        async with t.backend.open_nursery() as nursery:
            nursery.start_soon(t.run, "a", t.takes(1000))

    again = await Life(records=first.records).live(changed)
    assert isinstance(again.ending, DeterminismError)
    assert again.started == []


@in_virtual_time
async def test_a_patch_is_on_where_the_run_is_live():
    async def before(t):
        await t.run("a")
        await t.run("b")

    async def after(t):
        on = [t.calls.patched("new")]
        await t.run("a")
        await t.run("b")
        return [*on, t.calls.patched("new"), t.calls.patched("newer")]

    assert (await lives(after)).result == [True, True, True]
    old = await Life().live(before)
    assert (await Life(records=old.records).live(after)).result == [False, False, True]


# ------------------------------------------------------------------ cancellation


@in_virtual_time
async def test_a_call_in_a_cancelled_scope_starts_nothing():
    async def function(t):
        with t.backend.cancel_scope() as scope:
            scope.cancel()
            await t.run("never")
        return await t.run("never")

    life = await lives(function)
    assert life.result == "never"
    assert [key.occurrence for key in life.started] == [1]


@in_virtual_time
@pytest.mark.parametrize("op", ["run", "sleep"])
async def test_what_is_recorded_returns_though_it_was_cancelled_meanwhile(op):
    """While it is on its way to disk already."""

    async def function(t):
        log = []
        with t.backend.cancel_scope() as scope:

            def cancels(records):
                if isinstance(records[0][1], CallCompleted):
                    scope.cancel()

            t.disk.hook = cancels
            async with t.backend.open_nursery() as nursery:
                nursery.start_soon(calls, t, log)
        return log

    async def calls(t, log):
        if op == "run":
            await t.run("a", t.takes(1))
        else:
            await t.calls.sleep("a", 1)
        log.append("returned")
        await t.backend.checkpoint()
        log.append("too far")

    life = await Life().live(function)
    assert life.result == ["returned"]
    assert of(life, CallCancelled) == []

    async def without_the_hook(t):
        log = []
        async with t.backend.open_nursery() as nursery:
            nursery.start_soon(calls, t, log)
        return log

    again = await Life(records=life.records).live(without_the_hook)
    assert again.result == ["returned", "too far"]
    assert again.started == []


@in_virtual_time
async def test_a_stray_cancellation_is_a_failure():
    async def function(t):
        with t.backend.cancel_scope() as scope:
            scope.cancel()
            try:
                await t.backend.checkpoint()
            except t.backend.cancelled as error:
                saved = error

        async def handler():
            raise saved

        with pytest.raises(StepError, match="nobody had cancelled it"):
            await t.run("a", handler)
        return "goes on"

    assert (await lives(function)).result == "goes on"


@in_virtual_time
async def test_suspended_in_the_middle_it_goes_on():
    for seed in range(40):
        draw = random.Random(seed)
        world = World()
        records, life = [], None

        async def crash(t, draw=draw):
            await t.nap(draw.random() * 4)
            t.body.suspend()

        async def function(t):
            try:
                with t.calls.move_on_after(7):
                    await t.calls.sleep("nap", 1000)
                return await first_two(t)
            finally:
                with t.backend.cancel_scope(shield=True):
                    if t.body.suspending:
                        with pytest.raises(RunSuspended):
                            await t.run("in a finally")

        for _ in range(12):
            life = Life(world, records)
            await life.live(function, crash)
            done, cancelled = ended(records)
            assert not (done | cancelled) & {*life.started}
            records = life.records
            if isinstance(life.ending, Returned):
                break
        else:
            life = await Life(world, records).live(function)
        won = [r.key.step_id for _, r in life.records if isinstance(r, CallCompleted)]
        assert [f"step {k}" for k in life.result] == [each for each in won if "step" in each][:2]
        assert all(len(keys) == 1 for keys in world.keys.values())


@in_virtual_time
async def test_clean_up_under_a_durable_deadline_ends_while_the_run_is_suspended():
    async def function(t):
        try:
            await t.run("a", t.takes(1000))
        finally:
            with t.backend.cancel_scope(shield=True), t.calls.move_on_after(5):
                await t.backend.event().wait()

    async def crash(t):
        await t.nap(1)
        t.body.suspend()

    life = await Life().live(function, crash)
    assert life.ending == Suspended()


@in_virtual_time
async def test_a_broken_journal_suspends_the_body_and_comes_out():
    cleaned = []

    async def function(t):
        try:
            await t.run("a", t.takes(1, "a"))
            t.disk.broken = JournalFullError("disk full")
            await t.run("b", t.takes(1, "b"))
        except BaseException:
            cleaned.append(t.body.suspending)
            raise

    life = await Life().live(function)
    assert isinstance(life.ending, JournalFullError)
    assert cleaned == [True]
    again = await Life(records=life.records).live(function)
    assert isinstance(again.ending, JournalFullError)
    assert [key.step_id for key in again.started] == ["b"]


# ------------------------------------------------------------------ waits, children, sends


@in_virtual_time
async def test_a_wait_gets_its_event_or_none():
    class Inbox:
        since = 7

        def __init__(self, t):
            self.t = t
            self.asked = {}

        def look_out(self, key, event):
            self.asked[event] = key

        def forget(self, key):
            self.asked = {event: other for event, other in self.asked.items() if other != key}

        def overdue(self, key, over):
            return False

    async def function(t):
        t.inbox = Inbox(t)
        got = await t.calls.wait("w", "paid", seconds=10, waits=t.inbox)
        none = await t.calls.wait("w", "shipped", seconds=10, waits=t.inbox)
        return got, none, sorted(t.inbox.asked)

    async def sends(t):
        while "paid" not in getattr(getattr(t, "inbox", None), "asked", ()):
            await t.nap(1)
        assert t.calls.event_arrived(t.inbox.asked.pop("paid"), "an event")

    life = await lives(function, sends, same=False)  # as for a deadline
    assert life.result == ("an event", None, [])


class Late:
    """Still looks for what came in time when the time is over."""

    since = 7

    def __init__(self):
        self.over = None

    def look_out(self, key, event):
        self.key = key

    def forget(self, key):
        """It looks no more."""

    def overdue(self, key, over):
        assert key == self.key
        self.over = over
        return True


@in_virtual_time
@pytest.mark.parametrize("found", [True, False])
async def test_a_wait_whose_time_is_over_may_still_be_looking(found):
    async def function(t):
        t.late = Late()
        return await t.calls.wait("w", "paid", seconds=10, waits=t.late)

    async def looks(t):
        while getattr(getattr(t, "late", None), "over", None) is None:
            await t.nap(1)
        await t.nap(5)
        if found:
            assert t.calls.event_arrived(t.late.key, "an event")
        t.late.over()

    life = await lives(function, looks, same=False)
    assert life.result == ("an event" if found else None)


@in_virtual_time
async def test_a_wait_fails_if_nobody_can_say_what_it_accepts():
    class Asking(Late):
        def look_out(self, key, event):
            self.looked = key

    async def function(t):
        t.asking = Asking()
        with pytest.raises(StepError) as caught:
            await t.calls.wait("w", "paid", seconds=10, waits=t.asking)
        return type(caught.value.__cause__)

    async def looks(t):
        while not hasattr(getattr(t, "asking", None), "looked"):
            await t.nap(1)
        assert t.calls.event_arrived(t.asking.looked, None, KeyError("none"))

    life = await lives(function, looks, same=False)
    assert life.result is KeyError


class Nursery:
    """Runs children: `quick` ones are done when `attends` looks, others end when they are cancelled."""

    def __init__(self, t):
        self.t = t
        self.ends = {}
        self.keys = {}

    def start(self, key, child):
        self.keys[child] = key
        if child.startswith("quick"):
            self.ends[child] = {"value": f"{child} is done"}

    def cancel(self, key, child):
        self.t.world.log.append(("cancel", child))
        self.ends[child] = {"error": TimeoutError("too late")}

    async def over(self, child):
        self.t.world.log.append(("over", child))

    async def attends(self, t):
        while True:
            await t.nap(1)
            while self.ends:
                child, how = self.ends.popitem()
                t.calls.child_ended(self.keys[child], **how)


async def attends(t):
    t.nursery = Nursery(t)
    await t.nursery.attends(t)


@in_virtual_time
async def test_a_child_that_ends_and_one_that_is_too_late():
    async def function(t):
        await t.run("a")
        quick = await t.calls.invoke(
            "c", lambda key, n: f"quick {key.occurrence} {n}", name="f", children=t.nursery
        )
        with pytest.raises(StepError, match="too late"):
            await t.calls.invoke(
                "c", lambda key, n: f"slow {n}", name="f", children=t.nursery, seconds=20
            )
        return quick

    life = await lives(function, attends)
    assert life.result == "quick 0 0 is done"
    assert life.world.log == [("over", "quick 0 0"), ("cancel", "slow 0"), ("over", "slow 0")]


@in_virtual_time
async def test_a_send_is_in_one_append_with_its_outcome():
    async def function(t):
        def put(key, complete):
            t.world.log.append(key.step_id)
            complete([f"{key.step_id}-0"])

        def fails(key, complete):
            raise OSError("nobody takes it")

        ids = await t.calls.send("s", put)
        with pytest.raises(StepError, match="nobody takes it"):
            await t.calls.send("t", fails)
        return ids

    life = await lives(function)
    assert life.result == ["s-0"]
    assert life.world.log == ["s"]


# ------------------------------------------------------------------ rollback


@in_virtual_time
async def test_rollbacks_run_once_in_the_body_that_undoes():
    undone = []

    async def function(t):
        await t.run("a", undoable=True)
        await t.run("b", undoable=True)
        raise OSError("failed")

    async def undoes(t):
        async def undo(key):
            undone.append(key.step_id)

        for key in keys:
            await t.calls.undo(key, lambda key=key: undo(key), name="undo")

    first = await Life().live(function)
    keys = first.state.to_undo
    assert [key.step_id for key in keys] == ["b", "a"]

    life = first
    for _ in range(3):
        life = Life(records=life.records)
        apply(life.state, marks.RollingBack(0.0))
        await life.live(undoes)
    assert undone == ["b", "a"]
