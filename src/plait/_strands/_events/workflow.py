"""`Workflow`: a class with steps, compiled to a plan and run on the engine."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Collection, Mapping
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, cast
from weakref import WeakValueDictionary

from typing_extensions import TypeVar

from plait._abc import Journal, Opening
from plait._annotations import visible_names
from plait._engine.attempt import Attempt, current_attempt
from plait._engine.gate import Gate
from plait._engine.journaled import Archive, JournaledShell
from plait._engine.lane import Work
from plait._engine.runtime import runtime_here
from plait._engine.shell import Shell
from plait._errors import (
    Fault,
    WorkflowConfigurationError,
    WorkflowRuntimeError,
    WorkflowValidationError,
)
from plait._event import Event, StartEvent, StopEvent
from plait._ids import RunId, is_run_id
from plait._journal.given import is_journal, journal_of
from plait._journal.known_classes import known_classes
from plait._kernel.plan import Plan
from plait._naming import publish

from .advice import FORMER_OPTIONS, was
from .arguments import check_names, is_count, is_positive, unknown_checks
from .children import finish
from .compile import make_plan, work_of
from .context import Context
from .graph import Graph, read_steps
from .inheritance import own_steps, steps_of
from .journals import child_id, journal_around
from .narrator import Narrator
from .origin import document, restore_child
from .places import caller_place, class_place, fault_maker
from .resources.check import check as check_resources
from .resources.manager import ResourceManager
from .resources.run_scope import RunScope
from .run import Run
from .serializers import BaseSerializer, JsonSerializer, values_for
from .step import StepSpec, spec_of
from .timeout import Timeout
from .validate import graph_faults, start_and_stop

if TYPE_CHECKING:
    from plait._journal.values import Values

R_co = TypeVar("R_co", covariant=True, default=Any)


class Workflow(Generic[R_co]):
    """A class whose `@step` methods take and return events.

    `run()` begins with a `StartEvent`; the first `StopEvent` ends it. One object may have any
    number of runs at once: `self` is shared by them, `ctx.store` is each run's own. A subclass with
    an `__init__` of its own must call this one.

    Args:
        timeout: Seconds that a run may take, or a `Timeout`; `None` for as long as it needs. A run
            that can go no further ends at once with an error, so nothing needs a timeout in order
            to end.
        disable_validation: Do not check the graph of steps and events before a run.
        verbose: Print a line for each start and end of a step.
        resource_manager: Resources that take the place of the factories' own.
        num_concurrent_runs: How many runs of this object may be live at once; others queue, first
            come, first served. `None`: any number.
        workflow_name: The name in messages and journals; `module.qualname` by default.
        skip_graph_checks: Checks of the graph to leave out: `"dead_end"`, `"reachability"`,
            `"terminal_event"`.
        serializer: Writes the values of contexts, checkpoints and journals; `JsonSerializer()` by
            default, which knows the classes that the workflow's annotations mention.
        journal: Keeps the runs, so that they survive the process; a path means an SQLite file.
            `None`: they live in memory.
        on_stop: What a `StopEvent` does to the bodies that are running: `"cancel"` them, or
            `"drain"`: let them finish.
        stream_buffer: How many events a run's stream may be ahead of its slowest reader.

    Raises:
        WorkflowValidationError: An option is not usable.
        WorkflowConfigurationError: No step accepts the start event, or none returns a stop event.

    Example:
        ```python
        class Hello(Workflow):
            @step
            async def greet(self, ev: StartEvent) -> StopEvent:
                return StopEvent(result=f"Hello {ev.name}")


        print(plait.run(Hello(), name="world"))
        ```
    """

    #: The steps that this very class declares; `None` drops an inherited one.
    __plait_steps__: ClassVar[dict[str, StepSpec | None]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__plait_steps__ = own_steps(cls, visible_names(1), Workflow)

    def __init__(
        self,
        timeout: float | Timeout | None = None,
        disable_validation: bool = False,  # noqa: FBT001, FBT002 - the peer's signature
        verbose: bool = False,  # noqa: FBT001, FBT002
        resource_manager: ResourceManager | None = None,
        num_concurrent_runs: int | None = None,
        workflow_name: str | None = None,
        skip_graph_checks: Collection[str] | None = None,
        *,
        serializer: BaseSerializer | None = None,
        journal: Journal | str | PathLike[str] | None = None,
        on_stop: Literal["cancel", "drain"] = "cancel",
        stream_buffer: float = math.inf,
    ) -> None:
        wrong: list[tuple[str, str | None]] = []
        if timeout is not None and not (isinstance(timeout, Timeout) or is_positive(timeout)):
            wrong.append(("timeout must be a number greater than 0 or None", was(timeout)))
        if not isinstance(cast("object", resource_manager), ResourceManager | None):
            wrong.append(
                ("resource_manager must be a ResourceManager or None", was(resource_manager))
            )
        if num_concurrent_runs is not None and not is_count(num_concurrent_runs):
            text = "num_concurrent_runs must be an integer greater than 0 or None"
            wrong.append((text, was(num_concurrent_runs)))
        if not isinstance(cast("object", workflow_name), str | None):
            wrong.append(("workflow_name must be a text or None", was(workflow_name)))
        if on_stop not in ("cancel", "drain"):
            wrong.append(("on_stop must be 'cancel' or 'drain'", was(on_stop)))
        if stream_buffer != math.inf and not is_count(stream_buffer):
            text = "stream_buffer must be an integer greater than 0 or math.inf"
            wrong.append((text, was(stream_buffer)))
        if not (journal is None or isinstance(journal, str | PathLike) or is_journal(journal)):
            wrong.append(("journal must be a path, a journal or None", was(journal)))
        writer = cast("object", serializer)
        if isinstance(writer, type) or not isinstance(writer, BaseSerializer | None):
            text = "serializer must be an object with serialize() and deserialize(), or None"
            wrong.append((text, was(serializer)))
        if unknown := unknown_checks(skip_graph_checks):
            wrong.append((unknown, None))
        if wrong:
            file, line = caller_place()
            raise WorkflowValidationError(
                *(Fault(text, file, line, hint=hint) for text, hint in wrong),
                workflow=type(self).__name__,
            )
        self._name = workflow_name
        self._serializer = serializer
        self._journal = None if journal is None else journal_of(journal)
        self._verbose = verbose
        self._resources = (resource_manager or ResourceManager())._scope
        self._stream_buffer = stream_buffer
        self._timeout = timeout
        self._disable_validation = disable_validation
        self._on_stop: Literal["cancel", "drain"] = on_stop
        self._skip = check_names(skip_graph_checks)
        self._gate = None if num_concurrent_runs is None else Gate(num_concurrent_runs)
        self._runs: WeakValueDictionary[str, Shell] = WeakValueDictionary()
        #: The graph that has been found faultless, and how it was looked at.
        self._checked: tuple[Graph, bool, bool] | None = None
        #: What writes and reads values, made when there is something to write.
        self._codec: tuple[Graph, Values] | None = None
        self._kept_codec: tuple[Graph, Values] | None = None
        self._compiled: tuple[tuple[StepSpec, ...], Graph, Plan] | None = None
        graph, _ = self._compile()
        if faults := [*start_and_stop(graph, type(self))]:
            raise WorkflowConfigurationError(*faults, workflow=self._short_name)

    # ------------------------------------------------------------ steps

    @classmethod
    def add_step(cls, func: Callable[..., Any]) -> None:
        """Make a free function a step of this class and of its subclasses.

        Args:
            func: A function with `@step(workflow=...)` or whose decorator names another class.

        Raises:
            WorkflowValidationError: It has no `@step`, or a step of its name is there.

        Example:
            ```python
            @step(workflow=Shop)
            async def pack(ev: Order) -> StopEvent:
                return StopEvent(result=ev.item)


            Market.add_step(pack)
            ```
        """
        spec = spec_of(func)
        if spec is None:
            raise fault_maker(func)(
                f"Step function {func.__name__} is missing the `@step` decorator."
            )
        if spec.name in steps_of(cls):
            raise spec.fault(
                f"A step {spec.name} is already part of this workflow, please choose another name."
            )
        if "__plait_steps__" not in vars(cls):
            cls.__plait_steps__ = {}
        cls.__plait_steps__[spec.name] = spec

    def _compile(self) -> tuple[Graph, Plan]:
        """Read the steps and make the plan, once per set of steps."""
        if "_compiled" not in vars(self):
            name = type(self).__name__
            text = f"{name}.__init__ must call super().__init__()."
            raise WorkflowValidationError(Fault(text, *class_place(type(self))))
        specs = tuple(steps_of(type(self)).values())
        if self._compiled is not None and self._compiled[0] == specs:
            return self._compiled[1:]
        read = read_steps(specs, self._short_name)
        graph = Graph(self._short_name, read, self._skip)
        plan = make_plan(self._short_name, read, self._on_stop)
        self._compiled = (specs, graph, plan)
        return graph, plan

    @property
    def _short_name(self) -> str:
        return self._name or type(self).__name__

    # ------------------------------------------------------------ looking at it

    @property
    def workflow_name(self) -> str:
        """The name in messages and journals."""
        cls = type(self)
        return self._name or f"{cls.__module__}.{cls.__qualname__}"

    @property
    def start_event_class(self) -> type[StartEvent]:
        """The class of event with which a run begins."""
        graph, _ = self._compile()
        return graph.start

    @property
    def stop_event_class(self) -> type[StopEvent]:
        """The class of event that ends a run."""
        graph, _ = self._compile()
        return next((event for event in graph.returned if issubclass(event, StopEvent)), StopEvent)

    @property
    def serializer(self) -> BaseSerializer:
        """What writes the values of contexts, checkpoints and journals."""
        return self._serializer or JsonSerializer()

    @property
    def journal(self) -> Journal | None:
        """What keeps the runs, if something does."""
        return self._journal

    @property
    def events(self) -> list[type[Event]]:
        """Every event class that a step accepts or returns."""
        graph, _ = self._compile()
        return [*graph.events]

    def validate(
        self, *, validate_resource_configs: bool = True, validate_resources: bool = False
    ) -> bool:
        """Check the workflow, as `run()` does. No factory is called.

        Args:
            validate_resource_configs: Read the files of `ResourceConfig`s.
            validate_resources: Look for cycles among resources, which otherwise are an error of
                the step that asks.

        Returns:
            Whether it asks a human.

        Raises:
            WorkflowValidationError: With every fault found, each with file and line.

        Example:
            ```python
            def test_the_graph() -> None:
                Flow().validate()
            ```
        """
        graph, _ = self._compile()
        self._check(graph, configs=validate_resource_configs, resources=validate_resources)
        return graph.asks_a_human

    def _check(self, graph: Graph, *, configs: bool = True, resources: bool = False) -> None:
        asked_for = (graph, configs, resources)
        if self._checked == asked_for:
            return
        faults = [*graph_faults(graph)]
        for spec, signature in graph.steps:
            asked = [(p.name, p.resource, p.hint) for p in signature.resources if p.resource]
            if asked:
                texts = check_resources(
                    spec.name,
                    asked,
                    self._resources,
                    configs=configs,
                    resources=resources,
                )
                faults += [fault for text in texts for fault in spec.fault(text).faults]
        if faults:
            raise WorkflowValidationError(*faults, workflow=self._short_name)
        self._checked = asked_for

    # ------------------------------------------------------------ running it

    def run(
        self,
        ctx: Context[Any] | None = None,
        start_event: StartEvent | None = None,
        *,
        run_id: str | None = None,
        **start_fields: Any,
    ) -> Run[R_co]:
        """Make a run, which nothing has started yet.

        Await it, enter it with `async with`, or give it to a nursery: whoever starts it owns it, and
        it ends with its owner. Inside `open_runtime()` it starts at once. Not a checkpoint.

        Args:
            ctx: A context whose store the run shall use and leave its values in. One that was made
                of the snapshot of a run that was under way: that run goes on, without a start event.
            start_event: The start event, made by the caller.
            run_id: A name for the run, `[A-Za-z0-9_-]{1,64}`; by default a new UUID.
            **start_fields: Fields of the start event, made here.

        Raises:
            WorkflowValidationError: The workflow cannot work as it is written.
            WorkflowRuntimeError: The start event cannot be made or is of another class, or the run
                id is not usable.
            ContextStateError: The context is in use, or belongs to a step.
            TypeError: A start event and fields for one were given, or an option that older
                frameworks have.
            ValueError: The start event is none.

        Example:
            ```python
            result = await Flow().run(topic="x")
            ```
        """
        graph, _ = compiled = self._compile()
        if not self._disable_validation:
            self._check(graph)
        if ctx is not None:
            _check_context(ctx)
        if ctx is not None and ctx._origin.goes_on(ctx._shell):
            if start_event is not None or start_fields:
                names = ", ".join(start_fields) or "start_event"
                text = f"run() got start fields for a context that is already under way: {names}"
                raise TypeError(text)
            event = StartEvent()
        else:
            event = self._start_event(graph.start, start_event, start_fields)
        return self._make_run(compiled, ctx, event, run_id, resumes=False)

    def resume(self, run_id: str) -> Run[R_co]:
        """Make a run that goes on where one of this name was left, in this process or another.

        It is started like any other run. A body that had ended does not run again; one that was
        interrupted runs again from its start, with the same `ctx.idempotency_key`. A run that has
        ended gives its result, or raises its error, without running anything. Not a checkpoint.

        Args:
            run_id: The name of a run that the workflow's journal has.

        Raises:
            WorkflowRuntimeError: The workflow has no journal, or the run id is not usable.
            WorkflowValidationError: The workflow cannot work as it is written.

        Starting the run raises `UnknownRunError` if the journal has none of this name,
        `RunLockedError` if it is under way in this process, and `JournalError` if the journal cannot
        be used.

        Example:
            ```python
            flow = Flow(journal="runs.db")
            result = await flow.resume("order-7")
            ```
        """
        graph, _ = compiled = self._compile()
        if not self._disable_validation:
            self._check(graph)
        if self._journal is None:
            raise WorkflowRuntimeError(
                f"Workflow {self._short_name!r} has no journal, so there is nothing to resume.\n"
                f'  right:  {type(self).__name__}(journal="runs.db").resume({run_id!r})'
            )
        return self._make_run(compiled, None, StartEvent(), run_id, resumes=True)

    def _make_run(
        self,
        compiled: tuple[Graph, Plan],
        ctx: Context[Any] | None,
        event: StartEvent,
        run_id: str | None,
        *,
        resumes: bool,
    ) -> Run[R_co]:
        graph, plan = compiled
        attempt = current_attempt.get()
        journal = self._journal or journal_around(attempt)
        fresh = ctx is None
        if ctx is None:
            ctx = Context(self)
        else:
            ctx._check_free()
        goes_on = not fresh and ctx._origin.goes_on(ctx._shell)
        parent = attempt if run_id is None and not goes_on else None
        if parent is not None:
            run_id = child_id(parent)
            restore_child(ctx, parent, run_id)
        origin = state = None
        if parent is not None or not fresh:
            origin = None if journal is None else document(ctx)
            state = ctx._origin.take_up(ctx._shell, of_child=parent is not None)
        if run_id is None and state is not None:
            run_id = state.run_id
        known = run_id is not None
        name = self._new_id(run_id)
        make: Callable[..., Shell] = Shell
        if journal is not None:
            fork = None if state is None else origin
            make = partial(
                JournaledShell,
                archive=self._archive(
                    journal, name, ctx, attempt, known=known, resumes=resumes, origin=fork
                ),
            )
        elif state is not None:
            ctx._origin.rename(state, name)
            make = partial(Shell, state=state)
        scope = None
        if graph.lends:
            scope = RunScope(self._resources, ctx)
        limit = self._timeout
        if not isinstance(limit, Timeout | None):
            limit = Timeout(limit)
        shell = make(
            plan,
            partial(self._work, ctx, graph, scope),
            event,
            name,
            timeout=None if limit is None else limit.seconds,
            pauses=limit is not None and not limit.while_idle,
            gate=self._gate,
            around=scope,
            stream_buffer=self._stream_buffer,
        )
        if self._verbose:
            shell.observers.append(Narrator(shell.state))
        shell.context = ctx
        self._runs[name] = shell
        if parent is not None:
            parent.adopt(name, ctx)
            shell.on_end.append(partial(finish, parent, self, shell.state))
        return Run(shell, ctx, runtime_here())

    def _archive(
        self,
        journal: Journal,
        name: RunId,
        ctx: Context[Any],
        attempt: Attempt | None,
        *,
        known: bool,
        resumes: bool,
        origin: Mapping[str, Any] | None,
    ) -> Archive:
        from .archive import RunArchive  # noqa: PLC0415 - the codec, for programs that need it

        parent = None if attempt is None else attempt.shell.run_id
        opening = Opening("", self.workflow_name, parent)
        return RunArchive(
            journal,
            name,
            ctx,
            self._kept_values(),
            opening,
            known=known,
            resumes=resumes,
            origin=origin,
        )

    def _values(self, serializer: BaseSerializer | None = None) -> Values:
        """What writes and reads the values of this workflow's runs."""
        graph, _ = self._compile()
        if serializer is not None:
            return values_for(serializer, graph.known, self._short_name)
        if self._codec is None or self._codec[0] is not graph:
            values = values_for(self._serializer, graph.known, self._short_name)
            self._codec = (graph, values)
        return self._codec[1]

    def _kept_values(self) -> Values:
        """What writes and reads the values in a journal of its own: they may be of any event class.

        What a body shows on the stream, or waits for, no annotation mentions.
        """
        graph, _ = self._compile()
        if self._kept_codec is None or self._kept_codec[0] is not graph:
            values = values_for(self._serializer, graph.known, self._short_name)
            values.open_to_events(known_classes)
            self._kept_codec = (graph, values)
        return self._kept_codec[1]

    def _start_event(
        self, kind: type[StartEvent], event: object, fields: Mapping[str, Any]
    ) -> StartEvent:
        if event is not None:
            if fields:
                names = ", ".join(fields)
                raise TypeError(f"run() got a start_event and also fields for one: {names}")
            if not isinstance(event, StartEvent):
                raise ValueError("The 'start_event' argument must be an instance of 'StartEvent'.")
            if type(event) is not kind:
                raise WorkflowRuntimeError(
                    f"Workflow {self._short_name!r} starts with {kind.__name__}, "
                    f"not {type(event).__name__}."
                )
            return event
        for name, instead in FORMER_OPTIONS.items():
            if name in fields and name not in kind.__plait_fields__:
                raise TypeError(f"run() has no option {name!r}. {instead}")
        try:
            return kind(**fields)
        except (TypeError, ValueError) as error:
            raise WorkflowRuntimeError(
                f"Failed creating a start event of type {kind.__name__!r} with the keyword "
                f"arguments: {fields}\n  {error}"
            ) from error

    def _new_id(self, run_id: str | None) -> RunId:
        if run_id is None:
            return RunId(str(uuid.uuid4()))
        if not is_run_id(run_id):
            raise WorkflowRuntimeError(f"run_id must match [A-Za-z0-9_-]{{1,64}}, not {run_id!r}")
        known = self._runs.get(run_id)
        if known is not None and known.conclusion is None:
            raise WorkflowRuntimeError(f"Workflow run with run_id {run_id!r} already exists.")
        return RunId(run_id)

    def _work(
        self,
        ctx: Context[Any],
        graph: Graph,
        scope: RunScope | None,
        shell: Shell,
    ) -> Mapping[str, Work]:
        ctx._bind(shell)
        return {
            spec.name: work_of(self, ctx, scope, spec, signature) for spec, signature in graph.steps
        }


def _check_context(ctx: object) -> None:
    """Refuse what stands where older frameworks, too, have the context."""
    if not isinstance(ctx, Context):
        field = "start_event=..." if isinstance(ctx, StartEvent) else "topic=..."
        raise TypeError(f"run() takes a Context by position, not {ctx!r}. Write run({field})")


publish("plait", Workflow)
