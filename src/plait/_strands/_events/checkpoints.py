"""`WorkflowCheckpointer` keeps the checkpoints of runs; from each of them a new run may begin.

Rule 1: A checkpoint's name is the run's and the delivery's: the same, whoever has taken or loaded it.
Rule 2: Whether a step's checkpoints are wanted is asked when one is due, so it may be changed while
    a run is going.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Generic, cast

from typing_extensions import TypeVar

from plait._errors import (
    ContextStateError,
    WorkflowRuntimeError,
    WorkflowStepDoesNotExistError,
)
from plait._event import Event
from plait._naming import publish

from .checkpoint import Checkpoint, Events
from .checkpointing import CheckpointCallback
from .context import Context
from .run import Run
from .serializers import BaseSerializer

if TYPE_CHECKING:
    from .workflow import Workflow

R = TypeVar("R", default=Any)


class WorkflowCheckpointer(Generic[R]):
    """Runs a workflow, keeps a checkpoint of each thing that its steps return, and goes on from any.

    It may serve several workflows at once, one after the other assigned to `workflow`, and any number
    of runs.

    Args:
        workflow: The workflow object.
        checkpoint_serializer: Writes and reads the values in checkpoints; the workflow's by default.
        disabled_steps: Names of steps of which no checkpoints are kept.

    Raises:
        WorkflowStepDoesNotExistError: A disabled step is none of the workflow's.

    Example:
        ```python
        checkpointer = WorkflowCheckpointer(Flow())
        run = checkpointer.run(topic="x")
        await run
        first = checkpointer.checkpoints[run.run_id][0]
        result = await checkpointer.run_from(first)
        ```
    """

    def __init__(
        self,
        workflow: Workflow[R],
        checkpoint_serializer: BaseSerializer | None = None,
        disabled_steps: Collection[str] = (),
    ) -> None:
        if isinstance(cast("object", disabled_steps), str):
            text = f"disabled_steps takes a collection of names. Write disabled_steps=[{disabled_steps!r}]"
            raise TypeError(text)
        self._serializer = checkpoint_serializer
        self._workflow = _checked(workflow)
        self._checkpoints: dict[str, list[Checkpoint]] = {}
        self._ids: set[str] = set()
        #: The names of the steps of which checkpoints are kept.
        self.enabled_checkpoints: set[str] = {*self._steps}
        for name in disabled_steps:
            self.disable_checkpoint(name)

    @property
    def workflow(self) -> Workflow[R]:
        """The workflow that `run` and `run_from` run. Another may be assigned, at any time.

        The checkpoints stay. Steps that are disabled stay so; steps that are new are enabled.
        """
        return self._workflow

    @workflow.setter
    def workflow(self, workflow: Workflow[R]) -> None:
        before = {*self._steps}
        self._workflow = _checked(workflow)
        disabled = before - self.enabled_checkpoints
        # Those of before too: their runs may be going.
        self.enabled_checkpoints = (self.enabled_checkpoints | {*self._steps}) - disabled

    @property
    def checkpoints(self) -> dict[str, list[Checkpoint]]:
        """The checkpoints by their run's id; of each run the oldest first.

        A run is in it from its first checkpoint on.
        """
        return self._checkpoints

    @property
    def _steps(self) -> Collection[str]:
        _, plan = self._workflow._compile()
        return plan.step.keys()

    def run(self, **start_fields: Any) -> Run[R]:
        """Do as `workflow.run()`, and keep the run's checkpoints. Not a checkpoint.

        Args:
            **start_fields: As `workflow.run()` takes them: fields of the start event, or
                `start_event` and `run_id`.

        Raises:
            Exception: As `workflow.run()` does.

        Example:
            ```python
            result = await checkpointer.run(topic="x")
            ```
        """
        ctx: Context[Any] = Context(self._workflow)
        ctx._origin.callbacks = [self.new_checkpoint_callback_for_run()]
        return self._workflow.run(ctx, **start_fields)

    def run_from(self, checkpoint: Checkpoint, *, run_id: str | None = None) -> Run[R]:
        """Make a run that goes on from a checkpoint, and keep its checkpoints. Not a checkpoint.

        It has a name of its own. What was in flight goes first: bodies that were interrupted run
        again from their start; what had returned does not. Then the checkpoint's output is routed.

        Args:
            checkpoint: Of a workflow of this name, with the same steps.
            run_id: A name for the run; by default a new UUID.

        Raises:
            ContextSerdeError: Its state does not fit the workflow.
            Exception: As `workflow.run()` does.

        Example:
            ```python
            result = await checkpointer.run_from(checkpointer.checkpoints[run_id][2])
            ```
        """
        if not isinstance(cast("object", checkpoint), Checkpoint):
            raise TypeError(f"run_from() takes a Checkpoint, not {checkpoint!r}")
        ctx: Context[Any] = Context.from_dict(
            self._workflow, checkpoint.ctx_state, self._serializer
        )
        ctx._origin.callbacks = [self.new_checkpoint_callback_for_run()]
        ctx._origin.output = checkpoint.output_event
        return self._workflow.run(ctx, run_id=str(uuid.uuid4()) if run_id is None else run_id)

    def enable_checkpoint(self, step: str) -> None:
        """Keep the checkpoints of a step, from now on. Not a checkpoint.

        Args:
            step: Its name.

        Raises:
            WorkflowStepDoesNotExistError: The workflow has none of that name.

        Example:
            ```python
            checkpointer.enable_checkpoint("summarise")
            ```
        """
        self._check_step(step)
        self.enabled_checkpoints.add(step)

    def disable_checkpoint(self, step: str) -> None:
        """Keep no more checkpoints of a step; those that are there stay. Not a checkpoint.

        Args:
            step: Its name.

        Raises:
            WorkflowStepDoesNotExistError: The workflow has none of that name.

        Example:
            ```python
            checkpointer.disable_checkpoint("summarise")
            ```
        """
        self._check_step(step)
        self.enabled_checkpoints.discard(step)

    def _check_step(self, step: str) -> None:
        if step not in self._steps:
            text = f"This workflow does not contain a step with name {step}"
            raise WorkflowStepDoesNotExistError(text)

    async def load(self) -> None:
        """Find the checkpoints of all runs of the workflow in its journal, of this process or another.

        They are added to `checkpoints`, those of disabled steps left out. A journal has a checkpoint
        as soon as what the step returned may be seen, whether or not somebody has asked for it. What
        it has of a run that cannot be read is logged and left out. A checkpoint.

        It only reads: another process may be running the workflow meanwhile. A run of this process
        that begins on the same journal object meanwhile waits until it is read.

        Raises:
            WorkflowRuntimeError: The workflow has no journal.
            JournalError: The journal cannot be read, or there is no such file.

        Example:
            ```python
            checkpointer = WorkflowCheckpointer(Flow(journal="runs.db"))
            await checkpointer.load()
            last = checkpointer.checkpoints["order-7"][-1]
            result = await checkpointer.run_from(last)
            ```
        """
        workflow = self._workflow
        journal = workflow._journal
        if journal is None:
            name = type(workflow).__name__
            raise WorkflowRuntimeError(
                f"Workflow {workflow._short_name!r} has no journal, so there is nothing to load.\n"
                f'  right:  WorkflowCheckpointer({name}(journal="runs.db"))'
            )
        from .loading import checkpoints_in  # noqa: PLC0415 - the codec, for programs that need it

        found = await checkpoints_in(journal, workflow, self._serializer)
        for run_id, kept in found.items():
            mine = [one for one in kept if one.last_completed_step in self.enabled_checkpoints]
            if mine or run_id in self._checkpoints:
                self._merge(run_id, mine)

    def _merge(self, run_id: str, found: list[Checkpoint]) -> None:
        """Put those together that were taken here and those of the journal, which has their order."""
        kept = self._checkpoints.setdefault(run_id, [])
        mine = {one.id_: one for one in kept}
        loaded = {one.id_: one for one in found}
        self._ids.update(loaded)
        kept[:] = [mine.pop(name, one) for name, one in loaded.items()]
        kept += mine.values()

    def filter_checkpoints(
        self,
        last_completed_step: str | None = None,
        run_id: str | None = None,
        output_event_type: type[Event] | None = None,
        input_event_type: type[Event] | None = None,
    ) -> list[Checkpoint]:
        """List the checkpoints for which all that is given is true. Not a checkpoint.

        Args:
            last_completed_step: The step that has returned.
            run_id: The run's name.
            output_event_type: The very class of what the step has returned, or of one of several.
            input_event_type: The very class of what the step was given, or of one of several.

        Raises:
            ValueError: Nothing is given.

        Example:
            ```python
            checkpointer.filter_checkpoints(output_event_type=StopEvent)
            ```
        """
        if (last_completed_step, run_id, output_event_type, input_event_type) == (None,) * 4:
            raise ValueError("Please specify a filter.")
        return [
            checkpoint
            for name, kept in self._checkpoints.items()
            for checkpoint in kept
            if run_id in {None, name}
            and last_completed_step in {None, checkpoint.last_completed_step}
            and (output_event_type is None or output_event_type in _types(checkpoint.output_event))
            and (input_event_type is None or input_event_type in _types(checkpoint.input_event))
        ]

    def new_checkpoint_callback_for_run(self) -> CheckpointCallback:
        """Make a callback that keeps a run's checkpoints here: for `run.on_checkpoint`.

        Not a checkpoint.

        Example:
            ```python
            run = flow.run(topic="x")
            run.on_checkpoint(checkpointer.new_checkpoint_callback_for_run())
            await run
            ```
        """

        def keep(
            *,
            run_id: str,
            last_completed_step: str,
            input_ev: Events,
            output_ev: Events,
            ctx: Context[Any],
        ) -> None:
            if last_completed_step not in self.enabled_checkpoints:
                return
            if ctx._without is None:
                raise ContextStateError(
                    "This callback is for run.on_checkpoint(...), which calls it."
                )
            checkpoint = Checkpoint(
                f"{run_id}:{ctx._without}",
                last_completed_step,
                input_ev,
                output_ev,
                ctx.to_dict(self._serializer),
            )
            self._add(run_id, checkpoint._known_to(ctx._workflow._values(self._serializer)))

        return keep

    def _add(self, run_id: str, checkpoint: Checkpoint) -> None:
        """Keep one. It takes the place of another of its name: the body has run again since."""
        kept = self._checkpoints.setdefault(run_id, [])
        if checkpoint.id_ in self._ids:
            kept[:] = [one for one in kept if one.id_ != checkpoint.id_]
        self._ids.add(checkpoint.id_)
        kept.append(checkpoint)


def _types(events: Events) -> set[type[Event]]:
    return {type(one) for one in (events if isinstance(events, list) else [events])}


def _checked(workflow: Workflow[R]) -> Workflow[R]:
    if not callable(getattr(workflow, "_compile", None)) or isinstance(workflow, type):
        raise TypeError(f"WorkflowCheckpointer takes a workflow object, not {workflow!r}")
    return workflow


publish("plait", WorkflowCheckpointer)
