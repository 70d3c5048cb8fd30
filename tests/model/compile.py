"""A real workflow out of a program, through the public door. Its bodies write down what they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

import anyio

from plait import (
    All,
    Collect,
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
    Take,
    Timeout,
    Workflow,
    catch_error,
    step,
)
from plait.errors import WorkflowRuntimeError
from plait.events import ChildEvent, StepFailedEvent
from plait.lowlevel import Closed, Decided, RunStarted, Stopped, TimedOut
from plait.retry import retry_if_exception_type, retry_policy, stop_after_attempt, wait_incrementing
from tests.model import program as p
from tests.model.facts import Account, Fact, Log


class Go(StartEvent):
    label: str
    mass: int
    key: int


class A(Event):
    label: str
    mass: int
    key: int


class A2(A):
    pass


class B(Event):
    label: str
    mass: int
    key: int


class C(Event):
    label: str
    mass: int
    key: int


class D(Event):
    label: str
    mass: int
    key: int


class Shown(Event, observable=True):
    label: str
    mass: int
    key: int


class Answer(HumanResponseEvent):
    label: str
    mass: int
    key: int


class Question(InputRequiredEvent):
    label: str
    mass: int
    key: int


class Stop(StopEvent):
    label: str
    mass: int
    key: int


class Boom(Exception):  # noqa: N818 - it is one
    """A body fails."""


class OddBoom(Boom):
    """A failure that a policy can tell from the others."""


KINDS: Final[dict[str, type[Event]]] = {
    kind.__name__: kind for kind in (Go, A, A2, B, C, D, Shown, Answer, Question, Stop)
} | {"Failed": StepFailedEvent}


def make(ev: p.Ev) -> Event:
    """Make a real event."""
    return KINDS[ev.kind](label=ev.label, mass=ev.mass, key=ev.key)


def read(event: Any) -> p.Ev:
    """Read a real event."""
    if isinstance(event, StepFailedEvent):
        given = event.input_event
        inputs = [read(one) for one in (given if isinstance(given, tuple) else (given,))]
        return p.failure(
            event.step_name, inputs, said(event.exception), event.attempts, event.elapsed_seconds
        )
    return p.Ev(type(event).__name__, event.label, event.mass)


def said(error: BaseException) -> str:
    """Say in a word what an exception is."""
    if isinstance(error, BaseExceptionGroup):
        return "+".join(said(part) for part in error.exceptions)
    if isinstance(error, Boom):
        return f"{'odd ' if isinstance(error, OddBoom) else ''}{error}"
    return type(error).__name__


def streamed(event: Any) -> str:
    """Say in a word what is on the stream."""
    if isinstance(event, ChildEvent):
        return f"child {streamed(event.event)}"
    return str(read(event)) if type(event).__name__ in KINDS else type(event).__name__


# ---------------------------------------------------------------- bodies


class Recorded(Workflow):
    """A workflow that writes down what happens in it."""

    program: p.Program
    log: Log
    key: str

    def run(self, *args: Any, **fields: Any) -> Any:
        run = super().run(*args, **fields)
        run.observe(self.overhear)
        return run

    def overhear(self, record: Any) -> None:
        """Write down what no body can see."""
        match record:
            case RunStarted():
                self.note(0, "opened")
            case Closed():
                self.note(0, "closed")
            case Decided(outcome=Stopped()):
                pass
            case Decided():
                name = type(record.outcome).__name__
                active = record.outcome.active if isinstance(record.outcome, TimedOut) else ()
                self.note(0, "decided", (name, *active))
            case _ if type(record).__name__ == "Requeued":
                self.note(0, "due", record.delivery)
            case _ if type(record).__name__ == "WaitEnded":
                self.note(0, "gave up", record.wait[0])

    def note(self, body: int, what: str, data: Any = None) -> None:
        self.log.facts.append(Fact(anyio.current_time(), self.key, body, what, data))


async def live(flow: Recorded, plan: p.Step, ctx: Context, given: list[Any]) -> Any:
    """Do what the script says, and write down what came of it."""
    inputs = [read(event) for event in given]
    attempt = ctx.retry_info().retry_number + 1
    number = int(ctx.idempotency_key.rpartition(":")[2])
    body = flow.log.next_body()
    flow.note(body, "began", (plan.name, tuple(inputs), attempt, number))
    script = p.Script(flow.program, plan, inputs, attempt)
    try:
        for _, sleeps, act in script.acts():
            for seconds in sleeps:
                await anyio.sleep(seconds)
            if isinstance(act, p.Give):
                return give(flow, body, script, act)
            await do(flow, body, script, act, ctx, given)
    except anyio.get_cancelled_exc_class():
        flow.note(body, "cut")
        if plan.cleanup is not None:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(plan.cleanup)
            if plan.breaks:
                error = Boom(f"{plan.name} breaks {body}")
                flow.note(body, "raised", said(error))
                raise error from None
        flow.note(body, "cancelled")
        raise
    except Exception as error:
        flow.note(body, "raised", said(error))
        raise


def give(flow: Recorded, body: int, script: p.Script, act: p.Give) -> Any:
    """Return what the script says."""
    gift = script.gift(act)
    flow.note(body, "returned", tuple(gift) if isinstance(gift, list) else gift)
    if isinstance(gift, list):
        return [make(ev) for ev in gift]
    return gift and make(gift)


async def do(
    flow: Recorded, body: int, script: p.Script, act: p.Act, ctx: Context, given: list[Any]
) -> None:
    """Do one act."""
    match act:
        case p.Send():
            ev = script.event(act.kind)
            try:
                ctx.send_event(make(ev), act.target, on_success=act.held)
            except WorkflowRuntimeError:
                flow.note(body, "refused", ev)
            else:
                flow.note(body, "held" if act.held else "sent", ev)
        case p.Collect():
            kinds: Any = [KINDS[kind] for kind in act.wants]
            if act.as_mapping:
                kinds = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
            key = (lambda event: read(event).key) if act.keyed else None
            found = ctx.collect_events(given[0], kinds, act.buffer, key=key)
            batch = None if found is None else tuple(map(read, found))
            script.whole = batch is not None
            script.saw(*(batch or ()))
            flow.note(body, "collected", batch)
        case p.Wait():
            await wait(flow, body, script, act, ctx)
        case p.Write():
            ev = script.event("Shown")
            ctx.write_event_to_stream(make(ev))
            flow.note(body, "wrote", ev)
        case p.Fail():
            raise (OddBoom if act.odd else Boom)(script.event("Failed").label)
        case p.Nest():
            await nest(flow, body, script, act, ctx)
        case p.CancelStep():
            count = ctx.cancel_step(act.step)
            script.saw(count)
            flow.note(body, "cancels", count)


async def wait(flow: Recorded, body: int, script: p.Script, act: p.Wait, ctx: Context) -> None:
    question = script.event("Question") if act.asks else None
    flow.note(body, "waits", question)
    try:
        event = await ctx.wait_for_event(
            KINDS[act.kind],
            question and make(question),
            requirements=None if act.key is None else {"key": act.key},
            timeout=act.timeout,
            broadcast=act.broadcast,
        )
    except TimeoutError:
        answer: p.Ev | str = "timeout"
    else:
        answer = read(event)
    script.saw(answer)
    flow.note(body, "woke", answer)


async def nest(flow: Recorded, body: int, script: p.Script, act: p.Nest, ctx: Context) -> None:
    ev = script.event("Go")
    child = flow.log.of(flow.program.children[act.child], compiled)(
        flow.log, f"{flow.key}/{body}.{script.made}"
    )
    flow.note(body, "nests", ev)
    try:
        if act.forward:
            result = await ctx.run_child(child, make(ev), forward_events=True)
        else:
            result = await child.run(start_event=make(ev))
    except Exception as error:
        script.saw(said(error))
        flow.note(body, "nested", said(error))
        if not act.careful:
            raise
    else:
        script.saw(result.label)
        flow.note(body, "nested", result.label)


# ---------------------------------------------------------------- classes


def parameters(plan: p.Step) -> dict[str, Any]:
    """Say what the parameters of a step are annotated with."""
    kinds = [KINDS[kind] for kind in plan.takes]
    if plan.shape == "join":
        return {f"ev{place}": kind for place, kind in enumerate(kinds)}
    union: Any = kinds[0]
    for kind in kinds[1:]:
        union |= kind
    if plan.shape == "one":
        return {"ev": union}
    how = All() if plan.take is None else Take(plan.take, cancel_rest=plan.cancel_rest)
    order = "input" if plan.by_input else "arrival"
    return {"ev": Annotated[list[union], Collect(how, order=order)]}


def returns(plan: p.Step) -> Any:
    """Say what a step returns."""
    union: Any = None
    for kind in dict.fromkeys((*plan.returned, "Stop")):
        union = KINDS[kind] if union is None else union | KINDS[kind]
    if plan.listed:
        listed: Any = KINDS[plan.listed[0]]
        for kind in plan.listed[1:]:
            listed |= KINDS[kind]
        union |= list[listed]
    return union | None


def function(plan: p.Step) -> Callable[..., Any]:
    """Make the function of a step."""
    annotations = parameters(plan)
    names = ", ".join(annotations)
    given = "[*ev]" if plan.shape == "list" else f"[{names}]"
    made: dict[str, Any] = {"live": live, "plan": plan}
    exec(
        f"async def {plan.name}(self, ctx, {names}): return await live(self, plan, ctx, {given})",
        made,
    )
    body = made[plan.name]
    body.__module__, body.__qualname__ = __name__, f"Flow.{plan.name}"
    body.__annotations__ = {"ctx": Context, **annotations, "return": returns(plan)}
    return body


def decorated(plan: p.Step) -> Any:
    """Make a step."""
    body = function(plan)
    if plan.handles is not None:
        return catch_error(for_steps=[*plan.handles] or None, max_recoveries=plan.recoveries)(body)
    policy = None
    if plan.retry is not None:
        policy = retry_policy(
            retry=retry_if_exception_type(OddBoom) if plan.retry.only_odd else None,
            wait=wait_incrementing(plan.retry.delay, plan.retry.more),
            stop=stop_after_attempt(plan.retry.attempts),
        )
    return step(
        num_workers=plan.workers,
        retry_policy=policy,
        timeout=plan.limit,
        accept_event_subclasses=plan.subclasses,
    )(body)


def compiled(program: p.Program) -> Callable[[Log, str], Recorded]:
    """Make the class of a program, and what makes objects of it."""
    steps = {plan.name: decorated(plan) for plan in program.steps}
    cls = type("Flow", (Recorded,), {"__module__": __name__, **steps})
    limit = None
    if program.timeout is not None:
        limit = Timeout(program.timeout, while_idle=program.while_idle)

    def new(log: Log, key: str) -> Recorded:
        flow = cls(
            timeout=limit, disable_validation=True, on_stop="drain" if program.drains else "cancel"
        )
        flow.program, flow.log, flow.key = program, log, key
        return flow

    return new


# ---------------------------------------------------------------- a run


async def perform(program: p.Program) -> tuple[list[Fact], Account]:
    """Run a program, with what the outside does; the facts, and what came of it."""
    log = Log()
    flow = log.of(program, compiled)(log, "top")
    run = flow.run(start_event=make(p.start(program)))
    end: tuple[str, ...]
    try:
        async with run:
            for number, inward in enumerate(program.outside):
                await anyio.sleep(inward.after)
                if run.is_done():
                    break
                send_in(flow, run, p.arrival(program, number))
            with anyio.move_on_after(p.LONG):
                await run.result()
            if not run.is_done():
                flow.note(0, "cancel")
                run.cancel()
        end = ("result", (await run).label)
    except Exception as error:  # noqa: BLE001 - it is compared
        end = ("raised", *said(error).split("+"))
    stream = tuple([streamed(event) async for event in run.stream_events()])
    return log.facts, Account(end, stream, tuple(str(read(event)) for event in run.undelivered))


def send_in(flow: Recorded, run: Any, inward: tuple[p.Ev, str | None] | None) -> None:
    if inward is None:
        flow.note(0, "cancel")
        run.cancel()
        return
    ev, target = inward
    try:
        run.send_event(make(ev), target)
    except WorkflowRuntimeError:
        flow.note(0, "refused", (ev, target))
    else:
        flow.note(0, "sent", (ev, target))
