"""The JSON Schema: current, true of the samples, and of one mind with the checks."""

from __future__ import annotations

import json
import pathlib

import jsonschema
import pytest

from plait._strands._flows import schema
from plait._strands._flows.check import check
from plait._strands._flows.documents import read
from plait._strands._flows.problems import FlowConfigError, Problems

SAMPLES = pathlib.Path(__file__).parents[2] / "data" / "seed-flows"
VALIDATOR = jsonschema.Draft202012Validator(schema.make())


def test_the_shipped_file_is_current():
    assert schema.shipped() == schema.written(schema.make())


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(json.loads(schema.shipped()))


@pytest.mark.parametrize("name", ["1-automatic.yaml", "2-mixed.yaml", "3-explicit.yaml"])
def test_it_takes_the_samples(name):
    document = read([SAMPLES / name], Problems()).value
    assert [*VALIDATOR.iter_errors(document)] == []


A = {"name": "a", "source": "env"}

RIGHT = [
    {},
    {"x-anything": 5, "name": "n", "flow": None, "params": None},
    {"params": {"a": "int", "b": {"type": "int", "default": 1, "choices": [1]}, "c": {}}},
    {"secrets": {"s": {"env": "X"}, "t": {"file": "y"}}},
    {"sources": {"e": {"type": "env", "configuration": {"vars": []}}, "gone": None}},
    {"flow": [{"name": "a", "source": {"type": "env"}}]},
    {
        "flow": [{**A, "source": {"base": "env", "override": {}, "merge": "deep"}}],
        "sources": {"env": {"type": "env"}},
    },
    {"flow": [{**A, "on_error": "SKIP", "when": True, "reuse": False, "timeout": "1m30s"}]},
    {"flow": [{**A, "retry": 3}, {"name": "b", "source": "env", "depends_on": "a"}]},
    {"flow": [{**A, "retry": {"on": [429, "5xx", "exit:75"], "delay": 0.5, "jitter": 0}}]},
    {"flow": [{**A, "foreach": [1]}]},
    {"flow": [{**A, "foreach": {"items": {"a": 1}, "as": "user", "max_parallel": 2}}]},
    {"flow": [{**A, "matrix": {"axes": {"r": [1]}, "include": [{"r": 2}], "exclude": [{"r": 1}]}}]},
    {"flow": [{**A, "concurrency": {"group": "g", "limit": 2}, "output": [{"name": "o"}]}]},
    {"runner": {"on_error": "Continue", "max_workers": 0, "timeout": 5, "allow_hosts": ["h"]}},
]

WRONG = [
    {"zzz": 1},
    {"flow": {}},
    {"flow": [{**A, "retyr": 3}]},
    {"flow": [{"source": "env"}]},
    {"flow": [{"name": "a"}]},
    {"flow": [{**A, "name": 1}]},
    {"flow": [{**A, "name": ""}]},
    {"flow": [{**A, "on_error": "retry"}]},
    {"flow": [{**A, "retry": 0}]},
    {"flow": [{**A, "retry": True}]},
    {"flow": [{**A, "retry": {"on": ["5x"]}}]},
    {"flow": [{**A, "retry": {"jitter": 2}}]},
    {"flow": [{**A, "timeout": "soon"}]},
    {"flow": [{**A, "when": 5}]},
    {"flow": [{**A, "foreach": 5}]},
    {"flow": [{**A, "foreach": {"as": "x"}}]},
    {"flow": [{**A, "matrix": {"axes": {}}}]},
    {"flow": [{**A, "matrix": {"axes": {"a": 1}}}]},
    {"flow": [{**A, "concurrency": {"limit": 1}}]},
    {"flow": [{**A, "depends_on": [1]}]},
    {"flow": [{**A, "output": [{"name": "o", "type": "text"}]}]},
    {"flow": [{**A, "output": [{"type": "raw"}]}]},
    {"flow": [{**A, "source": {"configuration": {}}}]},
    {"params": {"a": "number"}},
    {"secrets": {"s": {"evn": "X"}}},
    {"sources": {"e": {"configuration": {}}}},
    {"runner": {"max_workers": -1}},
    {"runner": {"allow_hosts": "h"}},
]


@pytest.mark.parametrize("document", RIGHT, ids=json.dumps)
def test_it_takes_what_the_checks_take(document):
    check(document)
    assert [*VALIDATOR.iter_errors(document)] == []


@pytest.mark.parametrize("document", WRONG, ids=json.dumps)
def test_it_refuses_what_the_checks_refuse(document):
    with pytest.raises(FlowConfigError):
        check(document)
    assert not VALIDATOR.is_valid(document)
