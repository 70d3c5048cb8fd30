"""`task_tree`: what is alive, as Trio sees it."""

from __future__ import annotations

from collections.abc import Iterator

import trio


def task_tree() -> str:
    """Return the names of the live tasks, each indented below the task whose nursery it is in.

    It begins with the main task; Trio's own system tasks are left out. Compare it before and
    after: what a run has started has ended with it.

    Raises:
        RuntimeError: Not called from within `trio.run`.

    Example:
        ```python
        before = task_tree()
        await Flow().run()
        assert task_tree() == before
        ```
    """
    root = trio.lowlevel.current_root_task()
    top = trio.lowlevel.current_task()
    while top.parent_nursery is not None and top.parent_nursery.parent_task is not root:
        top = top.parent_nursery.parent_task
    return "\n".join(_lines(top, 0))


def _name(task: trio.lowlevel.Task) -> str:
    return task.name


def _lines(task: trio.lowlevel.Task, depth: int) -> Iterator[str]:
    yield "  " * depth + task.name
    for nursery in task.child_nurseries:
        for child in sorted(nursery.child_tasks, key=_name):
            yield from _lines(child, depth + 1)
