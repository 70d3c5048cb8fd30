"""What happened in the golden journals: each kind of record is in one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from plait._ids import OUTSIDE, DeliveryId, RunId
from plait._kernel import delivery_calls, effects, stimuli
from plait._kernel.advance import advance
from plait._kernel.calls import stimuli as of_calls
from plait._kernel.calls.keys import Key, Path
from plait._kernel.calls.records import Op
from plait._kernel.calls.refusals import Differs
from plait._kernel.calls.stimuli import Stimulus as CallStimulus
from plait._kernel.collecting import Shape
from plait._kernel.fold import fold
from plait._kernel.plan import Plan
from plait._kernel.records import AnyRecord
from plait._kernel.state import RunState
from plait._kernel.stimuli import Stimulus

from .plans import PLANS, TWICE, Answer, Begin, Done, End, Item, Noted

EPOCH: Final = 1_763_000_000.25


class Story:
    """A run that a kernel is told of. Time goes on by a quarter of a second with each stimulus."""

    def __init__(self, name: str, plan: Plan) -> None:
        self.state = RunState(plan, RunId(f"golden-{name}"))
        self.now = 1.0
        self.epoch = EPOCH
        #: The records of each stimulus, with the epoch at that time.
        self.appends: list[tuple[float, list[AnyRecord]]] = []

    def hear(self, kind: Callable[..., Stimulus], *rest: Any, **more: Any) -> None:
        self.now += 0.25
        written, todo = advance(self.state, kind(self.now, *rest, **more))
        for effect in todo:
            if isinstance(effect, effects.Refuse):
                raise effect.error
        self.state.check()
        if written:
            self.appends.append((self.epoch, [*written]))

    def open(self, *, stepwise: bool = False) -> None:
        self.hear(stimuli.Opened, Begin(topic="gold"), self.epoch, stepwise)

    def dies_and_is_taken_up(self, *, elapsed: float) -> None:
        records = [record for _, append in self.appends for record in append]
        self.state = fold(RunState(self.state.plan, self.state.run_id), records)
        self.now, self.epoch = 0.0, self.epoch + 3600.5
        self.hear(stimuli.TakenUp, self.epoch, elapsed=elapsed)

    def comes(self, step: str) -> None:
        self.hear(stimuli.Ready, step)

    def returns(self, number: int, value: object) -> None:
        self.hear(stimuli.Returned, DeliveryId(number), value)

    def raises(self, number: int, error: BaseException) -> None:
        self.hear(stimuli.Raised, DeliveryId(number), error)

    def sends(self, event: object, *, by: int = OUTSIDE) -> None:
        self.hear(stimuli.Sent, DeliveryId(by), event)

    def writes(self, number: int, event: object, source: str = "") -> None:
        self.hear(stimuli.Wrote, DeliveryId(number), event, source)

    def waits(self, number: int, question: object = None, **requirements: object) -> None:
        delivery = DeliveryId(number)
        more = {"broadcast": False, "waiter_id": None, "question": question}
        self.hear(stimuli.WaitBegan, delivery, Answer, requirements, **more)

    def collects(self, number: int, shape: list[type], key: object = None) -> None:
        delivery = self.state.running[DeliveryId(number)]
        self.hear(
            stimuli.Contributed, delivery.number, delivery.event, Shape.of(shape), "default", key
        )

    def does(self, number: int, kind: Callable[..., CallStimulus], *rest: Any, **more: Any) -> None:
        """Something happens to the durable calls of a delivery. Their times are those of the wall."""
        self.now += 0.25
        now = self.epoch + self.now
        written, _ = delivery_calls.hear(self.state, DeliveryId(number), kind(now, *rest, **more))
        if written:
            self.appends.append((self.epoch, [record for _, record in written]))

    def calls(self, number: int, step_id: str, op: Op = "run", path: Path = (), **more: Any) -> Key:
        delivery = self.state.running[DeliveryId(number)]
        calls = delivery_calls.calls_of(self.state, delivery, self.epoch + self.now)
        key = calls.next_key((*delivery_calls.root_of(delivery), *path), step_id)
        self.does(number, of_calls.Called, key, op, more.pop("handler", op), ("main",), **more)
        self.does(number, of_calls.Acknowledged, calls.last_n)
        return key

    def call_returns(self, number: int, key: Key, value: object) -> None:
        self.does(number, of_calls.HandlerReturned, key, value)
        self.rests(number)

    def call_raises(self, number: int, key: Key, error: Exception, **more: Any) -> None:
        self.does(number, of_calls.HandlerRaised, key, error, **more)
        self.rests(number)

    def cannot_go_on(self, number: int, why: Differs) -> None:
        def on_the_wall(now: float) -> Stimulus:
            return stimuli.CannotGoOn(self.epoch + now, DeliveryId(number), why)

        self.hear(on_the_wall)

    def rests(self, number: int) -> None:
        calls = self.state.running[DeliveryId(number)].calls
        assert calls is not None
        self.does(number, of_calls.Acknowledged, calls.last_n)
        self.does(number, of_calls.AtRest)

    def settles(self) -> None:
        for number in [*self.state.running, *self.state.suspended]:
            self.hear(stimuli.Unwound, number)
        self.hear(stimuli.Settled)


def lists(story: Story) -> None:
    """A fan-in has what it wants before all have come; a join waits in vain."""
    story.open()
    story.comes("begin")
    story.returns(1, [Item(n=1, tags=("a", "ä")), Item(n=2), Item(n=3), Noted(text="seen")])
    story.comes("work")
    story.comes("work")
    story.sends(Item(n=4), by=2)
    story.returns(2, Done(n=1))
    story.comes("pair")
    story.returns(4, Done(n=2))
    story.comes("gather")
    story.hear(stimuli.Unwound, DeliveryId(8))
    story.hear(stimuli.Wrote, OUTSIDE, Noted(text="from outside"))
    story.returns(13, End(total=3.5))
    story.settles()


def failures(story: Story) -> None:
    """One failure is retried, the next one mended, the last one ends the run."""
    story.open()
    story.comes("begin")
    story.sends(Item(n=1), by=1)
    story.returns(1, Item(n=2))
    story.comes("work")
    story.raises(2, ValueError("once"))
    story.now += 2.0
    story.hear(stimuli.Due, DeliveryId(2))
    story.comes("work")
    story.comes("work")
    story.raises(2, ValueError("twice"))
    story.comes("mend")
    story.raises(4, KeyError("in the handler"))
    story.settles()


def waits(story: Story) -> None:
    """A run of two lives: answers, early and late, collections, the store, and what is repeated."""
    story.open()
    story.comes("begin")
    story.hear(stimuli.StoreChanged, DeliveryId(1), {"count": 1, "tags": ("x",)})
    story.sends(Done(n=1), by=1)
    story.returns(1, Item(n=1))
    story.comes("collect")
    story.collects(2, [Done, Done], key=("k", 1))
    story.returns(2, None)
    story.comes("ask")
    story.sends(Done(n=2), by=3)
    story.writes(3, Noted(text="asking"))
    story.waits(3, Noted(text="may I?"), to="ask")
    story.writes(3, Noted(text="from inside"), "child-1")
    story.sends(Answer(to="somebody", yes=False))
    story.sends(Answer(to="ask", yes=True))
    story.waits(3)
    story.dies_and_is_taken_up(elapsed=12.5)
    story.comes("ask")
    story.sends(Done(n=2), by=3)
    story.writes(3, Noted(text="asking"))
    story.writes(3, Noted(text="from inside"), "child-1")
    story.waits(3, Noted(text="may I?"), to="ask")
    story.waits(3, None, to="nobody")
    story.hear(stimuli.WaitExpired, (DeliveryId(3), 1))
    story.hear(stimuli.StoreChanged, DeliveryId(3), {"count": 2}, removed=("tags",), cleared=False)
    story.waits(3, None, to="never")
    story.comes("collect")
    story.collects(4, [Done, Done], key=("k", 1))
    story.returns(4, None)
    story.sends(Answer(to="child-1", yes=True))
    story.hear(stimuli.HandedOn, 0, RunId("child-1"))
    story.hear(stimuli.CancelAsked)
    story.settles()


def turns(story: Story) -> None:
    """A run that goes step by step, until its time is over."""
    story.open(stepwise=True)
    story.hear(stimuli.StepAsked)
    story.comes("begin")
    story.returns(1, Item(n=1))
    story.hear(stimuli.StepAsked)
    story.comes("work")
    story.hear(stimuli.Expired)
    story.settles()


def stalls(story: Story) -> None:
    """A run in which nobody says anything any more."""
    story.open()
    story.comes("begin")
    story.returns(1, None)
    story.settles()


def steps(story: Story) -> None:
    """Durable calls of two deliveries, over three lives; in the second the code does not fit."""
    story.open()
    story.comes("begin")
    charge = story.calls(1, "charge", handler="charge_card")
    story.call_returns(1, charge, {"paid": 5.5, "to": ["ä", None, True]})
    story.does(1, of_calls.PatchAsked, "v2-mail")
    story.returns(1, Item(n=1))
    story.comes("work")
    story.does(2, of_calls.PatchAsked, "v2-mail")
    deadline = Key((("work", 2),), None, 0)
    story.does(2, of_calls.DeadlineEntered, deadline, story.epoch + story.now + 60)
    mail = story.calls(2, "mail", retry=TWICE)
    story.call_raises(2, mail, ValueError("once"))
    nap = story.calls(2, "nap", "sleep", (("g", 0, 1),), due_at=story.epoch + story.now + 10)
    lost = story.calls(2, "lost", path=(("g", 0, 2),))
    story.does(2, of_calls.CallCancelled, lost)
    story.now += 10
    story.does(2, of_calls.Due, nap)
    story.does(2, of_calls.Due, mail)
    story.call_raises(2, mail, KeyError("twice"))
    story.now += 60
    story.does(2, of_calls.Due, deadline)
    story.dies_and_is_taken_up(elapsed=72.5)
    story.comes("work")
    story.cannot_go_on(2, Differs(mail, "handler", "run", "send_mail"))
    story.dies_and_is_taken_up(elapsed=73.0)
    story.comes("work")
    story.returns(2, End(total=1.5))
    story.settles()


STORIES: Final[Mapping[str, tuple[Callable[[Story], None], str]]] = {
    "lists": (lists, "lists"),
    "failures": (failures, "failures"),
    "waits": (waits, "waits"),
    "turns": (turns, "turns"),
    "stalls": (stalls, "turns"),
    "steps": (steps, "turns"),
}


def told(name: str) -> Story:
    """Tell a story."""
    tell, plan = STORIES[name]
    story = Story(name, PLANS[plan])
    tell(story)
    return story
