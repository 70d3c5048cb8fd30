"""`ctx.store` from the inside: turns, copies, paths, classes, and what fits them."""

import collections
import contextvars
import copy
import dataclasses
import enum
import itertools
import pickle
import re
import sys
import threading
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Protocol,
    TypeVar,
)

import anyio
import anyio.lowlevel
import anyio.to_thread
import attrs
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypeAliasType, TypedDict

import plait.testing
from plait import Context, StartEvent, StopEvent, Workflow, step
from plait._strands._events.state.dict_state import DictState
from plait._strands._events.state.line import inside
from plait._strands._events.state.misfit import misfit, name_of
from plait._strands._events.state.state_class import (
    choose_state_class,
    declared_fields,
    hints_of,
    new_state,
)
from plait._strands._events.store import StateStore
from plait.errors import WorkflowRuntimeError

NESTED = "^writer called inside edit_state: mutate the yielded state instead$"


@pytest.fixture
def store():
    return StateStore(DictState())


async def until_waiting(store, number):
    """Return when so many writers have a turn or wait for one."""
    while sum(not turn.over for turn in store._line._turns) < number:
        await anyio.lowlevel.checkpoint()


# ---------------------------------------------------------------- turns


@pytest.mark.parametrize("again", range(10))
def test_turns_come_in_the_order_of_the_calls(store, again):
    """Whatever order the scheduler takes the tasks in, the first to call is the first to write."""
    called, begun, ended = [], [], []

    async def edit(n):
        called.append(n)
        async with store.edit_state() as state:
            begun.append(n)
            await trio.sleep(n % 3)
            state.seen = [*state.get("seen", []), n]
            ended.append(n)

    async def put(n):
        called.append(n)
        await store.set(f"put.{n}", n)
        begun.append(n)
        ended.append(n)

    async def main():
        async with trio.open_nursery() as nursery:
            for n in range(30):
                nursery.start_soon(put if n % 5 == 4 else edit, n)
        assert begun == ended == called
        assert await store.get("seen") == [n for n in called if n % 5 != 4]
        assert len(await store.get("put")) == 6

    plait.testing.run(main)


def test_an_exception_drops_the_edit_and_the_next_has_its_turn(store):
    async def fail():
        with pytest.raises(ZeroDivisionError):
            async with store.edit_state() as state:
                state.k["a"] = 2
                await trio.sleep(1)
                _ = 1 / 0

    async def main():
        await store.set("k", {"a": 1})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            await trio.testing.wait_all_tasks_blocked(0.001)
            async with store.edit_state() as state:
                assert trio.current_time() == 1
                assert state.k == {"a": 1}
                state.k["b"] = 3
        assert await store.get_state() == {"k": {"a": 1, "b": 3}}

    plait.testing.run(main)


def test_a_cancellation_drops_the_edit_and_the_next_has_its_turn(store):
    async def main():
        await store.set("k", {"a": 1})
        with trio.move_on_after(1) as scope:
            async with store.edit_state() as state:
                state.k["a"] = 2
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert await store.get_state() == {"k": {"a": 1}}
        await store.set("k.a", 3)
        assert await store.get("k.a") == 3

    plait.testing.run(main)


def test_an_edit_cancelled_on_its_way_out_is_dropped(store):
    async def main():
        with trio.CancelScope() as scope:
            async with store.edit_state() as state:
                state.a = 1
                scope.cancel()
        assert scope.cancelled_caught
        assert await store.get_state() == {}
        await store.set("a", 2)

    plait.testing.run(main)


def test_who_gives_up_waiting_leaves_the_line(store):
    async def edit(n, task_status):
        with trio.CancelScope() as scope:
            task_status.started(scope)
            async with store.edit_state() as state:
                state.seen = [*state.get("seen", []), n]

    scopes = []
    over = trio.Event()

    async def hold(task_status):
        async with store.edit_state():
            task_status.started()
            await over.wait()
            scopes[1].cancel()  # in the instant in which its turn comes

    async def main():
        async with trio.open_nursery() as nursery:
            await nursery.start(hold)
            for n in range(6):
                scopes.append(await nursery.start(edit, n))
                await trio.testing.wait_all_tasks_blocked()
            for n in (0, 3, 5):
                scopes[n].cancel()
            await trio.testing.wait_all_tasks_blocked()
            over.set()
        assert await store.get("seen") == [2, 4]
        assert not store._line._turns

    trio.run(main)


@pytest.mark.anyio
async def test_a_cancelled_call_has_changed_nothing(store):
    await store.set("a", [1])
    ran = []
    for call in (
        lambda: store.set("a", 2),
        lambda: store.set("b.c", 2),
        store.clear,
        lambda: store.set_state(DictState(z=1)),
        lambda: store.get("a"),
        store.get_state,
    ):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await call()
            ran.append(call)
        assert scope.cancelled_caught
    assert ran == []
    assert await store.get_state() == {"a": [1]}
    assert not store._line._turns


