"""Configs: parts of JSON files."""

import contextvars
import json
import sys
import types
from dataclasses import dataclass
from typing import Annotated, Any

import attrs
import pytest

import plait.testing
from plait import Resource, ResourceConfig, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowValidationError
from tests.strands.events.lending import (
    one_step,
    run,
)


@attrs.frozen
class Server:
    host: str
    port: int = 80
    rate: float = 1.0


@dataclass
class Farm:
    servers: list[Server]
    main: Server | None = None


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(data, name="x.json"):
        text = data if isinstance(data, str) else json.dumps(data)
        (tmp_path / name).write_text(text, encoding="utf-8")

    return write


def built(kind, selector=None):
    class Flow(Workflow):
        @step
        async def start(
            self, ev: StartEvent, c: Annotated[kind, ResourceConfig("x.json", selector)]
        ) -> StopEvent:
            return StopEvent(result=c)

    return run(Flow)[0][0]


def test_a_part_of_a_file_is_built(config):
    config({"farm": {"servers": [{"host": "ä", "port": 1}]}, "n": 3, "x": None, "s": "t"})
    assert built(int, "n") == 3
    assert built(float, "n") == 3
    assert built(str, "s") == "t"
    assert built(Any, "x") is None
    assert built(str | None, "x") is None
    assert built(list, "farm.servers") == [{"host": "ä", "port": 1}]
    assert built(list[Server], "farm.servers") == [Server("ä", 1)]
    assert built(Server, "farm.servers.0") == Server("ä", 1)
    assert built(Farm, "farm") == Farm([Server("ä", 1)])
    assert set(built(dict)) == {"farm", "n", "x", "s"}


def test_a_pydantic_model_validates_itself(config, monkeypatch):
    class BaseModel:
        @classmethod
        def model_validate(cls, data):
            if "n" not in data:
                raise ValueError("no n")
            it = cls()
            vars(it).update(data)
            return it

    class Settings(BaseModel):
        pass

    monkeypatch.setitem(sys.modules, "pydantic", types.SimpleNamespace(BaseModel=BaseModel))
    config({"n": 1})
    assert built(Settings).n == 1
    config({})
    with pytest.raises(WorkflowValidationError, match=r"x\.json is no Settings: no n"):
        built(Settings)


@pytest.mark.parametrize(
    ("data", "kind", "selector", "text"),
    [
        (None, dict, None, "No such file: x.json"),
        ("{", dict, None, "Not a JSON file: x.json: Expecting property name"),
        ({"a": 1}, int, "a.b", "No 'a.b' in x.json"),
        ({"a": [1]}, int, "a.1", "No 'a.1' in x.json"),
        ({"a": [1]}, int, "a.x", "No 'a.x' in x.json"),
        ({"a": "1"}, int, "a", "'a' of x.json is no int: expected int, not '1'"),
        (True, int, None, "x.json is no int: expected int, not True"),
        (
            {"host": 1},
            Server,
            None,
            "x.json is no Server: invalid value for type, expected str @ $.host",
        ),
        ({}, Server, None, "x.json is no Server: required field missing @ $.host"),
        (1, Farm, None, "x.json is no Farm: "),
        (1, contextvars.Context, None, "x.json is no Context: "),
    ],
)
def test_a_config_that_does_not_fit_is_a_fault(config, data, kind, selector, text):
    if data is not None:
        config(data)

    class Flow(Workflow):
        @step
        async def s(
            self, ev: StartEvent, c: Annotated[kind, ResourceConfig("x.json", selector)]
        ) -> StopEvent:
            return StopEvent()

    with pytest.raises(WorkflowValidationError) as caught:
        Flow().run()
    first, second, *_ = str(caught.value).splitlines()
    assert first == "Resource config validation failed:"
    assert second.startswith(f"  - In step 's', parameter 'c': {text}")
    Flow().validate(validate_resource_configs=False)

    async def main():
        await Flow(disable_validation=True).run()

    with pytest.raises(WorkflowValidationError) as caught:
        plait.testing.run(main)
    assert str(caught.value).splitlines()[1].startswith(f"  - {text}")


def test_what_cannot_be_read_is_no_config(tmp_path):
    with pytest.raises(WorkflowValidationError, match=r"Cannot read .*: "):
        run(one_step(ResourceConfig(str(tmp_path))))


def test_a_config_is_read_once(config):
    config({"n": 1})
    marker = ResourceConfig("x.json")

    def make(whole: Annotated[Any, marker]):
        config({"n": 2})
        return whole["n"]

    flow = one_step(Resource(make), marker)
    assert run(flow, times=2)[0] == [[1, {"n": 1}]] * 2
    assert run(flow)[0] == [[2, {"n": 2}]]
