"""Where the next run of a context begins, if not with a start event; and how a run is written down.

A context goes on from a snapshot that it was made of, or from its own last run, if that was cancelled.
Whoever starts a run takes the state up, once; runs inside it follow when their bodies make them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import attrs

from plait._errors import ContextSerdeError, ContextStateError
from plait._ids import DeliveryId, RunId
from plait._kernel.copying import copy_of
from plait._kernel.life import Phase
from plait._kernel.state import RunState

from .children import Finished
from .journals import rename
from .serializers import are_alike
from .state.parts import parts_of, put_parts

if TYPE_CHECKING:
    from plait._engine.attempt import Attempt
    from plait._engine.shell import Shell
    from plait._journal.snapshot import Snapshot  # noqa: TC004 - attrs does not look it up

    from .checkpointing import CheckpointCallback  # noqa: TC004
    from .context import Context
    from .serializers import BaseSerializer  # noqa: TC004
    from .workflow import Workflow


@attrs.define(eq=False)
class Origin:
    """What a context has for its next run."""

    #: What is to go on, until a run takes it up.
    snapshot: Snapshot | None = None
    #: The snapshots of the runs inside that, until their bodies make them again; or why there is none.
    children: dict[RunId, object] = attrs.Factory(dict[RunId, object])
    #: What reads the values of those.
    reader: BaseSerializer | None = None
    #: Of a checkpoint: what its step had returned, and was not routed.
    output: object = None
    #: Who wants the run's checkpoints.
    callbacks: list[CheckpointCallback] = attrs.Factory(list["CheckpointCallback"])

    def bind(self, shell: Shell) -> None:
        """Hand over to a run what is for one run only."""
        if self.callbacks:
            shell.checkpoints[:0] = self.callbacks
            self.callbacks = []
        shell.completes, self.output = self.output, None

    def goes_on(self, last: Shell | None) -> bool:
        """Is there a run to go on with?"""
        if self.snapshot is not None:
            return self.snapshot.state.phase is not Phase.OVER
        return resumable(last) is not None

    def take_up(self, last: Shell | None, *, of_child: bool) -> RunState | None:
        """Hand out what is to go on, once; of a child what has ended too.

        Raises:
            ContextStateError: It is a checkpoint, and nobody has said what its step returned.
        """
        snapshot = self.snapshot
        if snapshot is None:
            left = resumable(last)
            return None if left is None else copy_of(left)
        if snapshot.state.aside and self.output is None:
            raise ContextStateError(
                "This context is a checkpoint's, and what its step returned is not in it.\n"
                "  right:  WorkflowCheckpointer(workflow).run_from(checkpoint)"
            )
        self.snapshot = None
        if snapshot.state.phase is Phase.OVER and not of_child:
            return None
        return snapshot.state

    def rename(self, state: RunState, run_id: RunId) -> None:
        """Give a run another name, and the runs inside it those that follow from it."""
        rename(state, run_id, self.children)


def resumable(shell: Shell | None) -> RunState | None:
    """Return the state of a run as it was cancelled, if that was its end."""
    ended = shell is not None and shell.conclusion is not None and shell.conclusion.cancelled
    return shell.resumable if shell is not None and ended else None


def document(context: Context[Any]) -> dict[str, Any] | None:
    """Write down what a context goes on from, for a journal."""
    if context._origin.snapshot is None and resumable(context._shell) is None:
        return None
    return written(context)


def written(
    context: Context[Any],
    serializer: BaseSerializer | None = None,
    *,
    include_state: bool = True,
    without: DeliveryId | None = None,
) -> dict[str, Any]:
    """Write down the run of a context as it stands, perhaps without a delivery that has returned."""
    from plait._journal.snapshot import write  # noqa: PLC0415 - the codec, for who needs it

    shell, origin, workflow = context._shell, context._origin, context._workflow
    _, plan = workflow._compile()
    state, elapsed = RunState(plan, RunId("")), 0.0
    children = {
        str(name): _rewritten(context, child, serializer) for name, child in origin.children.items()
    }
    if shell is not None:
        state, elapsed = resumable(shell) or shell.state, shell.elapsed
        for attempt in shell.attempts():
            if attempt.delivery.number != without:
                children.update(_children_of(attempt, serializer))
    elif origin.snapshot is not None:
        state, elapsed = origin.snapshot.state, origin.snapshot.elapsed
    return write(
        state,
        workflow._values(serializer),
        elapsed=elapsed,
        store=parts_of(context._store._state) if include_state else None,
        children=children,
        without=without,
    )


def _rewritten(context: Context[Any], child: object, serializer: BaseSerializer | None) -> object:
    """A run inside, which no body has made again yet, so that the one who reads all the rest reads it."""
    document, reader = _readable(child), context._origin.reader
    if _is_records(document) or are_alike(reader, serializer or context._workflow._serializer):
        return document
    from .rewriting import rewritten  # noqa: PLC0415 - the codec, for who needs it

    return rewritten(document, reader, serializer)


def _children_of(attempt: Attempt, serializer: BaseSerializer | None) -> dict[str, object]:
    return {
        str(run_id): child.written(serializer)
        if isinstance(child, Finished)
        else written(cast("Context[Any]", child), serializer)
        for run_id, child in attempt.children.items()
    }


def keep_children(context: Context[Any]) -> None:
    """Write down the runs inside one that is about to be cancelled: with its context they go on too."""
    shell = context._shell
    if shell is None or shell.state.phase is not Phase.GOING:
        return
    for attempt in shell.attempts():
        try:
            children = _children_of(attempt, context._origin.reader)
        except (
            ContextSerdeError
        ) as error:  # raised to whoever makes the run again, or writes it down
            context._origin.children.update(dict.fromkeys(attempt.children, error))
        else:
            context._origin.children.update({RunId(name): it for name, it in children.items()})


def _readable(child: object) -> object:
    if isinstance(child, ContextSerdeError):
        raise child
    return child


def restore(context: Context[Any], data: object, serializer: BaseSerializer | None) -> None:
    """Let a context go on from a snapshot, or from a run inside another one, as `load()` finds it.

    Raises:
        ContextSerdeError: It does not fit the workflow.
    """
    snapshot = _read(context._workflow, data, serializer)
    if snapshot.has_store:
        try:
            context._store._state = put_parts(context._store._state, snapshot.state.store)
        except ValueError as error:
            text = f"Cannot load this context: 1 fault\n  state: {error}"
            raise ContextSerdeError(text) from error
    snapshot.state.store = {}
    origin = context._origin
    origin.reader = serializer  # of the runs inside too
    origin.children = {RunId(name): child for name, child in snapshot.children.items()}
    if snapshot.state.phase is not Phase.NEW:
        origin.snapshot = snapshot


def _read(workflow: Workflow[Any], data: object, serializer: BaseSerializer | None) -> Snapshot:
    if _is_records(data):
        from .kept_runs import restored  # noqa: PLC0415 - the codec, and it is about contexts

        return restored(workflow, cast("Mapping[str, Any]", data))
    from plait._journal.snapshot import read  # noqa: PLC0415 - the codec, for who needs it

    _, plan = workflow._compile()
    return read(plan, data, workflow._values(serializer))


def _is_records(data: object) -> bool:
    return (
        isinstance(data, Mapping)
        and cast("Mapping[str, object]", data).get("format") == "plait.records"
    )


def restore_child(context: Context[Any], parent: Attempt, run_id: RunId) -> None:
    """Let the context of a run inside another go on where the snapshot of that one has it."""
    around = cast("Context[Any] | None", parent.shell.context)
    if around is not None and run_id in around._origin.children:
        child = _readable(around._origin.children.pop(run_id))
        restore(context, child, around._origin.reader)