def test_every_path_is_a_checkpoint(store):
    async def edit():
        async with store.edit_state():
            pass

    async def main():
        for call in (
            lambda: store.set("a", 1),
            lambda: store.get("a"),
            lambda: store.get("b", default=1),
            store.get_state,
            store.clear,
            lambda: store.set_state(DictState()),
            edit,
        ):
            with trio.testing.assert_checkpoints():
                await call()
        for call in (
            lambda: store.get("b"),
            lambda: store.get(""),
            lambda: store.set("", 1),
            lambda: store.set_state(1),
        ):
            with trio.testing.assert_checkpoints(), pytest.raises(ValueError):
                await call()
        async with store.edit_state() as state:
            for call in (
                lambda: store.set("a", 1),
                lambda: store.set_state(state),
                store.clear,
                edit,
            ):
                with trio.testing.assert_checkpoints(), pytest.raises(RuntimeError, match=NESTED):
                    await call()

    trio.run(main)


# ---------------------------------------------------------------- inside an edit


@pytest.mark.anyio
async def test_tasks_of_one_delivery_take_turns():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            async def add():
                async with ctx.store.edit_state() as state:
                    before = state.get("count", 0)
                    await anyio.lowlevel.checkpoint()
                    state.count = before + 1

            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(add)
            return StopEvent(result=await ctx.store.get("count"))

    assert await Flow().run() == 20


@pytest.mark.anyio
async def test_a_task_that_an_edit_waits_for_is_inside_it(store):
    async def put():
        with pytest.raises(RuntimeError, match=NESTED):
            await store.set("a", 1)

    async with store.edit_state(), anyio.create_task_group() as group:
        group.start_soon(put)


@pytest.mark.anyio
async def test_a_task_that_outlives_the_edit_may_write(store):
    async def put():
        await over.wait()
        await store.set("a", 1)

    over = anyio.Event()
    async with anyio.create_task_group() as group:
        async with store.edit_state():
            group.start_soon(put)
        over.set()
    assert await store.get("a") == 1


