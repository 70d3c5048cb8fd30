"""`WorkflowTestRunner`: runs a workflow to its end and keeps all that it has shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Generic, cast, final

import attrs
from typing_extensions import TypeVar

from plait._event import Event, StartEvent
from plait._naming import publish
from plait._strands._events.context import Context
from plait._strands._events.workflow import Workflow

R_co = TypeVar("R_co", covariant=True, default=Any)


@final
@attrs.frozen
class WorkflowTestResult(Generic[R_co]):
    """What came of a run of `WorkflowTestRunner`.

    Attributes:
        collected: The events of the run's stream, in their order, without the excluded ones. The
            last one is the stop event.
        event_types: How many of them there are of each class.
        result: The run's result.
        ctx: The run's context, for its store.
    """

    collected: list[Event]
    event_types: dict[type[Event], int]
    result: R_co
    ctx: Context[Any]


@final
class WorkflowTestRunner(Generic[R_co]):
    """Runs a workflow from its start event to its end, and collects what it shows meanwhile.

    Works on Trio and on asyncio. It may run any number of times.

    Args:
        workflow: What to run.

    Raises:
        TypeError: It is no instance of a workflow.

    Example:
        ```python
        test = await WorkflowTestRunner(Flow()).run(StartEvent(topic="x"))
        assert test.event_types[Progress] == 3
        assert test.result == "done"
        ```
    """

    def __init__(self, workflow: Workflow[R_co]) -> None:
        given = cast("object", workflow)
        if isinstance(given, type) and issubclass(given, Workflow):
            name = given.__name__
            raise TypeError(
                f"WorkflowTestRunner() takes an instance. Write {name}(...), not {name}."
            )
        if not isinstance(given, Workflow):
            raise TypeError(f"WorkflowTestRunner() takes a Workflow, not {given!r}")
        self._workflow = workflow

    async def run(
        self,
        start_event: StartEvent | None = None,
        ctx: Context[Any] | None = None,
        expose_internal: bool = True,  # noqa: FBT001, FBT002 - as programs call it
        exclude_events: Sequence[type[Event]] | None = None,
    ) -> WorkflowTestResult[R_co]:
        """Run the workflow once, to its end. A checkpoint; cancelled, it cancels the run and awaits its clean-up.

        Args:
            start_event: The start event; by default one without fields.
            ctx: A context whose store the run shall use and leave its values in.
            expose_internal: Collect `StepStateChanged` and `WorkflowIdleEvent` as well.
            exclude_events: Classes whose events are not collected. An event of a subclass is.

        Raises:
            Exception: What the run raises, as `await workflow.run()` would.
            TypeError: `exclude_events` is no sequence of event classes.
        """
        excluded = _event_classes(exclude_events)
        run = self._workflow.run(ctx=ctx, start_event=start_event)
        async with run:
            stream = run.stream_events(expose_internal=expose_internal)
            collected = [event async for event in stream if type(event) not in excluded]
            result = await run
        counts = Counter(type(event) for event in collected)
        return WorkflowTestResult(collected, dict(counts), result, run.ctx)


def _event_classes(given: object) -> frozenset[type[Event]]:
    if given is None:
        return frozenset()
    if not isinstance(given, Sequence | set | frozenset) or isinstance(given, str):
        raise TypeError(f"exclude_events must be a list of event classes, not {given!r}")
    classes = cast("Sequence[object]", given)
    for cls in classes:
        if not isinstance(cls, type) or not issubclass(cls, Event):
            raise TypeError(f"exclude_events must hold event classes, not {cls!r}")
    return frozenset(cast("Sequence[type[Event]]", classes))


publish("plait.testing", WorkflowTestResult, WorkflowTestRunner)
