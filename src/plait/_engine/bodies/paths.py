"""Where a task stands in its body: its path in the tree of spawns, the same in every life of a run.

Rule 1: the first task has the path `()`.
Rule 2: the i-th plain task that a task spawns has its spawner's path and `i`. The count is the
    spawner's, in the order of its program: neither the nursery counts nor who is scheduled first.
Rule 3: a task of a group has a part that names the group instead, and shifts no plain task.
Rule 4: what a handler spawns has no path of its own; no call may be made there.

A place is found through the task's context, and holds for one task only: contexts are also copied
into threads, callbacks and tasks that are not of the body.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, TypeAlias

import attrs

from plait._errors import UntrackedTaskError

from .rest import Rest

Part: TypeAlias = int | tuple[str | int, ...]
Path: TypeAlias = tuple[Part, ...]


@attrs.define(eq=False)
class Tree:
    """The tasks of one body, as far as spawning and rest have to know of them."""

    #: The run's name, for errors.
    name: str
    rest: Rest
    #: Takes what a hook in the event loop raised: it may not raise there.
    fail: Callable[[BaseException], None]
    #: Told that the first task has ended, also if it never began.
    ended: Callable[[], None]
    #: No task of it may call any more.
    over: bool = False


@attrs.define(eq=False, repr=False)
class Place:
    """One task's place, and what it has counted."""

    tree: Tree
    path: Path
    #: The place of whose task this one is, by the path.
    above: Place | None = None
    #: The task is inside a handler, or was spawned there: it does not count for the body's rest.
    aside: bool = False
    task: object = None
    #: How often it is on the scheduler's list, or in a step. Where that is counted.
    runnable: int = 0
    #: Threads that work in its name.
    threads: int = 0
    _spawned: int = 0
    _groups: int = 0
    _opened: int = 0
    #: Few tasks have any.
    _maps: Counter[str] | None = None

    def __repr__(self) -> str:
        return f"<place {self.path!r} of run {self.tree.name!r}>"

    def plain_child(self) -> Place:
        """Make the place of the next plain task that this one spawns."""
        if self.aside:
            return Place(self.tree, self.path, aside=True)
        self._spawned += 1
        return self.child(self._spawned - 1)

    def child(self, part: Part) -> Place:
        """Make the place of a task that a group of this task spawns."""
        return Place(self.tree, (*self.path, part), self)

    def next_group(self) -> int:
        """Count a group: the j of `("g", j, k)`."""
        self._groups += 1
        return self._groups - 1

    def next_map(self, step_id: str) -> int:
        """Count a map with this id: the j of `("m", step_id, j, k)`."""
        if self._maps is None:
            self._maps = Counter()
        self._maps[step_id] += 1
        return self._maps[step_id] - 1

    def next_open(self) -> int:
        """Count an opened nursery: the j of `("o", j, i)`."""
        self._opened += 1
        return self._opened - 1


#: What a task's context says of its place. True only if `place.task` is that task.
here: Final[ContextVar[Place]] = ContextVar("plait_place")


def find(task: object) -> Place | None:
    """Find the place of the task that runs now. Not a checkpoint."""
    place = here.get(None)
    if place is None or place.task is not task or place.tree.over:
        return None
    return place


def require(tree: Tree, task: object) -> Place:
    """Find the place, in this body, of the task that runs now. Not a checkpoint.

    Raises:
        UntrackedTaskError: The task is not of this body.
    """
    place = find(task)
    if place is not None and place.tree is tree:
        return place
    if tree.over:
        what = f"after the function of run {tree.name!r} had ended"
    elif place is not None:
        what = f"from a task of run {place.tree.name!r}"
    else:
        what = f"from a task whose place in run {tree.name!r} is not known"
    raise UntrackedTaskError(
        f"A step of run {tree.name!r} was called {what}.\n"
        "Call steps in the function itself, in tasks of nurseries that it opens, or in groups:\n"
        "    await ctx.group.parallel((lambda: ..., lambda: ...))"
    )
