"""What happened in the golden journals of apps: each kind of record is in one of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from plait._abc import Entry
from plait._journal.scribes import AppScribe
from plait._kernel.admission import plan, stimuli
from plait._kernel.admission.advance import advance
from plait._kernel.admission.apply import apply
from plait._kernel.admission.keeping import kept
from plait._kernel.admission.records import AppSnapshot, Record
from plait._kernel.admission.snapshot import fold, picture_of
from plait._kernel.admission.state import AppState
from plait._kernel.admission.stimuli import Stimulus

EPOCH: Final = 1_763_000_000.25


def by_user(event: Any) -> str:
    return str(event.data["user"])


#: They stay as they are, for ever: a new release may add functions and stories.
PLAN: Final = plan.AppPlan(
    [
        plan.FunctionPlan(
            "order",
            (plan.Trigger("order"),),
            idempotency=lambda event: str(event.data["n"]),
            rate_limit=plan.RateLimit(3, 60.0, by_user),
            throttle=plan.Throttle(1, 10.0, by_user),
            priority=lambda event: float(event.data["n"]),
            concurrency=(plan.Concurrency(1, by_user, of="runs"), plan.Concurrency(2)),
            cancels=(plan.Cancel("stop"),),
        ),
        plan.FunctionPlan("quiet", (plan.Trigger("key"),), debounce=plan.Debounce(5.0, by_user)),
        plan.FunctionPlan("many", (plan.Trigger("line"),), batch=plan.Batch(2, 30.0, by_user)),
        plan.FunctionPlan(
            "one", (plan.Trigger("only"),), singleton=plan.Singleton("cancel", by_user)
        ),
        plan.FunctionPlan("tick"),
    ],
    lambda fn_id, event: f"{fn_id}-{event.number}",
)


class App:
    """An app that a kernel is told of. Time goes on by a quarter of a second with each stimulus."""

    def __init__(self) -> None:
        self.now = EPOCH
        self.state = AppState(PLAN)
        self.events = 0
        self.appends: list[list[Record]] = []
        self.hear(stimuli.TakenUp)

    def hear(self, kind: Callable[..., Stimulus], *rest: Any, **more: Any) -> None:
        self.now += 0.25
        written, _ = advance(self.state, kind(self.now, *rest, **more))
        self.state.check(self.now)
        if found := kept(written):
            self.appends.append(found)

    def arrival(self, name: str, data: object, *, later: float = 0.0) -> stimuli.Arrival:
        self.events += 1
        ts = int((self.now + later) * 1000)
        return stimuli.Arrival(f"id{self.events}", name, data, ts)

    def sends(self, name: str, user: str = "ä", *, n: int = 0, later: float = 0.0) -> None:
        arrival = self.arrival(name, {"user": user, "n": n}, later=later)
        self.hear(stimuli.EventsReceived, (arrival,))

    def ends(self, run_id: str, status: str = "completed") -> None:
        self.hear(stimuli.RunEnded, run_id, status)

    def waits(self, seconds: float) -> None:
        self.now += seconds
        self.hear(stimuli.TimePassed)

    def writes_itself_out(self) -> None:
        record = AppSnapshot(self.now, picture_of(self.state))
        apply(self.state, record)
        self.appends.append([record])

    def dies_and_is_taken_up(self) -> None:
        records = (record for append in self.appends for record in append)
        self.state = fold(AppState(PLAN), records)
        self.now += 100
        self.hear(stimuli.TakenUp)


def day(app: App) -> None:
    """Orders wait for slots and turns, keys for silence, lines for company; the app is taken up."""
    app.hear(stimuli.CronWatched, "tick", "0 * * * *")
    app.sends("order", n=1)
    app.sends("order", n=1)
    app.sends("order", n=2)
    app.sends("order", n=3)
    app.sends("order", n=4)
    app.sends("order", "other", n=5, later=50)
    app.sends("key")
    app.sends("key")
    app.sends("line")
    app.sends("line", "other")
    app.sends("line")
    app.sends("only")
    app.sends("only")
    again = stimuli.Arrival("id1", "order", None, 0)
    app.hear(stimuli.EventsReceived, (again,))
    app.writes_itself_out()
    app.hear(stimuli.Ticked, "tick", "0 * * * *", app.now, app.arrival("cron", None), "tick-1")
    call = app.arrival("call", {"user": "child", "n": 0})
    app.hear(stimuli.Invoked, "quiet", "child-1", call, "order-1")
    app.waits(20)
    app.ends("order-1")
    app.ends("one-12", "cancelled")
    app.dies_and_is_taken_up()
    app.hear(stimuli.CancelAsked, "child-1", "enough")
    app.ends("child-1", "cancelled")
    app.sends("stop")
    app.ends("tick-1", "failed")
    app.writes_itself_out()


STORIES: Final[Mapping[str, Callable[[App], None]]] = {"day": day}
SCRIBE: Final = AppScribe("golden")


def appends_of(name: str) -> list[list[Entry]]:
    """Tell a story and encode it, append by append."""
    app, last = App(), 0
    STORIES[name](app)
    appends: list[list[Entry]] = []
    for records in app.appends:
        appends.append(SCRIBE.entries([*enumerate(records, last + 1)]))
        last += len(records)
    return appends


class Reader:
    """The state that entries lead to."""

    def __init__(self, name: str) -> None:
        self._state = AppState(PLAN)
        self._last = 0

    def read(self, entries: Iterable[Entry]) -> None:
        read = list(entries)
        fold(self._state, (record for _, record in SCRIBE.records(read, after=self._last)))
        self._last += len(read)

    def document(self) -> Any:
        """The state, as a snapshot has it."""
        (entry,) = SCRIBE.entries([(1, AppSnapshot(0.0, picture_of(self._state)))])
        return {"version": entry.version, "snapshot": json.loads(entry.body)}

    def same(self, document: Any) -> bool:
        """Is this the state that was written down, by whatever version?"""
        body, version = json.dumps(document["snapshot"]).encode(), document["version"]
        entry = Entry("app/golden", 1, "app.snapshot", version, 0.0, None, body)
        ((_, record),) = SCRIBE.records([entry])
        assert isinstance(record, AppSnapshot)
        return bool(record.state == picture_of(self._state))
