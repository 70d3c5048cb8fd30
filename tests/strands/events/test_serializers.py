"""The serializers: JSON, pickle, somebody's own; and the codec that a workflow makes of each."""

import base64
import doctest
import json
import pickle
import subprocess
import sys
from datetime import UTC, datetime

import attrs
import pytest

import plait.events
from plait import Event, JsonSerializer, StopEvent
from plait._journal.known_classes import known_classes
from plait._journal.values import Values
from plait._strands._events.serializers import values_for
from plait.errors import ContextSerdeError
from plait.events import (
    BaseSerializer,
    ChildEvent,
    PickleSerializer,
    StepFailedEvent,
    StepState,
    StepStateChanged,
    WorkflowTimedOutEvent,
)


@attrs.frozen
class Inner:
    n: int = 1


@attrs.frozen
class Item:
    inner: Inner = Inner()


class Query(Event):
    text: str
    found: object = None


class Simple:
    """What a user may write: it knows JSON and no more."""

    def serialize(self, value):
        return json.dumps(value)

    def deserialize(self, value):
        return json.loads(value)


class Secret(JsonSerializer):
    """A user's, on top of plait's own."""

    def serialize(self, value):
        return base64.b85encode(super().serialize(value).encode()).decode()

    def deserialize(self, value):
        return super().deserialize(base64.b85decode(value).decode())


VALUE = [Query(text="a", found=Item()), {"when": (1, {2})}, ValueError]


def test_json_round_trips_and_is_canonical():
    serializer = JsonSerializer([Query, Item])
    text = serializer.serialize(VALUE)
    assert serializer.deserialize(text) == VALUE
    assert JsonSerializer().serialize({"a": 1, "é": [1.0, None]}) == '{"a":1,"é":[1.0,null]}'
    assert JsonSerializer().serialize({"b": 1, "a": 1}) == '{"$":["dict",[["b",1],["a",1]]]}'


def test_what_fields_of_allowed_types_mention_is_allowed():
    serializer = JsonSerializer(allowed_types=[Item])
    assert serializer.deserialize(serializer.serialize(Item())) == Item()


def test_allowed_types_is_enforced_in_both_directions():
    text = JsonSerializer([Query]).serialize(Query(text="a"))
    match = r"Class .*Query is not known\. Pass JsonSerializer\(allowed_types=\[Query\]\)\.$"
    with pytest.raises(ContextSerdeError, match=match):
        JsonSerializer().serialize(Query(text="a"))
    with pytest.raises(ContextSerdeError, match=match):
        JsonSerializer().deserialize(text)
    with pytest.raises(TypeError, match=r"allowed_types takes classes, not 'Query'"):
        JsonSerializer(["Query"])
    assert JsonSerializer(kind for kind in [Query]).deserialize(text) == Query(text="a")


@pytest.mark.parametrize(
    "text", ["", "{", "nan", "[NaN]", '{"$":["x"]}', "[" * 100_000, None, 3, b"\xff", "1" * 5000]
)
def test_what_is_no_text_of_it_is_refused(text):
    with pytest.raises(ContextSerdeError):
        JsonSerializer().deserialize(text)


def test_pickle_round_trips_as_text():
    serializer = PickleSerializer()
    text = serializer.serialize(VALUE)
    assert text.isascii()
    assert json.loads(json.dumps(text)) == text
    assert serializer.deserialize(text) == VALUE
    assert serializer.deserialize(serializer.serialize({1, 2.5})) == {1, 2.5}
    shared = [1]
    one, other = serializer.deserialize(serializer.serialize((shared, shared)))
    assert one is other


@pytest.mark.parametrize(
    "text", ["", "é", "x", "AAAA", base64.b64encode(pickle.dumps(1)[:-1]).decode(), None]
)
def test_what_cannot_be_unpickled_is_refused(text):
    with pytest.raises(ContextSerdeError, match="cannot be unpickled"):
        PickleSerializer().deserialize(text)


def test_a_lambda_is_refused_by_each():
    for serializer in (JsonSerializer(), PickleSerializer()):
        with pytest.raises(ContextSerdeError):
            serializer.serialize(lambda: 1)


def test_the_names_are_where_they_are_documented():
    assert plait.events.JsonSerializer is JsonSerializer
    for serializer in (JsonSerializer(), PickleSerializer(), Simple()):
        assert isinstance(serializer, BaseSerializer)
    assert not isinstance(object(), BaseSerializer)


def test_the_examples_of_the_docstrings():
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner()
    names = {**vars(plait.events), "values_for": values_for, "known_classes": known_classes}
    for thing in (BaseSerializer, JsonSerializer, PickleSerializer, known_classes, Values):
        for example in finder.find(
            thing, thing.__name__, module=False, globs={**names, "Values": Values}
        ):
            runner.run(example)
    assert runner.tries > 12
    assert runner.failures == 0