@pytest.mark.anyio
async def test_a_child_run_inside_an_edit_is_inside_it():
    class Child(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            await ctx.store.set("mine", 1)
            with pytest.raises(RuntimeError, match=NESTED):
                await ev.store.set("a", 1)
            return StopEvent(result=await ctx.store.get("mine"))

    class Parent(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            async with ctx.store.edit_state():
                return StopEvent(result=await Child().run(store=ctx.store))

    assert await Parent().run() == 1


@pytest.mark.anyio
async def test_one_may_edit_two_stores_at_once(store):
    other = StateStore(DictState())
    async with store.edit_state() as a:
        await other.set("x", 1)
        async with other.edit_state() as b:
            a.x, b.y = 1, 2
            with pytest.raises(RuntimeError, match=NESTED):
                await store.set("x", 3)
        await other.set("z", 3)
    assert await store.get_state() == {"x": 1}
    assert await other.get_state() == {"x": 1, "y": 2, "z": 3}


@pytest.mark.anyio
async def test_an_edit_leaves_no_trace_in_the_context_variables(store):
    async with store.edit_state():
        assert inside in contextvars.copy_context()
    assert inside not in contextvars.copy_context()


async def test_a_block_may_be_left_in_another_context_than_it_was_entered_in(store):
    async def edit():
        async with store.edit_state() as state:
            state.a = 1
            yield

    async def finish():
        with pytest.raises(StopAsyncIteration):
            await anext(generator)

    generator = edit()
    await anext(generator)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(finish)
    assert await store.get("a") == 1
    await store.set("a", 2)  # this task still has the variable, but the edit is over


# ---------------------------------------------------------------- sync


class Flow(Workflow):
    """A plain step that does what the start event says."""

    @step
    def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
        return StopEvent(result=ev.do(ctx.store.sync))


@pytest.mark.anyio
async def test_sync_does_what_the_store_does():
    def do(sync):
        assert sync.get("k.a", default=7) == 7
        for path in ("k.a", ""):
            with pytest.raises(ValueError, match=r"^Path "):
                sync.get(path)
        sync.set("k.a", [1])
        sync.get_state().k["a"].append(2)
        with pytest.raises(ValueError, match="cannot be set"):
            sync.set("k.a.b", 2)
        with pytest.raises(ZeroDivisionError), sync.edit_state() as state:
            state.k["a"].append(3)
            _ = 1 / 0
        with sync.edit_state() as state:
            state.k["a"].append(4)
        assert sync.get_state() == {"k": {"a": [1, 4]}}
        sync.set_state(DictState(z=1))
        assert sync.get("z") == 1
        sync.clear()
        return sync.get_state()

    assert await Flow().run(do=do) == {}


@pytest.mark.anyio
async def test_sync_inside_an_edit_is_refused():
    def do(sync):
        with sync.edit_state() as state:
            for call in (
                lambda: sync.set("a", 1),
                sync.clear,
                lambda: sync.set_state(state),
                lambda: sync.edit_state().__enter__(),
            ):
                with pytest.raises(RuntimeError, match=NESTED):
                    call()
        return True

    assert await Flow().run(do=do)


@pytest.mark.anyio
async def test_sync_serves_the_threads_of_a_step_as_well():
    class Threads(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            await anyio.to_thread.run_sync(ctx.store.sync.set, "a", 1)
            async with ctx.store.edit_state():
                with pytest.raises(RuntimeError, match=NESTED):
                    await anyio.to_thread.run_sync(ctx.store.sync.set, "a", 2)
            return StopEvent(result=await ctx.store.get("a"))

    assert await Threads().run() == 1


def refused(store):
    text = "ctx.store.sync is for plain steps; here write await ctx.store.get(...)"
    for call in (
        lambda: store.sync.get("a"),
        lambda: store.sync.set("a", 1),
        store.sync.clear,
        store.sync.get_state,
        lambda: store.sync.set_state(DictState()),
        lambda: store.sync.edit_state().__enter__(),
    ):
        with pytest.raises(WorkflowRuntimeError, match=f"^{re.escape(text)}$"):
            call()


@pytest.mark.anyio
async def test_sync_is_refused_where_there_is_a_loop_and_where_there_is_no_step(store):
    refused(store)
    await anyio.to_thread.run_sync(refused, store)


def test_sync_is_refused_without_a_loop(store):
    refused(store)


@pytest.mark.anyio
@pytest.mark.parametrize("edit", [True, False])
async def test_a_thread_that_waits_for_its_turn_sees_the_cancellation(edit):
    saw = []

    def do(sync):
        try:
            if edit:
                with sync.edit_state() as state:
                    state.a = 1
            else:
                sync.set("a", 1)
        except BaseException as error:
            saw.append(type(error))
            raise

    with anyio.CancelScope() as scope:
        async with Flow().run(do=do) as run:
            store = run.ctx.store
            async with store.edit_state():
                await until_waiting(store, 2)
                scope.cancel()
                with anyio.CancelScope(shield=True):
                    await until_waiting(store, 1)  # it has given up
    assert saw == [anyio.get_cancelled_exc_class()]
    assert await store.get_state() == {}
    await store.set("a", 2)


@pytest.mark.anyio
async def test_an_edit_in_a_thread_that_is_cancelled_is_dropped():
    saw = []
    editing, cancelled = threading.Event(), threading.Event()

    def do(sync):
        try:
            with sync.edit_state() as state:
                state.a = 1
                editing.set()
                cancelled.wait()
        except BaseException as error:
            saw.append(type(error))
            raise

    async with Flow().run(do=do) as run:
        store = run.ctx.store
        while not editing.is_set():
            await anyio.lowlevel.checkpoint()
        run.cancel()
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        cancelled.set()
    assert saw == [anyio.get_cancelled_exc_class()]
    assert await store.get_state() == {}
    await store.set("a", 2)
    assert not store._line._turns


# ---------------------------------------------------------------- copies


@pytest.mark.anyio
async def test_a_copy_is_deep_and_shares_what_is_shared_in_it(store):
    both = [1]
    await store.set("k", {"a": both, "b": both})
    state = await store.get_state()
    assert state.k["a"] is state.k["b"] is not both
    state.k["a"].append(2)
    assert await store.get("k") == {"a": [1], "b": [1]}


@pytest.mark.anyio
async def test_set_state_keeps_a_copy(store):
    state = DictState(a=[1])
    await store.set_state(state)
    state.a.append(2)
    assert await store.get("a") == [1]


@pytest.mark.anyio
async def test_a_value_is_kept_as_it_is(store):
    value = [1]
    await store.set("a", value)
    assert await store.get("a") is value


class Uncopyable:
    def __deepcopy__(self, memo):
        raise TypeError("no")


@attrs.define
class Holder:
    client: Any
    notes: list[int] = attrs.field(factory=list)


@attrs.define
class Halfmade:
    """attrs can copy no object with slots of which one is empty."""

    client: Any = None
    unset: int = attrs.field(init=False)


@pytest.mark.anyio
async def test_what_cannot_be_copied_is_shared_and_the_rest_is_not(store):
    client = Uncopyable()
    holder = Holder(client, [1])
    loop = [client]
    loop.append(loop)
    await store.set("holder", holder)
    await store.set("loop", loop)
    await store.set("also", holder.notes)
    halfmade = Halfmade()
    await store.set("halfmade", halfmade)
    async with store.edit_state() as state:
        assert state.holder.client is client
        assert state.halfmade is halfmade
        assert state.loop[1] is state.loop is not loop
        assert state.loop[0] is client
        assert state.also is state.holder.notes
        state.holder.notes.append(2)
        assert holder.notes == [1]
    assert await store.get("holder.notes") == [1, 2]
    assert await store.get("also") == [1, 2]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        collections.deque,
        lambda parts: dict(enumerate(parts)),
        lambda parts: collections.defaultdict(list, enumerate(parts)),
        lambda parts: collections.OrderedDict(enumerate(parts)),
        lambda parts: DictState({str(n): part for n, part in enumerate(parts)}),
    ],
    ids=["list", "tuple", "deque", "dict", "defaultdict", "OrderedDict", "DictState"],
)
async def test_a_container_is_copied_whatever_is_in_it(store, make):
    client, inner = Uncopyable(), [1]
    value = make([client, inner])
    await store.set("it", value)
    state = await store.get_state()
    assert state.it is not value
    assert type(state.it) is type(value)
    parts = [*state.it.values()] if hasattr(value, "values") else [*state.it]
    assert parts[0] is client
    assert parts[1] == [1]
    assert parts[1] is not inner


@pytest.mark.anyio
@pytest.mark.parametrize("make", [set, frozenset])
async def test_a_set_is_copied_whatever_is_in_it(store, make):
    value = make([Uncopyable(), 2])
    await store.set("it", value)
    copied = await store.get_state()
    assert copied.it == value
    assert type(copied.it) is make
    assert copied.it is not value


@pytest.mark.anyio
async def test_a_state_that_cannot_be_copied_at_all_is_an_error():
    store = StateStore(Halfmade())
    with pytest.raises(AttributeError, match="unset"):
        await store.get_state()
    with pytest.raises(AttributeError, match="unset"):
        async with store.edit_state():
            pytest.fail("entered")
    await store.set("client", 1)
    await store.set("unset", 2)
    assert (await store.get_state()).unset == 2


class Array:
    """Compares as arrays do."""

    def __eq__(self, other):
        return self

    def __bool__(self):
        raise ValueError("all or any?")

    __hash__ = None


@pytest.mark.anyio
async def test_a_value_that_cannot_be_compared_has_changed():
    @attrs.define(slots=False)
    class P:
        numbers: list[int] = attrs.field(factory=list)
        unset: int = attrs.field(init=False)

    store = StateStore(P())
    await store.set("unset", 1)
    with pytest.raises(ValueError, match="'numbers' takes list"):
        async with store.edit_state() as state:
            state.numbers = Array()
    await store.clear()
    with pytest.raises(ValueError, match="Path 'unset' not found in state"):
        await store.get("unset")
    await store.set_state(P([1]))
    assert await store.get("numbers") == [1]


@pytest.mark.anyio
async def test_a_builtin_will_do_as_a_state():
    store = StateStore(new_state(dict))
    await store.set("a.b", 1)
    async with store.edit_state() as state:
        state["c"] = 2
    assert await store.get_state() == {"a": {"b": 1}, "c": 2}


class Bare:
    """No state class of the four kinds, and no part of it can be copied."""

    client: Uncopyable
    count: int = 0

    def __init__(self) -> None:
        self.client = CLIENT
        self.tags: list[str] = []


CLIENT = Uncopyable()


@pytest.mark.anyio
async def test_any_class_that_can_be_made_without_arguments_will_do():
    store = StateStore(new_state(Bare))
    async with store.edit_state() as state:
        state.count = 2
        state.tags.append("a")
        assert await store.get("count") == 0
        assert await store.get("tags") == []
    assert await store.get("tags") == ["a"]
    assert await store.get("client") is CLIENT
    with pytest.raises(ValueError, match="'count' takes int, not 'x' of type str"):
        await store.set("count", "x")

    class More(Bare):
        pass

    derived = StateStore(new_state(More))
    await derived.set("tags", ["kept"])
    await derived.set_state(await store.get_state())
    assert type(await derived.get_state()) is More
    assert await derived.get("count") == 2
    assert await derived.get("tags") == ["a"]


# ---------------------------------------------------------------- DictState


def test_a_dict_state_is_a_mapping_with_attributes():
    state = DictState({"a": 1}, b=2)
    state.c = 3
    state["d"] = 4
    assert state == {"a": 1, "b": 2, "c": 3, "d": 4}
    assert (state.a, state["b"], state.get("x", 0), len(state)) == (1, 2, 0, 4)
    assert "c" in state
    assert "c" in dir(state)
    del state.a, state["b"]
    assert [*state] == ["c", "d"]
    assert repr(state) == "DictState({'c': 3, 'd': 4})"
    with pytest.raises(AttributeError, match="the state has no 'x'"):
        _ = state.x
    with pytest.raises(AttributeError, match="the state has no 'x'"):
        del state.x
    with pytest.raises(KeyError):
        _ = state["x"]


def test_a_key_does_not_hide_a_method():
    state = DictState(items=1, keys=2, _values=3)
    assert dict(state) == {"items": 1, "keys": 2, "_values": 3}
    assert [*state.keys()] == ["items", "keys", "_values"]
    with pytest.raises(
        AttributeError, match=r"DictState has 'items' itself. Write state\['items'\] ="
    ):
        state.items = 4
    state["items"] = 4
    assert state["items"] == 4


def test_a_dict_state_can_be_copied_and_pickled():
    state = DictState(a=[1])
    state.me = state
    shallow, deep = copy.copy(state), copy.deepcopy(state)
    assert shallow.a is state.a
    assert shallow.me is state
    assert deep.a == [1]
    assert deep.a is not state.a
    assert deep.me is deep
    assert pickle.loads(pickle.dumps(DictState(a=1))) == DictState(a=1)


# ---------------------------------------------------------------- paths


@pytest.mark.anyio
async def test_looking_up_changes_nothing(store):
    await store.set("k", collections.defaultdict(list))
    assert await store.get("k.a", default=0) == 0
    assert await store.get("k") == {}


@pytest.mark.anyio
@pytest.mark.parametrize("segment", ["-1", "1"])
async def test_an_index_may_count_from_the_end(store, segment):
    await store.set("a", [1, 2])
    assert await store.get(f"a.{segment}") == 2
    await store.set(f"a.{segment}", 3)
    assert await store.get("a") == [1, 3]


@pytest.mark.anyio
@pytest.mark.parametrize("segment", ["-", "--1", "+1", " 1", "1_0", "1.5", "9" * 5000, "", "x"])
async def test_what_is_no_index_is_not_found(store, segment):
    await store.set("a", [1, 2])
    assert await store.get(f"a.{segment}", default=7) == 7
    with pytest.raises(ValueError, match="cannot be set"):
        await store.set(f"a.{segment}", 3)
    assert await store.get("a") == [1, 2]


@pytest.mark.anyio
async def test_what_cannot_be_set_leaves_no_half_made_way(store):
    await store.set("a", [1])
    with pytest.raises(
        ValueError, match=r"^Path 'a.5.b.c' cannot be set: list has no place for '5'"
    ):
        await store.set("a.5.b.c", 1)
    with pytest.raises(ValueError, match="cannot be set: int has no place for 'x'"):
        await store.set("a.0.x.y", 1)
    assert await store.get_state() == {"a": [1]}


@pytest.mark.anyio
async def test_default_none_is_a_default(store):
    assert await store.get("x", default=None) is None
    await store.set("x", None)
    assert await store.get("x", default=1) is None


paths = st.lists(st.sampled_from(["a", "b", "keys", "0"]), min_size=1, max_size=4).map(".".join)


@given(st.lists(st.tuples(paths, st.integers()), max_size=8))
def test_what_is_set_is_there_and_nothing_else_has_changed(writes):
    """Against nested dicts: a write through a number is refused, and then changes nothing."""

    def put(tree, segments, value):
        *way, last = segments
        for segment in way:
            tree = tree.setdefault(segment, {})
        tree[last] = value

    async def main():
        store, tree = StateStore(DictState()), {}
        for path, value in writes:
            fresh = copy.deepcopy(tree)
            try:
                put(fresh, path.split("."), value)
            except (AttributeError, TypeError):
                with pytest.raises(ValueError, match="cannot be set"):
                    await store.set(path, value)
            else:
                tree = fresh
                await store.set(path, value)
                assert await store.get(path) == value
            assert await store.get_state() == tree

    trio.run(main)


# ---------------------------------------------------------------- which class


class Base:
    pass


class Derived(Base):
    pass


class Most(Derived):
    pass


class Other:
    pass


T = TypeVar("T")


class Box(typing.Generic[T]):
    pass


@pytest.mark.parametrize(
    ("classes", "chosen"),
    [
        ([], DictState),
        ([DictState, Any, None], DictState),
        ([Base], Base),
        ([DictState, Base, DictState], Base),
        ([Most, Base, Derived], Most),
        ([Base, Most], Most),
        ([Box[int], Box[str]], Box),
    ],
)
def test_the_most_derived_class_is_chosen(classes, chosen):
    for order in itertools.permutations(classes):
        assert choose_state_class(order) is chosen


def test_classes_that_are_no_chain_are_named():
    text = (
        "Multiple state types are not in a compatible inheritance hierarchy. "
        "All state types must share a common inheritance chain. Found: Derived, Other"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        choose_state_class([Derived, Other, Derived, DictState])


# ---------------------------------------------------------------- four kinds of state classes


def with_attrs():
    @attrs.define
    class P:
        count: int = 0
        tags: list[str] = attrs.field(factory=list)

    @attrs.define
    class Q(P):
        best: float | None = None

    @attrs.define
    class Needy:
        count: int
        tags: list[str] = attrs.field(factory=list)

    return P, Q, Needy


def with_dataclasses():
    @dataclasses.dataclass
    class P:
        count: int = 0
        tags: list[str] = dataclasses.field(default_factory=list)

    @dataclasses.dataclass(frozen=False)
    class Q(P):
        best: float | None = None

    @dataclasses.dataclass
    class Needy:
        count: int
        tags: list[str] = dataclasses.field(default_factory=list)

    return P, Q, Needy


def with_pydantic():
    pydantic = pytest.importorskip("pydantic")

    class P(pydantic.BaseModel):
        count: int = 0
        tags: list[str] = []

    class Q(P):
        best: float | None = None

    class Needy(pydantic.BaseModel):
        count: int
        tags: list[str] = []

    return P, Q, Needy


def with_msgspec():
    msgspec = pytest.importorskip("msgspec")

    class P(msgspec.Struct):
        count: int = 0
        tags: list[str] = []

    class Q(P):
        best: float | None = None

    class Needy(msgspec.Struct):
        count: int
        tags: list[str] = []

    return P, Q, Needy


KINDS = [with_attrs, with_dataclasses, with_pydantic, with_msgspec]


@pytest.fixture(params=KINDS, ids=["attrs", "dataclass", "pydantic", "msgspec"])
def kinds(request):
    return request.param()


def test_the_fields_of_a_class_are_found(kinds):
    _, Q, _ = kinds  # noqa: N806
    assert declared_fields(Q) == {"count": int, "tags": list[str], "best": float | None}


def test_every_field_needs_a_default(kinds):
    P, _, Needy = kinds  # noqa: N806
    assert new_state(P) == P(count=0, tags=[])
    text = "State must have defaults for all fields. Needy has none for count."
    with pytest.raises(ValueError, match=f"^{text}$"):
        new_state(Needy)


@pytest.mark.anyio
async def test_typed_sets_are_checked(kinds):
    _, Q, _ = kinds  # noqa: N806
    store = StateStore(new_state(Q))
    await store.set("count", 1)
    await store.set("best", 2)
    await store.set("best", None)
    await store.set("tags", ["a"])
    await store.set("tags.0", "b")
    for path, value, text in (
        ("count", "x", "Path 'count' takes int, not 'x' of type str"),
        ("count", None, "Path 'count' takes int, not None of type NoneType"),
        ("best", "x", "Path 'best' takes float | None, not 'x' of type str"),
        ("tags", "ab", "Path 'tags' takes list[str], not 'ab' of type str"),
        ("tags", ["a", 2], "Path 'tags.1' takes str, not 2 of type int"),
        ("tags.0", 3, "Path 'tags.0' takes str, not 3 of type int"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            await store.set(path, value)
    text = "Path 'cuont' cannot be set: Q has no place for 'cuont'. Did you mean 'count'?"
    for path in ("cuont", "cuont.x"):
        with pytest.raises(ValueError, match=re.escape(text.replace("'cuont'", repr(path), 1))):
            await store.set(path, 1)
    assert await store.get_state() == Q(count=1, tags=["b"], best=None)


@pytest.mark.anyio
async def test_typed_edits_are_checked(kinds):
    P, Q, _ = kinds  # noqa: N806
    store = StateStore(new_state(Q))
    async with store.edit_state() as state:
        state.count += 1
        state.tags.append("a")
    for bad in ("x", [1]):
        with pytest.raises(ValueError, match=r"^Path 'tags"):
            async with store.edit_state() as state:
                state.count += 1
                state.tags = bad
    with pytest.raises(ValueError, match=r"^Path 'tags.0' takes str"):
        state = await store.get_state()
        state.tags[0] = 1
        await store.set_state(state)
    assert await store.get_state() == Q(count=1, tags=["a"])
    await store.clear()
    assert await store.get_state() == Q()
    assert type(await store.get_state()) is Q
    del P


@pytest.mark.anyio
async def test_a_base_is_merged_and_a_derived_class_takes_over(kinds):
    P, Q, Needy = kinds  # noqa: N806
    store = StateStore(new_state(Q))
    await store.set("best", 1.5)
    incoming = P(count=3, tags=["a"])
    await store.set_state(incoming)
    incoming.tags.append("mine")
    assert await store.get_state() == Q(count=3, tags=["a"], best=1.5)

    with pytest.raises(ValueError, match=r"^State must be of type Q or a parent type, got Needy$"):
        await store.set_state(Needy(count=1))
    with pytest.raises(ValueError, match=r"^State must be of type Q or a parent type, got dict$"):
        await store.set_state({})

    other = StateStore(new_state(P))
    await other.set_state(Q(best=2.5))
    assert await other.get_state() == Q(best=2.5)


@pytest.mark.anyio
async def test_the_copies_of_a_typed_state_are_deep(kinds):
    _, Q, _ = kinds  # noqa: N806
    store = StateStore(Q(tags=["a"]))
    (await store.get_state()).tags.append("b")
    with pytest.raises(ZeroDivisionError):
        async with store.edit_state() as state:
            state.tags.append("c")
            _ = 1 / 0
    assert await store.get("tags") == ["a"]


@pytest.mark.anyio
async def test_a_typed_state_may_hold_what_cannot_be_copied(kinds):
    _, Q, _ = kinds  # noqa: N806
    client = Uncopyable()
    state = Q()
    state.tags = ["a", client]
    store = StateStore(state)
    state = await store.get_state()
    assert state.tags == ["a", client]
    assert state.tags is not await store.get("tags")
    # It did not fit before, and it is what it was: an edit of something else is no fault.
    async with store.edit_state() as state:
        state.count = 1
    assert await store.get("count") == 1


def test_what_is_frozen_can_be_merged():
    @attrs.frozen
    class P:
        a: int = 0

    @attrs.frozen
    class Q(P):
        b: int = 0

    async def main():
        store = StateStore(Q(b=2))
        await store.set_state(P(a=1))
        assert await store.get_state() == Q(a=1, b=2)
        with pytest.raises(ValueError, match="Path 'a' cannot be set: Q has no place for 'a'"):
            await store.set("a", 3)

    trio.run(main)


@pytest.mark.anyio
async def test_who_converts_what_it_is_given_sees_to_it_itself():
    @attrs.define
    class P:
        count: int = attrs.field(default=0, converter=int)
        even: int = attrs.field(default=0)

        @even.validator
        def _check(self, attribute: Any, value: int) -> None:
            if value % 2:
                raise ValueError("odd")

    store = StateStore(P())
    await store.set("count", "3")
    assert await store.get("count") == 3
    for path, value in (("count", "x"), ("even", 1)):
        with pytest.raises(ValueError, match=f"^Path '{path}' cannot be set") as caught:
            await store.set(path, value)
        assert isinstance(caught.value.__cause__, ValueError)
    assert await store.get_state() == P(count=3)


@pytest.mark.anyio
async def test_a_pydantic_model_that_validates_assignments_sees_to_it_itself():
    pydantic = pytest.importorskip("pydantic")

    class P(pydantic.BaseModel, validate_assignment=True):
        count: int = pydantic.Field(0, ge=0)

    class Loose(pydantic.BaseModel, extra="allow"):
        count: int = 0

    store = StateStore(P())
    await store.set("count", "3")
    assert await store.get("count") == 3
    with pytest.raises(ValueError, match=r"^Path 'count' cannot be set"):
        await store.set("count", -1)
    assert await store.get("count") == 3

    loose = StateStore(Loose())
    await loose.set("more", 1)
    assert await loose.get("more") == 1


@attrs.define
class User:
    name: str = ""
    tags: list[str] = attrs.field(factory=list)


class Room(TypedDict):
    size: int
    note: NotRequired[str]


@attrs.define
class Nested:
    kinds: ClassVar[int] = 3
    user: User = attrs.field(factory=User)
    users: dict[str, list[User]] = attrs.field(factory=dict)
    by_number: dict[int, str] = attrs.field(factory=dict)
    deep: dict[str, dict[str, int]] = attrs.field(factory=dict)
    either: list[int] | dict[str, str] = attrs.field(factory=list)
    some: list[int] | Any = attrs.field(factory=list)
    bare: list = attrs.field(factory=list)
    pair: tuple[list[int], str] = ([], "")
    room: Room = attrs.field(factory=lambda: Room(size=1))
    anything: Any = None
    _twice: int = 0

    @property
    def twice(self) -> int:
        return self._twice

    @twice.setter
    def twice(self, value: int) -> None:
        self._twice = value * 2


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("user.name", "x", None),
        ("user.name", 1, "'user.name' takes str, not 1 of type int"),
        ("user.tags", [1], "'user.tags.0' takes str, not 1"),
        ("user.nmae", "x", "'user.nmae' cannot be set: User has no place for 'nmae'. Did you mean"),
        ("user", {"name": "x"}, "'user' takes User, not {'name': 'x'} of type dict"),
        ("users.a", [User()], None),
        ("users.a.0", User(), "'users.a' takes list[tests."),
        ("users.b", [User(), 1], "'users.b.1' takes User, not 1"),
        ("users.known.0.name", 1, "'users.known.0.name' takes str, not 1"),
        ("users.known.0", 1, "'users.known.0' takes User, not 1"),
        ("by_number.1", "x", "'by_number.1' takes int, not '1' of type str"),
        ("deep.a.b", 1, None),
        ("deep.a.b", "x", "'deep.a.b' takes int, not 'x'"),
        ("deep.a.b.c", 1, "'deep.a.b' takes int, not {'c': 1} of type dict"),
        ("either.0", 1, None),
        ("either.0", "x", "'either.0' takes int, not 'x'"),
        ("either", {"a": "b"}, None),
        ("either", {"a": 1}, "'either' takes list[int] | dict[str, str], not {'a': 1}"),
        ("some.0", "x", None),
        ("bare.0", "x", None),
        ("pair.0.0", "x", None),
        ("pair", ([1], "x"), None),
        ("pair", ([1],), "'pair' takes tuple[list[int], str], not ([1],) of type tuple"),
        ("pair", (["x"], "x"), "'pair.0.0' takes int, not 'x'"),
        ("room.size", 2, None),
        ("room.size", "x", "'room.size' takes int, not 'x'"),
        ("room.note", "x", None),
        ("room.colour", "x", "'room.colour' takes Literal['size', 'note'], not 'colour'"),
        ("room", {"note": "x"}, "'room' takes Room, not {'note': 'x'}"),
        ("room", {"size": "x"}, "'room.size' takes int, not 'x'"),
        ("anything", {"a": {1}}, None),
        ("twice", 4, None),
    ],
)
async def test_fields_are_checked_along_a_path(path, value, text):
    store = StateStore(
        Nested(users={"known": [User()]}, either=[0], some=[0], bare=[0], pair=([0], ""))
    )
    before = await store.get_state()
    if text is None:
        await store.set(path, value)
    else:
        with pytest.raises(ValueError, match=f"^Path {re.escape(text)}"):
            await store.set(path, value)
        assert await store.get_state() == before


@pytest.mark.anyio
async def test_somebody_elses_class_need_not_keep_its_own_annotations():
    @dataclasses.dataclass
    class Sloppy:
        size: int = None

    @attrs.define
    class P:
        it: Sloppy = attrs.field(factory=Sloppy)
        name: str = None
        count: int = 0

    store = StateStore(new_state(P))
    await store.set("it", Sloppy())
    async with store.edit_state() as state:
        state.count += 1
    assert await store.get("count") == 1
    with pytest.raises(ValueError, match="'name' takes str, not 3"):
        async with store.edit_state() as state:
            state.name = 3
    with pytest.raises(ValueError, match=r"'it\.size' takes int"):
        await store.set("it.size", "x")


# ---------------------------------------------------------------- what fits


class Colour(enum.Enum):
    RED = 1


class Point(NamedTuple):
    x: int


class Named(Protocol):
    name: str


@typing.runtime_checkable
class Closes(Protocol):
    def close(self) -> None: ...


class Whole(TypedDict, total=False):
    a: int


UserId = NewType("UserId", int)
Bound = TypeVar("Bound", bound=int)
Some = TypeVar("Some", int, str)
Number = TypeAliasType("Number", int | float)


class Alias:
    """As `type Json = ...` makes it, in Python 3.12 and later."""

    def __repr__(self):
        return "Json"


Alias.__name__ = "TypeAliasType"
Json = Alias()
Json.__value__ = dict[str, Json] | list[Json] | str | int | None

CYCLE: list[Any] = []
CYCLE.append(CYCLE)


FITS = [
    (int, [1, True, 2**70], ["1", 1.0, None]),
    (bool, [True], [1]),
    (float, [1.0, 1, True], ["1"]),
    (complex, [1j, 1.0, 1], ["1"]),
    (str, [""], [b"", 1]),
    (None, [None], [0, ""]),
    (type(None), [None], [0]),
    (Any, [1, None, object()], []),
    (object, [1, None], []),
    (int | None, [1, None], ["x"]),
    (typing.Optional[list[int]], [[1], None], [["x"]]),  # noqa: UP045
    (typing.Union[int, str], [1, "x"], [1.0]),  # noqa: UP007
    (Literal["a", 1, Colour.RED], ["a", 1, Colour.RED], ["b", True, 1.0, Colour]),
    (Colour, [Colour.RED], [1]),
    (list, [[1, "x"]], [(1,)]),
    (list[int], [[], [1]], [[1, "x"], (1,), "12"]),
    (list[list[int]], [[[1]], []], [[[1], ["x"]], [1]]),
    (Sequence[str], [["a"], ("a",), "ab"], [[1], {"a"}]),
    (Iterable[int], [[1], {1}, {1: "x"}], [["x"], 1]),
    (dict[str, int], [{}, {"a": 1}], [{"a": "x"}, {1: 1}, [("a", 1)]]),
    (Mapping[str, list[int]], [{"a": [1]}], [{"a": ["x"]}]),
    (collections.defaultdict[str, int], [collections.defaultdict(int, a=1)], [{"a": 1}]),
    (collections.Counter[str], [collections.Counter("aa")], [collections.Counter([1])]),
    (collections.deque[int], [collections.deque([1])], [collections.deque("x"), [1]]),
    (set[int], [{1}, set()], [{"x"}, frozenset({1})]),
    (frozenset[int], [frozenset({1})], [{1}]),
    (tuple[int, ...], [(), (1, 2)], [(1, "x"), [1]]),
    (tuple[int, str], [(1, "x")], [(1,), (1, 2), ("x", 1)]),
    (tuple[()], [()], []),
    (tuple[int, *tuple[str, ...]], [(1, "x", "y")], [[1]]),
    (tuple[typing.Unpack[tuple[int, ...]], str], [(1, 2, "x")], [[1]]),  # noqa: UP044
    (type[int], [int, bool], [str, 1]),
    (type[int | str], [int, str], [float]),
    (type[Any], [int], [1]),
    (Callable[[int], str], [str, len], [1]),
    (Annotated[int, "more"], [1], ["x"]),
    (list[Annotated[int, "more"]], [[1]], [["x"]]),
    (Final[int], [1], ["x"]),
    (UserId, [1], ["x"]),
    (T, [1, "x"], []),
    (Bound, [1], ["x"]),
    (Some, [1, "x"], [1.0]),
    (Point, [Point(1)], [(1,)]),
    (User, [User()], [Nested(), {}]),
    (Box[int], [Box()], [1]),
    (Named, [1, User()], []),
    (Closes, [(n for n in ())], [1]),
    (
        Room,
        [{"size": 1}, {"size": 1, "note": "x"}],
        [{}, {"size": "x"}, {"size": 1, "z": 1}, []],
    ),
    (Whole, [{}, {"a": 1}], [{"b": 1}]),
    (Number, [1, 1.0], ["x"]),
    (Json, [{"a": [1, None, {"b": "x"}]}], [{"a": [1.5]}, {1: 1}]),
    (list["NoSuchName"], [["x"]], [1]),  # noqa: F821
    ("NoSuchName", [1], []),
]


@pytest.mark.parametrize(("hint", "good", "bad"), FITS, ids=[name_of(hint) for hint, _, _ in FITS])
def test_what_fits(hint, good, bad):
    for value in good:
        assert misfit(value, hint, "p") is None, value
    for value in bad:
        wrong = misfit(value, hint, "p")
        assert wrong is not None, value
        assert wrong.path.split(".")[0] == "p"


def test_a_container_that_contains_itself_is_looked_at_once():
    assert misfit(CYCLE, Json, "p") is None
    assert misfit([*CYCLE, 1.5], Json, "p") is not None


def test_a_long_value_is_cut():
    wrong = misfit("x" * 1000, int, "p")
    assert len(str(wrong)) < 260
    assert "…" in str(wrong)


def test_types_are_written_as_in_annotations():
    assert [name_of(h) for h in (int, list[int], int | None, typing.Optional[int], type(None))] == [  # noqa: UP045
        "int",
        "list[int]",
        "int | None",
        "Optional[int]",
        "NoneType",
    ]


def test_an_annotation_that_cannot_be_resolved_spares_the_others():
    class Partly:
        a: "NoSuchName"  # noqa: F821
        b: "int"
        c: "Partly | None"
        d: list[int]

    assert hints_of(Partly) == {"a": Any, "b": int, "c": Partly | None, "d": list[int]}


def test_neither_pydantic_nor_msgspec_is_imported():
    here = {name for name in ("pydantic", "msgspec") if name in sys.modules}
    declared_fields(type("Fresh", (), {}))
    new_state(User)
    assert {name for name in ("pydantic", "msgspec") if name in sys.modules} == here
