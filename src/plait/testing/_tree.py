"""`task_tree`: what is alive, as Trio sees it."""

from __future__ import annotations

from collections.abc import Iterator

import trio


def task_tree() -> str:
    """Return the names of the live tasks, each indented below the task whose nursery it is in.

    Trio's own system tasks are left out. Compare it before and after: what a run has started has
    ended with it.

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
    assert root is not None
    main = [task for nursery in root.child_nurseries[:1] for task in nursery.child_tasks]
    return "\n".join(line for task in sorted(main, key=_name) for line in _lines(task, 0))


def _name(task: trio.lowlevel.Task) -> str:
    return task.name


def _lines(task: trio.lowlevel.Task, depth: int) -> Iterator[str]:
    yield "  " * depth + task.name
    for nursery in task.child_nurseries:
        for child in sorted(nursery.child_tasks, key=_name):
            yield from _lines(child, depth + 1)