def test_importing_plait_loads_neither_the_codec_nor_pickle():
    program = (
        "import sys, plait; "
        "print({'pickle', 'decimal', 'plait._journal.values', 'cattrs'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


# ---------------------------------------------------------------- of a workflow


def through(values, value):
    return values.decode(json.loads(json.dumps(values.encode(value), sort_keys=True)))


SERIALIZERS = [
    None,
    JsonSerializer(),
    JsonSerializer([Item]),
    PickleSerializer(),
    Simple(),
    Secret(),
]


@pytest.mark.parametrize("n", range(len(SERIALIZERS)))
def test_a_workflow_writes_events_with_each(n):
    """Also those that plait makes, which a user's serializer has never heard of."""
    values = values_for(SERIALIZERS[n], [Query], "W")
    query = Query(text="é", found=[1, {"a": None}])
    events = [
        query,
        Event(z=1, a="x"),
        StopEvent(3.5, more=True),
        ChildEvent(event=query, workflow="W", run_id="r", path=("W", "s")),
        WorkflowTimedOutEvent(timeout=0.1, active_steps=["a"]),
        StepStateChanged(
            name="s",
            step_state=StepState.RUNNING,
            worker_id="0",
            input_event_name="A",
            output_event_name=None,
        ),
    ]
    for event in events:
        again = through(values, event)
        assert again == event
        assert [*again] == [*event]
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            again.text = "b"
    failed = StepFailedEvent(
        step_name="s",
        input_event=query,
        exception=KeyError("k", 1),
        attempts=2,
        elapsed_seconds=0.5,
        failed_at=datetime(2026, 1, 2, tzinfo=UTC),
    )
    again = through(values, failed)
    assert repr(again) == repr(failed)
    assert through(values, Query) is Query
    for value in (None, 1, "x", [1, 2], {"a": 1}):
        assert through(values, value) == value


@pytest.mark.parametrize("n", range(len(SERIALIZERS)))
def test_each_refuses_events_that_the_workflow_does_not_know(n):
    values = values_for(SERIALIZERS[n], [], "W")
    text = r"^steps\.s: Class .*Query is not known to workflow 'W'\. Pass Json"
    with pytest.raises(ContextSerdeError, match=text):
        values.encode(Query(text="a"), at="steps.s")
    with pytest.raises(ContextSerdeError, match=text):
        values.decode(values_for(None, [Query], "W").encode(Query(text="a")), at="steps.s")


@pytest.mark.parametrize("n", range(len(SERIALIZERS)))
def test_each_refuses_a_lambda_with_its_place(n):
    values = values_for(SERIALIZERS[n], [Query], "W")
    with pytest.raises(ContextSerdeError, match=r"^state\.found.*: .* of type .* cannot be stored"):
        values.encode(Query(text="a", found=lambda: 1), at="state")


@pytest.mark.parametrize("n", range(len(SERIALIZERS)))
def test_each_upgrades_events_of_another_version(n):
    class Old(Event, name="shop.old"):
        txt: object

    class New(Event, name="shop.old", version=2):
        text: object

        @classmethod
        def upgrade(cls, data, version):
            return {"text": data["txt"]}

    data = values_for(SERIALIZERS[n], [Old], "W").encode(Old(txt=["a"]))
    assert values_for(SERIALIZERS[n], [New], "W").decode(data) == New(text=["a"])


def test_a_users_serializer_sees_every_value_and_no_event():
    seen = []

    class Watching(Simple):
        def serialize(self, value):
            seen.append(value)
            return super().serialize(value)

    values = values_for(Watching(), [Query], "W")
    data = values.encode(Query(text="secret", found={"a": [1]}))
    assert seen == ["secret", {"a": [1]}]
    assert data["$"][3] == {
        "text": {"$": ["text", '"secret"']},
        "found": {"$": ["text", '{"a": [1]}']},
    }
    assert "secret" not in json.dumps(
        values_for(Secret(), [Query], "W").encode(Query(text="secret"))
    )


def test_a_subclass_of_the_default_knows_the_workflows_classes():
    values = values_for(Secret([Item]), [Query], "W")
    value = Query(text="a", found=[Item(), Query(text="b")])
    assert through(values, value) == value
    with pytest.raises(ContextSerdeError, match=r"Item is not known to workflow 'W'"):
        values_for(Secret(), [Query], "W").encode(value)


def test_what_a_users_serializer_does_wrong_is_told_with_its_place():
    class Wrong:
        def serialize(self, value):
            return b"x" if value == "bytes" else "\ud800" if value == "odd" else value

        def deserialize(self, value):
            raise KeyError(value)

    values = values_for(Wrong(), [Query], "W")
    for text in ("bytes", "odd"):
        with pytest.raises(ContextSerdeError, match=r"^q\.text: serialize\(\) returned .* no text"):
            values.encode(Query(text=text), at="q")
    data = values.encode(Query(text="x", found="y"))
    with pytest.raises(ContextSerdeError, match=r"^q\.text: deserialize\(\) raised KeyError: 'x'"):
        values.decode(data, at="q")
    with pytest.raises(ContextSerdeError, match=r"^q\.text: an unknown tag: 'text'"):
        values_for(None, [Query], "W").decode(data, at="q")


def test_a_failure_is_recorded_whatever_the_serializer_makes_of_its_arguments():
    again = through(values_for(Simple(), [], "W"), ValueError("x", object()))
    assert str(again).startswith("ValueError: ('x', <object object")
