"""What an app is given: checked, and made into what it needs."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import cast

from plait._abc import ENDED, Journal
from plait._errors import ConfigError
from plait._ids import is_run_id
from plait._journal import given as journals
from plait._journal.memory import MemoryJournal
from plait._show import show
from plait._steps.checks import SHOWN, Duration, check_word, seconds

from .checks import check_duration
from .middleware import Middleware
from .terms import Terms


def check_app_id(app_id: object) -> None:
    """Refuse what is no name of an app.

    Raises:
        ConfigError: It is wrong; the text says what to write.
    """
    if not isinstance(app_id, str) or not app_id or "/" in app_id:
        raise ConfigError(
            f"app_id must be a text that is not empty and has no slash, not {show(app_id, SHOWN)}"
        )


def check_run_id(run_id: object) -> None:
    """Refuse what is no name of a run.

    Raises:
        ValueError: It is wrong; the text says what to write.
    """
    if not is_run_id(run_id):
        raise ValueError(
            f"run_id must be 1 to 64 of A-Z, a-z, 0-9, _ and -, not {show(run_id, SHOWN)}"
        )


def check_middleware(middleware: Sequence[object]) -> tuple[Middleware, ...]:
    """Give the middleware, all of it; refuse what is none.

    Raises:
        ConfigError: It is wrong; the text says what to write.
    """
    if not isinstance(cast("object", middleware), Sequence):
        raise ConfigError(
            f"middleware must be a list of Middleware objects, not {show(middleware, SHOWN)}: "
            "write middleware=[...]"
        )
    found = tuple(one for one in middleware if isinstance(one, Middleware))
    if len(found) < len(middleware):
        wrong = (one for one in middleware if not isinstance(one, Middleware))
        raise ConfigError(
            *(f"middleware takes Middleware objects, not {show(one, SHOWN)}" for one in wrong)
        )
    return found


def check_terms(max_resumes: object, on_code_change: object) -> Terms:
    """Give the terms of serving; refuse what are none.

    Raises:
        ConfigError: It is wrong; the text says what to write.
    """
    if type(max_resumes) is not int or max_resumes < 0:
        raise ConfigError(f"max_resumes must be a whole number, at least 0, not {max_resumes!r}")
    if on_code_change not in ("continue", "hold"):
        raise ConfigError(f"on_code_change must be 'continue' or 'hold', not {on_code_change!r}")
    return Terms(max_resumes=max_resumes, on_code_change=on_code_change)


def check_prune(older_than: object, status: object) -> tuple[float, tuple[str, ...]]:
    """Give how long ago runs have ended, in seconds, and how; refuse what is neither.

    Raises:
        ConfigError: It is wrong; the text says what to write.
    """
    age = seconds(cast("Duration", older_than))
    words: tuple[object, ...] = (status,)
    if isinstance(status, Sequence) and not isinstance(status, str):
        words = tuple(cast("Sequence[object]", status))
    faults = [
        *check_duration("older_than", age, zero=True),
        *(fault for word in words for fault in check_word("status", word, ENDED)),
    ]
    if faults:
        raise ConfigError(*faults)
    return age, cast("tuple[str, ...]", words)


def journal_of(given: Journal | str | PathLike[str] | None) -> Journal:
    """Give the journal that was meant: one in memory, of a file, or this.

    Raises:
        ConfigError: It is wrong; the text says what to write.
    """
    if given is None:
        return MemoryJournal()
    if isinstance(given, str | PathLike) or journals.is_journal(given):
        return journals.journal_of(given)
    raise ConfigError(f"journal must be a journal or the path of a file, not {show(given, SHOWN)}")
