"""What fails at once, what holds a run, and whether a run has something to lose."""

from __future__ import annotations

import zlib

from plait._errors import RetryAfterError
from plait._kernel.calls.finality import is_final as is_final
from plait._kernel.calls.records import CallCompleted
from plait._kernel.retry.ask import ask

from .life import Phase
from .reasons import SourceChanged, TooManyResumes, UnknownFunction, Why
from .state import FunctionState
from .stimuli import TakenUp


def retry_at(state: FunctionState, now: float, error: Exception) -> tuple[float | None, Exception]:
    """Ask the function's policy: when is the next attempt (`None`: there is none), and for what error?

    What the policy raises itself is the error then; its cause is the body's.
    """
    policy = None if state.terms is None else state.terms.retry
    if policy is None or is_final(error):
        return None, error
    seed = zlib.crc32(f"{state.calls.seed}:{state.attempt}".encode())
    try:
        delay = ask(policy, now - state.began, state.attempt + 1, error, seed)
    except Exception as trouble:  # noqa: BLE001 - it fails the run
        return None, trouble
    if delay is None:
        return None, error
    if isinstance(error, RetryAfterError):
        delay = error.delay(now)
    return now + delay, error


def next_resumes(state: FunctionState, terms: TakenUp) -> int:
    """Count this start: an attempt that the process did not survive is no failed one, and is counted here."""
    if state.phase in {Phase.QUEUED, Phase.RETRYING} or terms.resumed:
        return 0
    return 1 if state.moved else state.resumes + 1


def why_held(state: FunctionState, terms: TakenUp) -> Why | None:
    """Say why this run may not go on with these terms; somebody who asks for it knows the reason."""
    source = terms.source
    if source is None:
        assert state.queued is not None
        return UnknownFunction(state.queued.fn_id)
    if terms.resumed:
        return None
    if terms.on_code_change == "hold" and source != state.source and state.attempt >= 0:
        return SourceChanged(state.source, source)
    if next_resumes(state, terms) > terms.max_resumes:
        return TooManyResumes(state.resumes)
    return None


def has_nothing_to_lose(state: FunctionState) -> bool:
    """Can it be cancelled without its body? Not if a step might be undone, or a child waits for its end."""
    for past in state.calls.past.values():
        if past.scheduled is not None and past.scheduled.child is not None:
            return False
        if isinstance(past.ending, CallCompleted) and past.ending.op == "run":
            return False
    return True
