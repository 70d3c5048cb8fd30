"""`check_source`: what flows rely on, asked of a source of the user's own.

The laws are async functions, and the first line of each one's docstring is what a failure says. Each
has an event loop and a source of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable, Generator, Mapping
from functools import partial
from typing import Any, Final, Literal, TypeAlias, cast

import anyio
import attrs
import cattrs
import trio

from plait._abc import JSON, Source, SourceContext, SourceResult
from plait._engine.native import Backend, current
from plait._show import show

from ._cut_short import cut_short
from ._loop import refuse_a_loop

Library: TypeAlias = Literal["trio", "asyncio"]
LIBRARIES: Final[tuple[Library, ...]] = ("trio", "asyncio")


class Broken(Exception):  # noqa: N818 - of a law; it never leaves `check_source`
    """A law was broken; the text says how it was seen."""


def check_source(
    open: Callable[[Any], Source],  # noqa: A002 - what the port calls it
    *,
    configuration: Mapping[str, JSON] | None = None,
    payload: JSON = None,
    backend: Library | None = None,
    cancellations: int = 100,
    timeout: float = 30.0,
    only: str | None = None,
) -> None:
    """Check that a source keeps the rules that `plait.abc.Source` promises.

    One law after the other is tried on a source of its own, on Trio and then on asyncio: that a call
    gives JSON or a `SourceResult`; that it is a checkpoint; that calls do not disturb each other; that
    a call can be cancelled wherever it waits, cleans up, and leaves a source that works; that the
    source can be closed twice, without a call and while it is cancelled; that nothing of it goes on
    when it is closed.

    A call with this configuration and payload must succeed, again and again. Where a call waits is
    counted in its own task, and what tasks inside of it do is seen only from there. A call that never
    ends although it is cancelled keeps the test waiting.

    Args:
        open: Makes a source of a configuration, another one each time: what the entry point names. If
            it has an attribute `Options`, it gets an instance of that class.
        configuration: What it is made of.
        payload: What calls are given.
        backend: `"trio"` or `"asyncio"`; by default first the one and then the other.
        cancellations: At how many places a call is cancelled, spread evenly if it waits more often.
        timeout: In seconds of real time: how long one call may take.
        only: The name of one law, as a failure shows it: no other is tried.

    Raises:
        AssertionError: With the law that is broken, and how that was seen. Its cause is the exception
            that came out of the source, if one did.
        TypeError: `open` makes no source.
        ValueError: An argument is out of range, or there is no such law.
        RuntimeError: An event loop is running here.

    Example:
        ```python
        def test_greeter():
            check_source(Greeter, configuration={"word": "hi"}, payload="you")
        ```
    """
    __tracebackhide__ = True
    _check_arguments(open, backend, cancellations, timeout, only)
    refuse_a_loop("check_source()")
    make = partial(_made, open, {**(configuration or {})})
    for library in LIBRARIES if backend is None else (backend,):
        for name, law in LAWS.items():
            if only not in {None, name}:
                continue
            trial = _Trial(make, payload, cancellations, timeout)
            try:
                _run(library, partial(law, trial))
            except (Broken, _NoSource, KeyboardInterrupt) as error:
                if not isinstance(error, Broken):
                    raise
                raise _assertion(library, name, law, str(error)) from error.__cause__
            except Exception as error:
                text = f"It raised {type(error).__name__}: {error}"
                raise _assertion(library, name, law, text) from error


def _check_arguments(
    open: object,  # noqa: A002 - as above
    backend: object,
    cancellations: int,
    timeout: float,
    only: object,
) -> None:
    if not callable(open):
        raise TypeError(
            f"check_source() takes a function that makes a source, not {open!r}\n"
            "  right:  check_source(lambda configuration: MySource(configuration))"
        )
    if backend not in {None, *LIBRARIES}:
        raise ValueError(f"backend must be 'trio' or 'asyncio', not {backend!r}")
    if cancellations < 1:
        raise ValueError(f"cancellations must be at least 1, not {cancellations!r}")
    if not timeout > 0:
        raise ValueError(f"timeout must be a positive number of seconds, not {timeout!r}")
    if only not in {None, *LAWS}:
        raise ValueError(f"there is no law {only!r}; there are {', '.join(LAWS)}")


def _assertion(
    library: Library, name: str, law: Callable[..., object], text: str
) -> AssertionError:
    sentence = (law.__doc__ or "").partition("\n")[0]
    text = text.replace("\n", "\n  ")
    return AssertionError(
        f"check_source() on {library}: {name} is broken.\n{sentence}\n  {text}\n\n"
        f"To run only this: backend={library!r}, only={name!r}"
    )


def _run(library: Library, law: Callable[[], Awaitable[None]]) -> None:
    if library == "trio":
        trio.run(law)
    else:
        anyio.run(law, backend="asyncio")


class _NoSource(TypeError):  # noqa: N818 - it is a TypeError to all others
    """The caller's fault, not the source's."""


def _made(make: Callable[[Any], Source], configuration: dict[str, JSON]) -> Source:
    options: object = getattr(make, "Options", None)
    given: object = configuration
    if isinstance(options, type) and attrs.has(options):
        given = cattrs.structure(configuration, options)
    source = cast("object", make(given))
    for name in ("call", "aclose"):
        if not inspect.iscoroutinefunction(getattr(source, name, None)):
            raise _NoSource(
                f"check_source() takes a function that makes a source, and this made {show(source)}.\n"
                f"It has no async method {name!r}."
            )
    return cast("Source", source)


# ---------------------------------------------------------------- one trial


@attrs.define
class _Trial:
    """A source that is tried, and what it is tried with."""

    make: Callable[[], Source]
    payload: JSON
    cancellations: int
    timeout: float

    async def call(self, source: Source, attempt: int = 1) -> None:
        """Call it, and look at what it gives."""
        native = current()
        context = SourceContext("run-1", "step", None, attempt, "key")
        given: SourceResult | JSON = None
        with native.cancel_scope(deadline=native.clock()() + self.timeout) as scope:
            given = await source.call(self.payload, context)
        if scope.cancelled_caught:
            raise Broken(f"A call did not end within {self.timeout:g} s.")
        result = given if isinstance(given, SourceResult) else SourceResult(given)
        if not result.ok:
            raise Broken(f"The call failed: {result.message or result.kind}")
        check_json(result.data, "data")

    async def cut_call(self, source: Source, place: int) -> _Cut:
        """Cancel a call where it waits for the `place`-th time."""
        native = current()
        cut = _Cut(native, place)
        context = SourceContext("run-1", "step", None, 1, "key")
        deadline = native.clock()() + self.timeout
        refused = contextlib.suppress(Exception)  # the cut has it
        with native.cancel_scope(deadline=deadline) as limit, cut.scope, refused:
            await _Driven(partial(source.call, self.payload, context), cut)
        if limit.cancelled_caught:
            raise Broken(f"A call that was cancelled did not end within {self.timeout:g} s.")
        return cut


class _Cut:
    """A cancellation that comes where a call waits."""

    def __init__(self, native: Backend, place: int) -> None:
        self.scope = native.cancel_scope()
        self.cancelled = native.cancelled
        self._place = place
        self.waits = 0
        self.error: BaseException | None = None

    def wait(self) -> None:
        """Note that it waits."""
        self.waits += 1
        if self.waits == self._place:
            self.scope.cancel()


class _Driven:
    """Awaits something, and tells of each time that its task waits."""

    def __init__(self, call: Callable[[], Awaitable[object]], cut: _Cut) -> None:
        self._call = call
        self._cut = cut

    def __await__(self) -> Generator[Any, Any, object]:
        inner = self._call().__await__()
        try:
            asked: Any = next(inner)
            while True:
                self._cut.wait()
                try:
                    answer: Any = yield asked
                except BaseException as error:  # noqa: BLE001, ASYNC103 - handed on, whatever it is
                    asked = inner.throw(error)
                else:
                    asked = inner.send(answer)
        except StopIteration as stop:
            return stop.value
        except BaseException as error:
            self._cut.error = error
            raise


def check_json(value: object, path: str) -> None:
    """Find what JSON cannot say in a value."""
    match value:
        case None | bool() | int() | float() | str():
            return
        case list():
            for number, one in enumerate(cast("list[object]", value)):
                check_json(one, f"{path}[{number}]")
        case dict():
            for key, one in cast("dict[object, object]", value).items():
                if not isinstance(key, str):
                    raise Broken(f"{path} has the key {key!r}; JSON's keys are text.")
                check_json(one, f"{path}[{key!r}]")
        case _:
            raise Broken(f"{path} is not JSON: {type(value).__name__}")


def _tasks() -> set[object]:
    """The tasks that are alive in this loop."""
    if not trio.lowlevel.in_trio_task():
        return {*asyncio.all_tasks()}
    found: set[object] = set()
    roots = [trio.lowlevel.current_root_task()]
    while roots:
        task = roots.pop()
        if task is not None:
            found.add(task)
            roots += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found


# ---------------------------------------------------------------- the laws


async def gives_json(trial: _Trial) -> None:
    """A call gives JSON, or a `SourceResult` with JSON."""
    source = trial.make()
    for attempt in (1, 2):
        await trial.call(source, attempt)
    await source.aclose()


async def is_a_checkpoint(trial: _Trial) -> None:
    """A call and `aclose` are checkpoints: in a scope that is cancelled they do not go on."""
    native = current()
    source = trial.make()
    for name, call in (
        ("call", partial(source.call, trial.payload, SourceContext("run-1", "step"))),
        ("aclose", source.aclose),
    ):
        with native.cancel_scope() as scope:
            scope.cancel()
            await call()
        if not scope.cancelled_caught:
            raise Broken(f"{name}() was not cancelled.")
    await source.aclose()


async def calls_do_not_disturb_each_other(trial: _Trial) -> None:
    """A call may begin while others go on, and each of them succeeds."""
    source = trial.make()
    broken: list[Exception] = []

    async def call() -> None:  # noqa: ASYNC910 - the source decides
        try:
            await trial.call(source)
        except Exception as error:  # noqa: BLE001 - raised below, one for all
            broken.append(error)

    async with current().open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(call)
    await source.aclose()
    if broken:
        raise broken[0]


async def can_be_cancelled_anywhere(trial: _Trial) -> None:
    """A call that is cancelled where it waits raises the cancellation, and leaves a source that works."""
    source = trial.make()
    before = _tasks()
    whole = await trial.cut_call(source, 0)
    count = min(whole.waits, trial.cancellations)
    places = {1 + number * whole.waits // max(count, 1) for number in range(count)}
    for place in sorted(places):
        cut = await trial.cut_call(source, place)
        where = f"Cancelled where it waits for the {place}. time of {whole.waits}:"
        if cut.error is not None:
            if not _is_only(cut.error, cut.cancelled):
                text = f"{where} it raised {type(cut.error).__name__}: {cut.error}"
                raise Broken(text) from cut.error
            for short in cut_short(cut.error):
                raise Broken(f"{where} a clean-up was cut short: {short}")
        if left := _tasks() - before:
            raise Broken(f"{where} it left {len(left)} tasks behind.")
        try:
            await trial.call(source)
        except Broken as error:
            raise Broken(f"{where} the next call did not work.\n{error}") from error.__cause__
    await source.aclose()


def _is_only(error: BaseException, kind: type[BaseException]) -> bool:
    if isinstance(error, BaseExceptionGroup):
        members = cast("BaseExceptionGroup[BaseException]", error).exceptions
        return all(_is_only(one, kind) for one in members)
    return isinstance(error, kind)


async def closes_twice(trial: _Trial) -> None:
    """`aclose` may be called twice, and without any call before it."""
    for calls in (0, 1):
        source = trial.make()
        for _ in range(calls):
            await trial.call(source)
        await source.aclose()
        await source.aclose()


async def closes_when_cancelled(trial: _Trial) -> None:
    """`aclose` that is cancelled raises nothing else, and may be called again."""
    native = current()
    source = trial.make()
    await trial.call(source)
    with native.cancel_scope() as scope:
        scope.cancel()
        await source.aclose()
    await source.aclose()


async def leaves_nothing(trial: _Trial) -> None:
    """When a source is closed, no task of it goes on."""
    before = _tasks()
    source = trial.make()
    await trial.call(source)
    await source.aclose()
    native = current()
    for _ in range(5):  # what has been told to end may need a moment
        await native.checkpoint()
    if left := _tasks() - before:
        raise Broken(f"It left {len(left)} tasks behind.")


LAWS: Final[dict[str, Callable[[_Trial], Awaitable[None]]]] = {
    law.__name__: law
    for law in (
        gives_json,
        is_a_checkpoint,
        calls_do_not_disturb_each_other,
        can_be_cancelled_anywhere,
        closes_twice,
        closes_when_cancelled,
        leaves_nothing,
    )
}
