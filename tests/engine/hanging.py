"""A test that hangs is made to fail: under Trio, on asyncio, and where there is no loop at all.

A signal alone does not do that. An exception that it raises in the middle of Trio's scheduler ends the
scheduler and not the tasks, which are then dropped where they wait; or it is raised in the host of a guest
run, and the run goes on without anybody. So Trio is asked, by its own door, to raise it in the main task.

Rule 1: it says where everybody waits before it changes anything.
Rule 2: it tries again and again, a second apart, since clean-up may hang as well: first in the loop; then
    wherever Python is; at last it ends the process, with a text.
Rule 3: it breaks what it must. Shields are lowered, and private names of Trio used: nobody will go on with
    that run.
"""

import faulthandler
import gc
import os
import signal
import sys

import pytest
import trio

#: Seconds after which a test hangs. The slowest takes a few, on a machine that has time for it; beside
#: other work it may take many times that.
PATIENCE = 300
#: How often Trio is asked to end, and how often anybody, before the process is ended.
IN_THE_LOOP = 5
ANYWHERE = 10

Runner = trio._core._run.Runner


class Guard:
    """Watches over one test."""

    def __init__(self, patience, out):
        self.patience = patience
        self.out = out
        self.rings = 0
        self.text = f"it hangs: no end after {patience} s"

    def ring(self, *_):
        """Be called by the signal, in the main thread and between any two instructions."""
        self.rings += 1
        signal.alarm(1)
        if self.rings == 1:
            self.dump()
        runners = living_runners()
        if runners and self.rings <= IN_THE_LOOP:
            for runner in runners:
                runner.entry_queue.run_sync_soon(break_off, runner, self.text, idempotent=False)
        elif self.rings <= ANYWHERE:
            pytest.fail(self.text)
        else:
            print(f"{self.text}, and nothing ends it: the process is ended", file=self.out)
            self.out.flush()
            os._exit(pytest.ExitCode.INTERNAL_ERROR)

    def dump(self):
        """Say where all threads are, and all tasks of Trio."""
        print(f"\n{self.text}", file=self.out)
        for runner in living_runners():
            for task in tasks_of(runner):
                print(f"--- task {task.name}", file=self.out)
                for frame, line in task.iter_await_frames():
                    code = frame.f_code
                    print(
                        f'  File "{code.co_filename}", line {line} in {code.co_name}', file=self.out
                    )
        self.out.flush()
        faulthandler.dump_traceback(self.out)


def living_runners():
    """Find the runs of Trio that have a main task, and have not come to an end.

    That of a guest run is nobody's global while its host waits, so it is looked for.
    """
    return [
        one
        for one in gc.get_objects()
        if type(one) is Runner and one.main_task is not None and one.main_task_outcome is None
    ]


def tasks_of(runner):
    """List the main task and all below it."""
    tasks = [runner.main_task]
    for task in tasks:
        for nursery in task.child_nurseries:
            tasks += nursery.child_tasks
    return tasks


def break_off(runner, text):
    """Raise a failure in the main task, and cancel all the others, in whatever shields. In the loop."""
    main = runner.main_task
    top = main.parent_nursery._cancel_status
    for task in tasks_of(runner):
        status = task._cancel_status
        while status is not None and status is not top:
            status._scope.shield = False
            status = status._parent

    def fail():
        raise pytest.fail.Exception(text)

    if main._abort_func is not None:  # first: who has been cancelled waits for nothing any more
        main._attempt_abort(fail)
    for nursery in main.child_nurseries:
        nursery.cancel_scope.cancel()


def out_of(config):
    """Where to write to although pytest captures what is written."""
    try:
        from _pytest.faulthandler import fault_handler_stderr_fd_key

        return os.fdopen(os.dup(config.stash[fault_handler_stderr_fd_key]), "w")
    except (ImportError, KeyError):
        return os.fdopen(os.dup(sys.__stderr__.fileno()), "w")


@pytest.fixture(autouse=True)
def no_test_hangs(request):
    """Make a failure of what would be a wait for ever: an engine that is wrong likes to wait."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return
    with out_of(request.config) as out:
        guard = Guard(PATIENCE, out)
        before = signal.signal(signal.SIGALRM, guard.ring)
        signal.alarm(PATIENCE)
        yield
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    if guard.rings:
        pytest.fail(guard.text)
