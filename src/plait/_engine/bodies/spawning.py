"""How a task comes to its place: hooks in the event loop, there while a durable body is alive.

On Trio an instrument. `task_spawned` is called inside `start_soon`, so in the order of the spawner's
program; what counts is the task that spawns, not the nursery, which may be another task's. On asyncio
a task factory around the loop's own one, which AnyIO's and asyncio's task groups and `gather` all use.

Trio switches off an instrument whose hook raises, and only logs it. So the hooks catch everything,
and the body is failed instead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from plait._engine.native import Backend, TrioBackend

from .paths import Place, Tree, find, here
from .rest import CountedRest, PolledRest, Rest

if TYPE_CHECKING:
    import asyncio

    import trio


T = TypeVar("T")

#: The watch of each event loop that has a body.
_watches: Final[dict[object, Watch]] = {}


def join(backend: Backend, tree: Tree) -> Watch:
    """Watch the tasks of a body in the running loop."""
    loop = backend.loop()
    watch = _watches.get(loop)
    if watch is None:
        watch = TrioWatch() if isinstance(backend, TrioBackend) else AsyncioWatch()
    watch.join(tree)
    return _watches.setdefault(loop, watch)


def leave(backend: Backend, watch: Watch, tree: Tree) -> None:
    """Watch them no more."""
    if watch.leave(tree):
        del _watches[backend.loop()]


def new_rest(
    backend: Backend, on_rest: Callable[[], None], fail: Callable[[BaseException], None]
) -> Rest:
    """Make what judges a body's rest in the running loop."""
    if isinstance(backend, TrioBackend):
        return CountedRest(on_rest, fail, backend.caller())
    return PolledRest(on_rest, fail, cast("asyncio.AbstractEventLoop", backend.loop()))


class Watch(ABC):
    """The hooks in one event loop, for all bodies there."""

    def __init__(self, current_task: Callable[[], object]) -> None:
        self.current_task = current_task
        self._trees: set[Tree] = set()
        #: For tasks that are about to spawn: the place of whom they spawn, if that is no plain one.
        self._given: dict[object, Place] = {}

    def start_at(
        self, place: Place, start_soon: Callable[..., T], fn: Callable[..., object], *args: object
    ) -> T:
        """Give this place to the task that `start_soon` spawns. As `starting`, at half the price."""
        spawner = self.current_task()
        self._given[spawner] = place
        try:
            return start_soon(fn, *args)
        finally:
            self._given.pop(spawner, None)

    @contextmanager
    def starting(self, place: Place) -> Generator[None]:
        """Give this place to the task that is spawned within, by the task that runs now."""
        spawner = self.current_task()
        self._given[spawner] = place
        try:
            yield
        finally:
            self._given.pop(spawner, None)

    def adopt(self, place: Place) -> None:
        """Take this place for the task that runs now, unless it was given to it when it was spawned.

        It was not on an event loop whose task factory nobody can change.
        """
        if place.task is None:
            here.set(place)
            self._adopt(place, self.current_task())

    def join(self, tree: Tree) -> None:
        """Watch the tasks of a body. The first one installs the hooks."""
        if not self._trees:
            self._install()
        self._trees.add(tree)

    def leave(self, tree: Tree) -> bool:
        """Forget a body. The last one removes the hooks; was it the last?"""
        tree.over = True
        tree.rest.stop()
        self._trees.discard(tree)
        if self._trees:
            return False
        self._remove()
        return True

    @abstractmethod
    def name_of(self, task: object) -> str:
        """Name a task, the same in every life of its run."""

    @abstractmethod
    def left_tasks(self, tree: Tree) -> Collection[asyncio.Task[object]]:
        """List the tasks of a body that its first task, which runs now, has left behind."""

    @staticmethod
    async def end(tasks: Collection[asyncio.Task[object]]) -> None:
        """Cancel tasks that were left behind, and wait for their clean-up. A checkpoint."""
        import asyncio

        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    @abstractmethod
    def _install(self) -> None: ...
    @abstractmethod
    def _remove(self) -> None: ...
    @abstractmethod
    def _adopt(self, place: Place, task: object) -> None: ...


