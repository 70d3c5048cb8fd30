"""What a run began with, so that another one can begin with the same.

Rule 1: the input is taken from where it is whole: from the run itself, or from its journal, read with
    the classes of the workflow. Never from what the page shows, in which secrets are `***`.
Rule 2: what is not there whole is not guessed. A param that held a secret is a placeholder in the
    records of a flow; then nothing begins.
"""

from __future__ import annotations

from plait._abc import Journal, Opening
from plait._engine import native
from plait._engine.journaled import JournaledShell
from plait._errors import ContextSerdeError, UnknownRunError, UnreadableEntryError
from plait._event import StartEvent
from plait._ids import OUTSIDE, RunId
from plait._kernel import records
from plait._strands._events.archive import RunScribe
from plait._strands._flows.flow import Flow
from plait._strands._flows.kept import reader_of
from plait._strands._flows.redaction import UnknownSecret, reveal
from plait._strands._flows.story import FlowStarted

from .refused import Refused
from .shown import PAGE, LiveRun, opened
from .targets import Target


async def input_of(
    target: Target, run_id: str, *, live: LiveRun | None, journal: Journal | None
) -> StartEvent:
    """Find the event that a run began with. A checkpoint.

    Args:
        target: What it is of.
        run_id: The run.
        live: It, if it is one of this process.
        journal: Where it may be kept.

    Raises:
        Refused: It cannot be had.
        JournalError: The journal cannot be read.
    """
    await native.current().checkpoint()
    shell = None if live is None else live.run._shell
    if shell is not None and not isinstance(shell, JournaledShell):
        return _start_event(run_id, shell._start_event)
    kept = shell.archive.journal if isinstance(shell, JournaledShell) else journal
    if kept is None:
        raise Refused(f"run {run_id} is in no journal: its input is not known")
    try:
        return await _kept(target, run_id, kept)
    except UnknownRunError:
        if shell is None or shell.archive.resumes:
            raise Refused(f"the journal has no run {run_id}") from None
        return _start_event(run_id, shell._start_event)  # it came to no record


async def _kept(target: Target, run_id: str, journal: Journal) -> StartEvent:
    async with opened(journal):
        entries = await journal.read(run_id, limit=PAGE)
    if not entries:
        raise UnknownRunError(run_id)
    try:
        if isinstance(target, Flow):
            found = reader_of(run_id).records(entries)
        else:
            scribe = RunScribe(RunId(run_id), target._kept_values(), Opening("", ""), None)
            if scribe.fork(entries[0]) is not None:
                raise Refused(
                    f"run {run_id} began from a checkpoint or a context, not with an input"
                )
            found = scribe.records(entries)
        for record in found:
            if isinstance(record, records.Emitted) and record.cause == OUTSIDE:
                return _start_event(run_id, record.event)
    except (ContextSerdeError, UnreadableEntryError) as error:
        raise Refused(f"the input of run {run_id} cannot be read: {error}") from error
    raise Refused(f"the journal does not say what run {run_id} began with")


def _start_event(run_id: str, event: object) -> StartEvent:
    if not isinstance(event, StartEvent):
        raise Refused(f"run {run_id} did not begin with a start event")
    return event


def params_of(run_id: str, start: StartEvent) -> dict[str, object]:
    """Give the params of a flow's run, as they were given to it.

    Raises:
        Refused: One of them held a secret, which is kept nowhere.
    """
    if not isinstance(start, FlowStarted):
        raise Refused(f"run {run_id} is no run of a flow")
    hidden: list[str] = []
    params: dict[str, object] = {}
    for name, value in start.params.items():
        try:
            params[name] = reveal(value, {})
        except UnknownSecret:
            hidden.append(name)
    if hidden:
        names = ", ".join(map(repr, hidden))
        raise Refused(
            f"run {run_id} was given a secret as param {names}, and secrets are not kept: "
            "begin it with Run again, or with plait run and --set"
        )
    return params
