"""An app without functions: it reports to the kernel, does what it is told, and watches.

After every stimulus: the state holds its invariants, the records alone make the same state, and
what the kernel lets start fits what was asked for.
"""

from __future__ import annotations

from itertools import count

from plait._kernel.admission import effects, records, stimuli
from plait._kernel.admission.advance import advance
from plait._kernel.admission.apply import apply
from plait._kernel.admission.keeping import kept
from plait._kernel.admission.plan import AppPlan, FunctionPlan, Trigger
from plait._kernel.admission.snapshot import fold, picture_of, state_of
from plait._kernel.admission.state import AppState

#: An event's name, unless a test says otherwise.
EVENT = "e"


def fn(fn_id="f", *, on=EVENT, triggers=None, **knobs):
    """A function that runs on one event."""
    return FunctionPlan(fn_id, triggers or (Trigger(on),), **knobs)


def by(field):
    """A key out of the event's data."""
    return lambda event: str(event.data[field])


def run_name(fn_id, event):
    return f"{fn_id}-{event.number}"


class App:
    def __init__(self, *functions, now=1000.0):
        self.plan = AppPlan(functions, run_name)
        self.state = AppState(self.plan)
        self.shadow = AppState(self.plan)
        self.now = now
        self.ids = count(1)
        #: All records, and all effects.
        self.records = []
        self.effects = []
        #: What has happened: (time, run), in this order.
        self.queued = []
        self.started = []
        self.cancelled = []
        self.ended = []
        #: The events of each run, by their data.
        self.given = {}
        self.alarm = None
        self.slots = {}

    # ------------------------------------------------------------ reporting

    def hear(self, stimulus):
        written, todo = advance(self.state, stimulus)
        self.records += written
        self.effects += todo
        for record in written:
            apply(self.shadow, record)
        self.state.check(self.now)
        assert self.shadow == self.state
        assert self.shadow.handlers.calls == self.state.handlers.calls
        assert self.shadow.handlers.lanes == self.state.handlers.lanes
        for effect in todo:
            self.do(effect)
        assert self.alarm == self.state.next_due, "no timer, or one of another time"
        return todo

    def do(self, effect):
        match effect:
            case effects.QueueRun(run_id, _, events):
                assert run_id not in self.given, "queued twice"
                self.queued.append((self.now, run_id))
                self.given[run_id] = [event.data for event in events]
            case effects.StartRun(run_id, again=again):
                before = [name for _, name in self.started]
                assert run_id in self.given, "started, never queued"
                assert (run_id in before) == again, "started twice"
                if not again:
                    self.started.append((self.now, run_id))
            case effects.CancelRun(run_id, reason, started):
                if started:
                    assert self.state.runs[run_id].cancelled == reason
                else:
                    assert run_id not in self.state.runs
                self.cancelled.append((self.now, run_id))
            case effects.Wake(at):
                self.alarm = at
            case effects.GiveSlot(call):
                self.slots[call] = self.now
            case _:
                pass

    def arrival(self, data=None, *, name=EVENT, id=None, ts=None):  # noqa: A002 - what it is
        number = next(self.ids)
        return stimuli.Arrival(
            id or f"id{number}", name, data, int(self.now * 1000) if ts is None else ts
        )

    def send(self, *data, **more):
        """Send events with these data, all at once; one without data if there are none."""
        events = tuple(self.arrival(one, **more) for one in data or (None,))
        return self.hear(stimuli.EventsReceived(self.now, events))

    def invoke(self, fn_id="f", run_id="child", data=None, parent=None):
        event = self.arrival(data, name="invoked")
        return self.hear(stimuli.Invoked(self.now, fn_id, run_id, event, parent))

    def tick(self, planned, fn_id="f", cron="* * * * *"):
        event = self.arrival(planned, name="cron")
        run_id = f"{fn_id}-at-{planned}"
        return self.hear(stimuli.Ticked(self.now, fn_id, cron, planned, event, run_id))

    def watch(self, fn_id="f", cron="* * * * *"):
        return self.hear(stimuli.CronWatched(self.now, fn_id, cron))

    def end(self, run_id, status="completed"):
        if self.state.runs[run_id].cancelled is not None:
            status = "cancelled"
        self.ended.append((self.now, run_id))
        return self.hear(stimuli.RunEnded(self.now, run_id, status))

    def cancel(self, run_id, reason="enough"):
        return self.hear(stimuli.CancelAsked(self.now, run_id, reason))

    def ask(self, run_id, call):
        return self.hear(stimuli.HandlerAsked(self.now, run_id, call))

    def leave(self, call):
        return self.hear(stimuli.HandlerLeft(self.now, call))

    def until(self, now):
        """Let time pass, waking the kernel whenever it wants to be."""
        while self.alarm is not None and self.alarm <= now:
            self.now = max(self.alarm, self.now)
            self.hear(stimuli.TimePassed(self.now))
        self.now = now
        return self

    def after(self, seconds):
        return self.until(self.now + seconds)

    def restart(self, *functions, at=None, snapshot=False):
        """Another process takes the app up, from its records, or from a snapshot."""
        if functions:
            self.plan = AppPlan(functions, run_name)
        if snapshot:
            self.state = state_of(self.plan, picture_of(self.state))
            self.shadow = state_of(self.plan, picture_of(self.shadow))
        else:
            self.state = fold(AppState(self.plan), kept(self.records))
            self.shadow = fold(AppState(self.plan), kept(self.records))
        self.records = kept(self.records)
        self.slots.clear()
        self.alarm = None
        if at is not None:
            self.now = at
        return self.hear(stimuli.TakenUp(self.now))

    # ------------------------------------------------------------ looking

    def of(self, kind):
        return [record for record in self.records if type(record) is kind]

    @property
    def skipped(self):
        return [(record.knob, record.key) for record in self.of(records.EventSkipped)]

    @property
    def runs(self):
        """The events of the runs, in the order of their admission."""
        return list(self.given.values())

    @property
    def starts(self):
        """When, counted from 1000, and which runs started, by their events."""
        return [(now - 1000, *self.given[run_id]) for now, run_id in self.started]

    def running(self):
        return [run.run_id for run in self.state.runs.values() if run.started_at is not None]

    def waiting(self):
        return [run.run_id for run in self.state.runs.values() if run.started_at is None]


def got(todo, kind):
    """The effects of one class."""
    return [effect for effect in todo if type(effect) is kind]
