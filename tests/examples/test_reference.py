"""The reference pages name everything that is public, and nothing that is not there."""

import inspect
import re
from pathlib import Path

import attrs
import pytest

import plait
import plait.abc
import plait.durable
import plait.errors
import plait.events
import plait.flows
import plait.lowlevel
import plait.retry
import plait.testing
import plait.viz
import plait.web

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
EVENTS = (REFERENCE / "events.md").read_text(encoding="utf-8")
ERRORS = (REFERENCE / "errors.md").read_text(encoding="utf-8")
RETRY = (REFERENCE / "retry.md").read_text(encoding="utf-8")
TESTING = (REFERENCE / "testing.md").read_text(encoding="utf-8")
JOURNAL = (REFERENCE / "journal.md").read_text(encoding="utf-8")
DURABLE = (REFERENCE / "durable.md").read_text(encoding="utf-8")
VIZ = (REFERENCE / "viz.md").read_text(encoding="utf-8")
FLOWS = (REFERENCE / "flows.md").read_text(encoding="utf-8")

WEB = (REFERENCE / "web.md").read_text(encoding="utf-8")

JOURNAL_NAMES = {"SqliteJournal", "MemoryJournal"}
#: What `plait.abc` has for sources of flow files: that is told with those.
SOURCE_NAMES = {"JSON", "Source", "SourceContext", "SourceResult"}
ERROR_CLASSES = [
    value for value in vars(plait.errors).values() if inspect.isclass(value) and value.__doc__
]


def public(module):
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }


def words(text):
    """What stands in code: in backticks, or in a block."""
    code = [*re.findall(r"```text\n(.*?)```", text, re.DOTALL), *re.findall(r"`([^`\n]+)`", text)]
    return set(re.findall(r"\w+", " ".join(code)))


@pytest.mark.parametrize("name", sorted(public(plait) | public(plait.events)))
def test_every_name_is_there(name):
    assert name in words(EVENTS)


@pytest.mark.parametrize("name", sorted(public(plait.retry)))
def test_every_retry_name_and_argument_is_there(name):
    assert name in words(RETRY)
    for arguments in re.findall(rf"^(?:\| `)?{name}\(([^`]*?)\)(?:`|$)", RETRY, re.MULTILINE):
        parameters = inspect.signature(getattr(plait.retry, name)).parameters.values()
        named = {p.name for p in parameters if p.kind != p.VAR_POSITIONAL}
        assert named <= set(re.findall(r"\w+", arguments)), name


@pytest.mark.parametrize("name", sorted(public(plait.testing)))
def test_every_name_for_tests_is_there_with_its_arguments(name):
    thing = getattr(plait.testing, name)
    named = {name, *inspect.signature(getattr(thing, "run", thing)).parameters} - {"self"}
    assert named <= words(TESTING)


@pytest.mark.parametrize(
    "thing",
    [
        plait.Workflow,
        plait.Run,
        plait.Runtime,
        plait.Context,
        plait.Event,
        plait.events.StateStore,
        plait.events.Trace,
        plait.Checkpoint,
        plait.WorkflowCheckpointer,
    ],
    ids=lambda thing: thing.__name__,
)
def test_every_method_is_there(thing):
    methods = {name for name in dir(thing) if not name.startswith("_")}
    assert methods <= words(EVENTS)


