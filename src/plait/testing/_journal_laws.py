"""`check_journal`: what plait relies on, asked of a journal of the user's own.

The laws are functions, and the first line of each one's docstring is what a failure says. Each has
a fresh journal, and an event loop for each of its lives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, TypeAlias, cast

from plait._abc import Journal
from plait._errors import MissingExtra
from plait._show import show

from . import _journal_appending as appending
from . import _journal_lives as lives
from . import _journal_showing as showing
from ._journal_bench import Bench, Broken, Library, broken_by
from ._journal_drawn import as_a_small_journal_would
from ._loop import refuse_a_loop

Law: TypeAlias = Callable[[Bench], None]

LAWS: Final[dict[str, Law]] = {
    law.__name__: law for law in (*appending.LAWS, *lives.LAWS, *showing.LAWS)
}
DRAWN: Final = as_a_small_journal_would.__name__
LIBRARIES: Final[tuple[Library, ...]] = ("trio", "asyncio")


def check_journal(
    factory: Callable[[], Journal],
    *,
    reopen: Callable[[Journal], Journal] | None = None,
    fail: Callable[[Journal], object] | None = None,
    backend: Library | None = None,
    examples: int = 50,
    timeout: float = 30.0,
    only: str | None = None,
) -> None:
    """Check that a journal keeps the rules that `plait.abc.Journal` promises.

    One law after the other is tried on a journal of its own, on Trio and then on asyncio: how
    `append` and `done` behave; what is refused, and that it leaves no trace; that an append is whole;
    what is there after the journal was closed and opened again; pages, lists and `prune`. At last
    Hypothesis draws sequences of all that, the same ones each time, and compares with a very small
    journal what comes of them.

    What a disk does when the power fails is not tried, nor what is left of a process that was killed.

    Args:
        factory: Makes a journal that is empty, and another one each time.
        reopen: Is given a journal that was closed, and makes one that has the same entries; by
            default the same object is opened again.
        fail: Is given an open journal, and makes its next write fail, as when the disk is full.
            Without it the law about failures is left out.
        backend: `"trio"` or `"asyncio"`; by default first the one and then the other.
        examples: How many sequences Hypothesis draws for each. 0: none, and it is not needed.
        timeout: In seconds of real time: how long one call, or one `done`, may take.
        only: The name of one law, as a failure shows it: no other is tried.

    Raises:
        AssertionError: With the law that is broken, and how that was seen. Its cause is the
            exception that came out of the journal, if one did.
        MissingExtra: Hypothesis is not installed, and `examples` is not 0.
        TypeError: `factory` is no function that makes a journal.
        ValueError: An argument is out of range, or there is no such law.
        RuntimeError: An event loop is running here.

    Example:
        ```python
        def test_journal(tmp_path):
            files = (tmp_path / f"{n}.db" for n in itertools.count())
            check_journal(lambda: MyJournal(next(files)), reopen=lambda old: MyJournal(old.path))
        ```
    """
    __tracebackhide__ = True
    _check_arguments(factory, backend, examples, timeout, only)
    refuse_a_loop("check_journal()")
    for library in LIBRARIES if backend is None else (backend,):

        def make(library: Library = library) -> Bench:
            return Bench(library, timeout, _made(factory), reopen, fail)

        for name, try_law, sentence in _laws(make, examples, only):
            broken = _failure(try_law)
            if broken is not None:
                text = str(broken).replace("\n", "\n  ")
                raise AssertionError(
                    f"check_journal() on {library}: {name} is broken.\n{sentence}\n  {text}\n\n"
                    f"To run only this: backend={library!r}, only={name!r}"
                ) from broken.__cause__


def _laws(
    make: Callable[[], Bench], examples: int, only: str | None
) -> Iterator[tuple[str, Callable[[], None], str]]:
    for name, law in LAWS.items():
        if only in {None, name}:
            yield name, partial(law, make()), _sentence(law)
    if only in {None, DRAWN} and examples:
        drawn = as_a_small_journal_would
        yield DRAWN, partial(drawn, make, examples), _sentence(drawn)


def _failure(try_law: Callable[[], None]) -> Broken | None:
    try:
        try_law()
    except (MissingExtra, _NoJournal):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a journal raises is told
        return broken_by(error)
    return None


def _sentence(law: Callable[..., object]) -> str:
    return (law.__doc__ or "").partition("\n")[0]


class _NoJournal(TypeError):  # noqa: N818 - it is a TypeError to all others
    """The caller's fault, not the journal's."""


def _made(factory: Callable[[], Journal]) -> Journal:
    made = cast("object", factory())
    if not callable(getattr(made, "append", None)):
        raise _NoJournal(
            f"check_journal() takes a function that makes a journal. It made {show(made, 80)}.\n"
            "  right:  check_journal(lambda: MyJournal(path))"
        )
    return cast("Journal", made)


def _check_arguments(
    factory: object, backend: object, examples: int, timeout: float, only: str | None
) -> None:
    if not callable(factory):
        raise TypeError(
            f"check_journal() takes a function that makes a journal, not {show(factory, 80)}.\n"
            "  right:  check_journal(lambda: MyJournal(path))"
        )
    if backend not in {None, *LIBRARIES}:
        raise ValueError(f"backend must be 'trio' or 'asyncio', not {backend!r}")
    if examples < 0:
        raise ValueError(f"examples must be at least 0, not {examples!r}")
    if not 0 < timeout < math.inf:
        raise ValueError(f"timeout must be a positive number of seconds, not {timeout!r}")
    if only not in {None, DRAWN, *LAWS}:
        raise ValueError(f"there is no law {only!r}; these are: {', '.join((*LAWS, DRAWN))}")
