"""What goes wrong in a body: at a call of the outside, and in the clean-up of what was cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from plait import Context, Event, StopEvent
from plait.errors import WorkflowRuntimeError

from .diary import Page
from .scenario import IN_CLEAN_UP, Fault

if TYPE_CHECKING:
    from .world import World


class Injected(Exception):  # noqa: N818 - it is no error of anybody
    """Raised on purpose."""


class Doom(BaseException):
    """Raised on purpose, and nobody may try again."""


class Stranger(Event):
    """An event that no step takes."""

    n: int = 0


class Late(Event, observable=True):
    """What a body says when it is over."""

    n: int = 0


async def strike(world: World, page: Page, fault: Fault) -> None:
    """Let something go wrong in a body."""
    ctx: Context[Any] = Context.get_step_context()
    match fault.what:
        case "raises":
            raise world.injected(fault.what)
        case "raises several":
            raise ExceptionGroup("two", [world.injected(fault.what), world.injected(fault.what)])
        case "raises what is no Exception":
            raise Doom(world.next())
        case "raises a stray Cancelled":
            raise await _stray()
        case "is slow":
            await trio.sleep(fault.seconds)
        case "hangs":
            await trio.sleep_forever()
        case "sends a stop":
            world.send(ctx, StopEvent(result=f"sent by {page}"))
        case "sends what nobody takes":
            world.send(ctx, Stranger(n=world.next()))
        case "cancels a step":
            running = world.lives[page.run].run.running_steps() if page.run in world.lives else []
            world.cancel_step(ctx, world.dice.choice(running or [page.step]))
        case "cancels its run":
            if page.run in world.lives:
                world.lives[page.run].run.cancel()
        case "fails in a nursery of its own":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, fault.seconds)
                await trio.sleep(world.dice.choice((0.0, 1.0)))
                raise world.injected(fault.what)
        case _:
            assert fault.what == "is called away by a scope of its own", fault.what
            with trio.move_on_after(world.dice.choice((0.0, 1.0))):
                await trio.sleep(fault.seconds)


async def clean_up(world: World, page: Page, error: BaseException) -> Event | None:
    """Do what a body does that was cancelled. Returns what the body returns if it swallows that."""
    fault = page.fault
    what = fault.what if fault is not None and page.calls > fault.call else ""
    if what not in IN_CLEAN_UP and world.dice.random() < 0.2:
        what = world.dice.choice(IN_CLEAN_UP)
    ctx: Context[Any] = Context.get_step_context()
    if what in IN_CLEAN_UP:
        world.struck[f"cancelled: {what}"] += 1
        world.diary.note(f"{page} is cancelled, and {what}")
    match what:
        case "is slow to clean up":
            with trio.CancelScope(shield=True):
                await trio.sleep(3600.0 if fault is None else fault.seconds)
        case "swallows its cancellation":
            return world.dice.choice((None, Late(n=world.next()), StopEvent(result="too late")))
        case "fails in its clean-up":
            await _shielded(world)
            raise _kept(world, page, world.injected(what)) from None
        case "sends after the stop":
            await _shielded(world)
            try:
                world.send(ctx, Late(n=world.next()))
            except WorkflowRuntimeError as refused:
                if world.dice.random() < 0.5:  # and does not mind that it was refused
                    raise _kept(world, page, refused) from error
        case "writes after the stop":
            await _shielded(world)
            world.tell(ctx, Late(n=world.next()))
        case "waits after the stop":
            with trio.CancelScope(shield=True):
                try:
                    await world.ask(ctx, Stranger, timeout=60.0)
                except (WorkflowRuntimeError, TimeoutError) as refused:
                    world.diary.refused.append(refused)
        case _:
            pass
    page.raised = error
    raise error


async def _shielded(world: World) -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep(world.dice.choice((0.0, 0.0, 1.0, 60.0)))


def _kept(world: World, page: Page, error: Exception) -> Exception:
    page.raised = error
    world.diary.raised.append(error)
    return error


async def _stray() -> trio.Cancelled:
    """Make a `Cancelled` that nobody has asked for."""
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as cancelled:
            return cancelled
    raise AssertionError("never")


def has_cancelled(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(trio.Cancelled) is not None
    return isinstance(error, trio.Cancelled)