@pytest.mark.parametrize(
    "function",
    [
        plait.step,
        plait.catch_error,
        plait.run,
        plait.Collect,
        plait.Take,
        plait.Resource,
        plait.ResourceConfig,
        plait.Timeout,
        plait.Workflow.__init__,
        plait.Workflow.run,
        plait.Workflow.validate,
        plait.Context.__init__,
        plait.Context.send_event,
        plait.Context.collect_events,
        plait.Context.write_event_to_stream,
        plait.Context.emit,
        plait.Context.wait_for_event,
        plait.Context.run_child,
        plait.Context.to_dict,
        plait.Context.from_dict,
        plait.Checkpoint,
        plait.Checkpoint.from_json,
        plait.WorkflowCheckpointer,
        plait.WorkflowCheckpointer.run_from,
        plait.WorkflowCheckpointer.enable_checkpoint,
        plait.WorkflowCheckpointer.filter_checkpoints,
        plait.events.CheckpointCallback.__call__,
        plait.Run.on_checkpoint,
        plait.Workflow.resume,
        plait.Context.cancel_step,
        plait.Run.send_event,
        plait.Run.start_soon,
        plait.Run.stream_events,
        plait.Event.__init_subclass__,
        plait.events.StateStore.get,
        plait.events.StateStore.set,
        plait.events.StateStore.set_state,
        plait.events.ResourceManager.get,
        plait.events.ResourceManager.set,
        plait.JsonSerializer,
        plait.events.BaseSerializer.serialize,
        plait.events.BaseSerializer.deserialize,
        plait.testing.run,
        plait.testing.task_tree,
    ],
    ids=lambda function: f"{function.__module__}.{function.__qualname__}",
)
def test_every_argument_is_there(function):
    parameters = inspect.signature(function).parameters.values()
    by_name = {p.name for p in parameters if p.kind != p.POSITIONAL_ONLY} - {"self"}
    assert by_name <= words(EVENTS)


@pytest.mark.parametrize("cls", plait.lowlevel.Record.__args__, ids=lambda cls: cls.__name__)
def test_every_record_is_there_with_its_fields(cls):
    (told,) = re.findall(rf"^\| `{cls.__name__}` \| ([^|]*) \|", EVENTS, re.MULTILINE)
    assert re.findall(r"\w+", told) == [field.name for field in attrs.fields(cls)]


@pytest.mark.parametrize(
    "thing",
    [
        plait.durable.SqliteJournal,
        plait.durable.MemoryJournal,
        *(
            value
            for name, value in vars(plait.abc).items()
            if name in public(plait.abc) - SOURCE_NAMES
        ),
    ],
    ids=lambda thing: thing.__name__,
)
def test_everything_of_journals_is_there(thing):
    """Its name, its methods and their arguments, its fields, and what it is made of."""
    if thing is plait.abc.Observer:
        assert "plait.abc.Observer" in EVENTS
        return
    methods = {name for name in dir(thing) if not name.startswith("_")}
    arguments = {
        argument
        for method in (*(getattr(thing, name) for name in methods), thing.__init__)
        if inspect.isfunction(method)
        for argument in inspect.signature(method).parameters
    }
    assert {thing.__name__, *methods, *arguments} - {"self", "kwargs"} <= words(JOURNAL)


@pytest.mark.parametrize("name", sorted(public(plait.flows) | SOURCE_NAMES))
def test_everything_of_flow_files_is_there(name):
    """Its name; of a class its attributes and methods; and the arguments of what is called."""
    thing = getattr(plait.abc if name in SOURCE_NAMES else plait.flows, name)
    told = words(FLOWS)
    assert name in told
    if name == "JSON":
        return
    own = {
        attribute: value
        for cls in reversed(getattr(thing, "__mro__", ()))
        if cls.__module__ in {"plait.flows", "plait.abc"}
        for attribute, value in vars(cls).items()
        if not attribute.startswith("_")
    }
    fields = {field.name for field in attrs.fields(thing)} if attrs.has(thing) else set()
    methods = [value for value in own.values() if inspect.isfunction(value)]
    made = [thing] if thing in CALLED_BY_USERS else []
    arguments = {
        argument for call in (*methods, *made) for argument in inspect.signature(call).parameters
    }
    assert {*own, *(name for name in fields if name[0] != "_"), *arguments} - {"self"} <= told


