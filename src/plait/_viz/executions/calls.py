"""Durable calls, of functions and of deliveries, and the bodies of functions: what each record means.

A call has no worker. Its row is the task that makes it: one task makes one call at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final

from plait._kernel.calls import records
from plait._kernel.calls.keys import Key, Path, in_delivery, key_text, path_text
from plait._kernel.functions import records as of_functions

from .names import call_error, error_text, mapping
from .parts import OUTSIDE, OVER, Activity, Cause, Pause

if TYPE_CHECKING:
    from .reduce import Reducer

#: The id of the activity that a function's body is.
BODY: Final = "(body)"


class Calls:
    """Follows the calls of one run."""

    def __init__(self, reducer: Reducer) -> None:
        self._reducer = reducer
        self._execution = reducer.execution
        #: Of each body, what the record with a number was about. A body of a delivery numbers its own.
        self._about: dict[str | None, dict[int, str]] = {}
        #: The names of the tasks, by their paths.
        self._tasks: dict[Path, str] = {}
        self._made_by: dict[Path, list[Activity]] = {}
        self._counts: dict[str | None, int] = {}

    def takes(self) -> dict[type, Callable[[Any], None]]:
        """Say who takes which record."""
        return {
            of_functions.RunQueued: self._queued,
            of_functions.FunctionStarted: self._started,
            of_functions.FunctionRetrying: self._retrying,
            of_functions.RollbackBegun: self._rollback,
            of_functions.FunctionFreed: self._freed,
            of_functions.FunctionCompleted: self._completed,
            of_functions.FunctionFailed: self._failed,
            of_functions.FunctionCancelled: self._cancelled,
            records.CallStarted: self._call_started,
            records.CallScheduled: self._call_scheduled,
            records.CallRetrying: self._call_retrying,
            records.CallCompleted: self._call_ended,
            records.CallFailed: self._call_ended,
            records.CallCancelled: self._call_cancelled,
            records.DeadlineSet: self._deadline_set,
            records.DeadlineFired: self._deadline_fired,
        }

    # ------------------------------------------------------------ a function's run

    def _body(self) -> Activity:
        body = self._execution.activities.get(BODY)
        if body is None:
            name = self._execution.name or "function"
            body = self._reducer.add(Activity(BODY, "function", name, 1))
        return body

    def _note(self, activity: Activity) -> None:
        self._about.setdefault(None, {})[self._execution.count] = activity.id

    def _queued(self, record: of_functions.RunQueued) -> None:
        execution = self._execution
        execution.name = execution.name or record.fn_id
        execution.status = "queued"
        body = self._body()
        names = [_event_name(event) for event in record.events]
        body.given = " + ".join(name for name in names if name)
        body.causes.append(Cause(OUTSIDE, "event", body.given))
        self._reducer.queue(body)
        self._note(body)

    def _started(self, _: of_functions.FunctionStarted) -> None:
        self._execution.status = "running"
        self._execution.outcome = ""
        self._reducer.interrupt()
        body = self._body()
        self._reducer.begin(body, None)
        self._note(body)

    def _retrying(self, record: of_functions.FunctionRetrying) -> None:
        body = self._body()
        text = error_text(record.error)
        self._reducer.stop(body, "failed", text)
        body.error = text
        due = self._reducer.time(record.due_at, on_wall=True)
        self._reducer.pause(body, Pause("retry", "", self._reducer.at, due), "retrying")
        self._note(body)

    def _rollback(self, record: of_functions.RollbackBegun) -> None:
        body = self._body()
        body.reason = "rolled back"
        if record.reason is None:
            body.error = error_text(record.error)
        self._reducer.touch(body)
        self._note(body)

    def _freed(self, _: of_functions.FunctionFreed) -> None:
        self._execution.status = "running"
        self._execution.outcome = ""

    def _completed(self, _: of_functions.FunctionCompleted) -> None:
        self._reducer.end(self._body(), "succeeded")
        self._close("completed", "completed")

    def _failed(self, record: of_functions.FunctionFailed) -> None:
        self._reducer.end(self._body(), "failed", error_text(record.error))
        self._close("failed", error_text(record.error))

    def _cancelled(self, record: of_functions.FunctionCancelled) -> None:
        self._reducer.end(self._body(), "cancelled")
        self._close("cancelled", f"cancelled: {record.reason}" if record.reason else "cancelled")

    def _close(self, status: Any, outcome: str) -> None:
        self._reducer.ended_by(BODY)
        self._reducer.close("the run ended")
        self._execution.status, self._execution.outcome = status, outcome

    # ------------------------------------------------------------ calls

    def forget(self, gone: Collection[Activity]) -> None:
        """Take away calls of which it is not known how they ended, see `standing`."""
        ids = {call.id for call in gone}
        for name in ids:
            del self._execution.activities[name]
        for made in self._made_by.values():
            made[:] = [one for one in made if one.id not in ids]

    def _call(self, key: Key, cause: int, where: tuple[str, ...] | None) -> Activity:
        """Find a call, or take it in; remember what this record is about."""
        name = key_text(key)
        owner = _owner(key)
        count = self._counts[owner] = self._counts.get(owner, 0) + 1
        n = self._execution.count if owner is None else count
        self._about.setdefault(owner, {})[n] = name
        call = self._execution.activities.get(name)
        if call is None:
            source = self._about.get(owner, {}).get(cause)
            if source is None or source == name:
                source = owner or (BODY if BODY in self._execution.activities else OUTSIDE)
            call = Activity(name, "call", _name(key), self._execution.count, within=owner)
            call.task = self._tasks.get(key.path) or _place(key)
            call.causes.append(Cause(source, "call"))
            self._made_by.setdefault(key.path, []).append(call)
            self._reducer.add(call)
        if where and key.path not in self._tasks:
            self._name_task(key, where[-1].rpartition(".")[2])
        self._reducer.touch(call)
        return call

    def _name_task(self, key: Key, name: str) -> None:
        """Only some records say what the tasks are called: all calls of a task are told by it."""
        place = _place(key)
        name = f"{place} {name}" if place and name.isidentifier() else place
        self._tasks[key.path] = name
        for call in self._made_by.get(key.path, ()):
            call.task = name
            self._reducer.touch(call)

    def _call_started(self, record: records.CallStarted) -> None:
        call = self._call(record.key, record.cause, record.where)
        if call.current is None:
            self._reducer.begin(call, None)

    def _call_scheduled(self, record: records.CallScheduled) -> None:
        call = self._call(record.key, record.cause, None)
        due = None if record.due_at is None else self._reducer.time(record.due_at, on_wall=True)
        at = self._reducer.at
        self._reducer.unpause(call)
        if record.op == "wait":
            pause = Pause("event", record.event or "", at, due)
        elif record.op == "invoke":
            pause = Pause("invoke", record.child or "", at, due)
        else:
            pause = Pause("sleep", "", at, due)
        self._reducer.pause(call, pause, "waiting")

    def _call_retrying(self, record: records.CallRetrying) -> None:
        call = self._call(record.key, record.cause, None)
        text = call_error(record.error)
        self._reducer.stop(call, "failed", text)
        call.error = text
        due = self._reducer.time(record.due_at, on_wall=True)
        self._reducer.pause(call, Pause("retry", "", self._reducer.at, due), "retrying")

    def _call_ended(self, record: records.CallCompleted | records.CallFailed) -> None:
        call = self._call(record.key, record.cause, record.where)
        runs = record.op in {"run", "send", "rollback"}
        if runs and call.current is None:  # that it started is a note, which may be missing
            self._reducer.begin(call, None)
        if isinstance(record, records.CallFailed):
            self._reducer.end(call, "failed", call_error(record.error))
        else:
            self._reducer.end(call, "succeeded")

    def _call_cancelled(self, record: records.CallCancelled) -> None:
        self._reducer.end(self._call(record.key, record.cause, None), "cancelled")

    def _deadline_set(self, record: records.DeadlineSet) -> None:
        call = self._call(record.key, record.cause, None)
        call.name = "deadline"
        due = self._reducer.time(record.due_at, on_wall=True)
        self._reducer.pause(call, Pause("sleep", "", self._reducer.at, due), "waiting")

    def _deadline_fired(self, record: records.DeadlineFired) -> None:
        call = self._call(record.key, record.cause, None)
        call.name = "deadline"
        if call.state not in OVER:
            self._reducer.end(call, "succeeded")


def _owner(key: Key) -> str | None:
    """The id of the delivery whose body makes a call; `None`: it is a function's."""
    match key.path:
        case ((str() as step, int() as number), *_) if in_delivery(key.path):
            return f"{step}#{number}"
        case _:
            return None


def _name(key: Key) -> str:
    again = f" #{key.occurrence + 1}" if key.occurrence else ""
    role = f" ({key.role})" if key.role else ""
    return f"{key.step_id}{again}{role}"


def _place(key: Key) -> str:
    inside = key.path[1:] if in_delivery(key.path) else key.path
    return path_text(inside) if inside else ""


def _event_name(event: object) -> str:
    return str(mapping(event).get("name", ""))