class TrioInstrument:
    """The hooks themselves. Trio takes any public name that is one of its `Instrument`'s."""

    def __init__(
        self, given: dict[object, Place], current_task: Callable[[], trio.lowlevel.Task | None]
    ) -> None:
        self._given = given
        self._current_task = current_task
        self.places: Final[dict[object, Place]] = {}

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """Give a new task its place, if it has one."""
        spawner = self._current_task()
        place = self._given.get(spawner) or self.places.get(spawner)
        if place is None:
            return
        try:
            if self._given.pop(spawner, None) is None:
                if not self._is_within(task, place.tree):
                    return
                place = place.plain_child()
            place.task = task
            self.places[task] = place
            task.context.run(here.set, place)
            place.tree.rest.joined(place)
        except BaseException as error:  # noqa: BLE001, ASYNC103 - as all hooks here
            place.tree.fail(error)

    def _is_within(self, task: trio.lowlevel.Task, tree: Tree) -> bool:
        """Say whether the new task's nursery is of this body: a task elsewhere may outlive it."""
        assert task.parent_nursery is not None
        owner = self.places.get(task.parent_nursery.parent_task)
        return owner is not None and owner.tree is tree

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        """Count a task that will run."""
        place = self.places.get(task)
        if place is None or place.aside:
            return
        rest: Any = (
            place.tree.rest
        )  # a `CountedRest`; a cast is a call, and there are many of these
        try:
            rest.scheduled(place)
        except BaseException as error:  # noqa: BLE001, ASYNC103 - Ctrl-C, if the waker is a user's code
            place.tree.fail(error)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count a task that has run. For its last step this comes after `task_exited`."""
        place = self.places.get(task)
        if place is None:
            return
        coro: Any = task.coro
        rest: Any = place.tree.rest
        try:
            if coro.cr_frame is None:  # it has ended
                del self.places[task]
                if not place.aside:
                    rest.left(place)
            if not place.aside:
                rest.stepped(place)
        except BaseException as error:  # noqa: BLE001, ASYNC103 - as all hooks here
            place.tree.fail(error)


class TrioWatch(Watch):
    """The instrument of one Trio run."""

    def __init__(self) -> None:
        import trio

        super().__init__(trio.lowlevel.current_task)
        lowlevel = trio.lowlevel

        def spawner() -> trio.lowlevel.Task | None:
            # The main task is spawned by nobody.
            return lowlevel.current_task() if lowlevel.in_trio_task() else None

        self._instrument = TrioInstrument(self._given, spawner)
        self._as_trio_sees_it = cast("trio.abc.Instrument", self._instrument)
        self._add = lowlevel.add_instrument
        self._take_off = lowlevel.remove_instrument

    def name_of(self, task: object) -> str:
        """Name a task, the same in every life of its run."""
        return cast("trio.lowlevel.Task", task).name

    def left_tasks(self, tree: Tree) -> Collection[asyncio.Task[object]]:
        """List none: each is in a nursery."""
        del tree
        return ()

    def _install(self) -> None:
        self._add(self._as_trio_sees_it)

    def _remove(self) -> None:
        self._take_off(self._as_trio_sees_it)

    def _adopt(self, place: Place, task: object) -> None:
        place.task = task
        self._instrument.places[task] = place
        cast("CountedRest", place.tree.rest).adopted(place)


class AsyncioWatch(Watch):
    """The task factory of one asyncio loop."""

    def __init__(self) -> None:
        import asyncio

        self._loop = asyncio.get_running_loop()
        # Of this loop, also while it does not run: its runner makes tasks to close it.
        super().__init__(partial(asyncio.current_task, self._loop))
        self._make = asyncio.Task[Any]
        self._loops_own: Any = None
        self._installed: Any = None

    def name_of(self, task: object) -> str:
        """Name a task, the same in every life of its run: asyncio's own names count on and on."""
        task = cast("asyncio.Task[object]", task)
        name = task.get_name()
        if name.removeprefix("Task-").isdecimal():
            return getattr(task.get_coro(), "__qualname__", type(task.get_coro()).__name__)
        return name

    def left_tasks(self, tree: Tree) -> Collection[asyncio.Task[object]]:
        """List the tasks of a body that its first task, which runs now, has left behind."""
        own = self.current_task()
        places = sorted(tree.rest.places, key=lambda place: repr(place.path))
        tasks = [cast("asyncio.Task[object]", place.task) for place in places]
        return [task for task in tasks if task is not own and not task.done()]

    def _install(self) -> None:
        try:
            self._loops_own = self._loop.get_task_factory()
            self._installed = self._create
            self._loop.set_task_factory(self._installed)
        except NotImplementedError:  # then only groups know the places of their tasks
            self._installed = None

    def _remove(self) -> None:
        # Who has put a factory around this one keeps it; without bodies it does nothing.
        if self._installed is not None and self._loop.get_task_factory() is self._installed:
            self._loop.set_task_factory(self._loops_own)

    def _adopt(self, place: Place, task: object) -> None:
        place.task = task
        place.tree.rest.joined(place)

    def _create(
        self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any
    ) -> asyncio.Future[Any]:
        """Make a task as the loop would, and give it its place."""
        place = self._next_place()
        if place is None:
            return self._as_the_loop_would(loop, coro, **options)
        # A copy, since a context that is given may be that of other tasks as well.
        context = options.pop("context", None)
        context = copy_context() if context is None else context.copy()
        context.run(here.set, place)
        if self._loops_own is None:
            task = self._make(coro, loop=loop, context=context, **options)
        else:  # an older factory takes no context: then its task copies the one that it finds
            task = context.run(self._loops_own, loop, coro, **options)
        try:
            place.task = task
            if place.above is None and not place.aside:  # the first task
                task.add_done_callback(partial(_tell, place.tree))
            place.tree.rest.joined(place)
        except BaseException as error:  # noqa: BLE001, ASYNC103 - a task must come of it
            place.tree.fail(error)
        return task

    def _next_place(self) -> Place | None:
        spawner = self.current_task()
        if spawner is None:  # a callback of the loop
            return None
        given = self._given.pop(spawner, None)
        if given is not None:
            return given
        place = find(spawner)
        return None if place is None else place.plain_child()

    def _as_the_loop_would(
        self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any
    ) -> asyncio.Future[Any]:
        if self._loops_own is None:
            return self._make(coro, loop=loop, **options)
        return cast("asyncio.Future[Any]", self._loops_own(loop, coro, **options))


def _tell(tree: Tree, _: object) -> None:
    tree.ended()