@pytest.mark.parametrize("name", sorted(public(plait.viz)))
def test_everything_of_pictures_is_there(name):
    """Its name; of a class its fields and methods; and the arguments of what is called."""
    thing = getattr(plait.viz, name)
    fields = {field.name for field in attrs.fields(thing)} if attrs.has(thing) else set()
    own = [
        (key, value) for key, value in vars(thing).items() if key[0] != "_" and key not in fields
    ]
    methods = [thing] if inspect.isfunction(thing) else [
        value for _, value in own if inspect.isfunction(value)
    ]  # fmt: skip
    arguments = {argument for call in methods for argument in inspect.signature(call).parameters}
    fields = {field for field in fields if field[0] != "_"}
    assert {name, *fields, *(key for key, _ in own), *arguments} - {"self"} <= words(VIZ)


#: What a user calls by its name.
CALLED_BY_USERS = [plait.flows.load, plait.flows.run_flow, plait.flows.LocalRunner]
#: What the app makes of its parts: nobody else calls these.
MADE_BY_PLAIT = {
    "Context",
    "CurrentStep",
    "Function",
    "FunctionDecorator",
    "Group",
    "RunLogger",
    "Step",
    "SyncContext",
    "SyncGroup",
    "SyncScope",
    "SyncStep",
    "SyncTasks",
    "Tasks",
    "Worker",
}
#: What `serve()` and the runs do with their worker, and how a logger does its work.
OWN_AFFAIRS = {"Worker": {"drain"}, "RunLogger": set()}


@pytest.mark.parametrize("name", sorted(public(plait.durable)))
def test_everything_of_durable_functions_is_there(name):
    """Its name; of a class its attributes and methods, and their arguments."""
    thing = getattr(plait.durable, name)
    told = words(DURABLE)
    assert name in told
    if not inspect.isclass(thing) or thing.__module__ != "plait.durable" or name in JOURNAL_NAMES:
        return
    own = {
        attribute: value
        for cls in reversed(thing.__mro__)
        if cls.__module__.startswith("plait")
        for attribute, value in vars(cls).items()
        if not attribute.startswith("_")
    }
    wanted = OWN_AFFAIRS.get(name, set(own))
    methods = [own[method] for method in wanted if inspect.isfunction(own[method])]
    made = [] if name in MADE_BY_PLAIT or not inspect.isfunction(thing.__init__) else [thing]
    arguments = {
        argument for call in (*methods, *made) for argument in inspect.signature(call).parameters
    }
    assert {*wanted, *arguments} - {"self"} <= told


@pytest.mark.parametrize("cls", ERROR_CLASSES, ids=lambda cls: cls.__name__)
def test_every_error_is_explained(cls):
    assert re.search(rf"^(#+ |\| )`{cls.__name__}`", ERRORS, re.MULTILINE)


def test_the_tree_of_errors_is_what_it_is():
    drawn = re.search(r"^PlaitError\n(.*?)```", ERRORS, re.MULTILINE | re.DOTALL)[1]
    parents, at = ["PlaitError"], {}
    for line in drawn.splitlines():
        branch, name = re.match(r"([│├└─ ]*)(\w+)", line).groups()
        depth = len(branch) // 4
        parents[depth:] = [name]
        at[name] = parents[depth - 1]
    real = {
        cls.__name__: cls.__base__.__name__
        if len(cls.__bases__) == 1
        else cls.__bases__[0].__name__
        for cls in ERROR_CLASSES
        if issubclass(cls, plait.errors.PlaitError) and cls is not plait.errors.PlaitError
    }
    assert at == real


@pytest.mark.parametrize("name", sorted(public(plait.web)))
def test_everything_of_the_live_page_is_there(name):
    """Its name, its methods and their arguments."""
    thing = getattr(plait.web, name)
    functions = [thing] if inspect.isfunction(thing) else []
    if thing is plait.web.LivePage:
        functions = [getattr(thing, one) for one in dir(thing) if not one.startswith("_")]
    arguments = {one for function in functions for one in inspect.signature(function).parameters}
    assert {name, *(function.__name__ for function in functions), *arguments} - {"self"} <= words(
        WEB
    )
