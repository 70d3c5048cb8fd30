"""Outputs: what is wrong with them, and what they take from the data."""

from __future__ import annotations

import math
from typing import Any

import pytest

from plait._strands._flows.grammar import Out
from plait._strands._flows.outputs import (
    Output,
    OutputError,
    compile_outputs,
    jmespath_function,
    take,
)
from plait._strands._flows.problems import Place, Problems
from plait._strands._flows.templates import TemplateError


def checked(*outs: Out, provider: str = "process", compat: bool = False):
    problems = Problems()
    outputs = compile_outputs(
        outs,
        step="a",
        provider=provider,
        place=lambda path: Place(path=path),
        problems=problems,
        compat=compat,
    )
    return outputs, problems.errors


def outputs_of(*outs: Out, **options: Any) -> tuple[Output, ...]:
    outputs, errors = checked(*outs, **options)
    assert not errors
    return outputs


def taken(out: Out, data: Any, *, provider: str = "process", **more: Any) -> Any:
    """Take one output; nothing is warned of."""
    compat = more.pop("compat", False)
    warnings: list[str] = []
    outputs = outputs_of(out, provider=provider, compat=compat)
    found = take(outputs, data, warn=warnings.append, **more)
    assert not warnings
    return found[out.name]


def warned(value: str, data: Any) -> tuple[Any, list[str]]:
    warnings: list[str] = []
    outputs = outputs_of(Out(name="o", type="jmespath", value=value))
    return take(outputs, data, warn=warnings.append)["o"], warnings


def failure(out: Out, data: Any, **more: Any) -> str:
    with pytest.raises(OutputError) as caught:
        taken(out, data, **more)
    assert caught.value.kind == "output"
    assert str(caught.value) == caught.value.message
    return caught.value.message


# ------------------------------------------------------------------ what is wrong with them


@pytest.mark.parametrize(
    ("out", "code", "text"),
    [
        (Out(type="raw"), "name", "output needs a name"),
        (Out(name=""), "name", "output needs a name"),
        (Out(name="o", type="text"), "output-type", "Step 'a' output 'o' has unknown type 'text'"),
        (Out(type="zzz"), "output-type", "Step 'a' output 'None' has unknown type 'zzz'"),
        (Out(name="o", type="jmespath"), "jmespath", "output 'o' needs a value"),
        (
            Out(name="o", type="jmespath", value="[[["),
            "jmespath",
            "invalid jmespath '[[[': Invalid jmespath expression: Incomplete expression:",
        ),
        (
            Out(name="o", type="jmespath", value="a b"),
            "jmespath",
            (
                "invalid jmespath 'a b': Unexpected token: b: Parse error at column 2, "
                'token "b" (UNQUOTED_IDENTIFIER), for expression:'
            ),
        ),
        (
            Out(name="o", type="jmespath", value="l[?n > 5]"),
            "jmespath",
            (
                "invalid jmespath 'l[?n > 5]': invalid token: Parse error at column 7, "
                'token "5" (NUMBER), for expression:; numbers in filters need back-quotes'
            ),
        ),
        (
            Out(name="o", type="jmespath", value="a.nope(@)"),
            "jmespath",
            "invalid jmespath 'a.nope(@)': Unknown function: nope()",
        ),
        (
            Out(name="o", type="jmespath", value="length()"),
            "jmespath",
            "invalid jmespath 'length()': Expected 1 argument for function length(), received 0",
        ),
        (
            Out(name="o", type="jmespath", value="merge()"),
            "jmespath",
            (
                "invalid jmespath 'merge()': Expected at least 1 argument for function merge(), "
                "received 0"
            ),
        ),
        (
            Out(name="o", type="jmespath", value="(" * 5000),
            "jmespath",
            f"invalid jmespath {'(' * 5000!r}: nested too deeply",
        ),
        (
            Out(name="o", from_="status"),
            "shape",
            "output 'o': from: status needs a rest source",
        ),
    ],
)
def test_what_is_wrong_with_an_output(out, code, text):
    _, errors = checked(out)
    assert [(error.code, error.message) for error in errors] == [(code, text)]


def test_all_of_it_comes_at_once_and_a_name_once():
    outs = [Out(type="zzz"), Out(name="x", type="text"), Out(), Out(name="o"), Out(name="o")]
    _, errors = checked(*outs)
    assert [error.message for error in errors] == [
        "Step 'a' output 'None' has unknown type 'zzz'",
        "Step 'a' output 'x' has unknown type 'text'",
        "output needs a name",
        "duplicate output name 'o'",
    ]


def test_problems_have_their_places():
    path = ("flow", 0, "output", 0)
    for out, key in [
        (Out(name="o", type="text", path=path), "type"),
        (Out(name="o", type="jmespath", value="[[[", path=path), "value"),
        (Out(name="o", from_="headers", path=path), "from"),
    ]:
        (error,) = checked(out)[1]
        assert error.place.path == (*path, key)


# ------------------------------------------------------------------ what they take

PROCESS = {"stdout": '{"n": 5}', "stderr": "", "returncode": 0, "json": {"n": 5}}
NO_JSON = {"stdout": "ok\n", "stderr": "", "returncode": 0}


def test_raw_is_all_of_it():
    assert taken(Out(name="o", value="ignored"), PROCESS) is PROCESS
    assert taken(Out(name="o"), [1], provider="rest") == [1]


def test_json_of_a_process_is_what_it_printed_if_that_is_json():
    out = Out(name="o", type="json")
    assert taken(out, PROCESS) == {"n": 5}
    assert taken(out, {**PROCESS, "json": None}) is None
    assert taken(out, NO_JSON) is NO_JSON
    assert taken(out, PROCESS, compat=True) is PROCESS
    assert taken(out, {"json": 1}, provider="rest") == {"json": 1}
    assert taken(out, "text", provider="rest") == "text"


def test_jmespath_takes_a_part():
    def part(value: str, data: Any) -> Any:
        return taken(Out(name="o", type="jmespath", value=value), data)

    assert part("json.n", PROCESS) == 5
    assert part("x.y", PROCESS) is None
    assert part("split(t, ',')", {"t": "a,b"}) == ["a", "b"]
    assert part("from_json(t).a[0]", {"t": '{"a": [1]}'}) == 1
    assert part("l[?n > `5`].n", {"l": [{"n": 5}, {"n": 6}]}) == [6]
    assert part("l[1]", {"l": [1, "a"]}) == "a"
    assert part("@", [1]) == [1]


@pytest.mark.parametrize(
    ("value", "data", "text"),
    [
        ("length(n)", {"n": 5}, "In function length(), invalid type for value: 5, "),
        ("split(n, ',')", {"n": 5}, "In function split(), invalid type for value: 5, "),
        ("split(t, '')", {"t": "a"}, "split() needs a separator"),
        ("from_json(t)", {"t": "no"}, "from_json(): no JSON: Expecting value: "),
        ("sort_by(l, &n)", {"l": [{"n": 1}, {"n": "a"}]}, "In function sort_by(), "),
        ("sum(l)", {"l": ["a"]}, "In function sum(), "),
    ],
)
def test_what_a_function_cannot_do_is_null_and_a_warning(value, data, text):
    found, warnings = warned(value, data)
    assert found is None
    (warning,) = warnings
    assert warning.startswith(f"step 'a' output 'o': jmespath: {text}")
    assert warning.endswith("; null")


def test_default_and_required():
    missing = Out(name="o", type="jmespath", value="x.y", default=[0])
    assert taken(missing, {}) == [0]
    assert taken(missing, {"x": {"y": None}}) == [0]
    assert taken(missing, {"x": {"y": False}}) is False
    required = Out(name="token", type="jmespath", value="access_token", required=True)
    assert failure(required, {}) == "output 'token' found nothing: access_token"
    assert taken(required, {"access_token": ""}) == ""
    both = Out(name="o", type="jmespath", value="x", required=True, default=1)
    assert taken(both, {}) == 1
    raw = Out(name="o", required=True)
    assert failure(raw, None, provider="rest") == "output 'o' found nothing: body"


def test_from_status_and_headers():
    def of(out: Out) -> Any:
        headers = {"Content-Type": "text/plain", "x-a": "1"}
        return taken(out, "body", provider="rest", status=201, headers=headers)

    assert of(Out(name="o", from_="status")) == 201
    assert of(Out(name="o", from_="headers")) == {"content-type": "text/plain", "x-a": "1"}
    assert of(Out(name="o", type="jmespath", value='"x-a"', from_="headers")) == "1"
    assert of(Out(name="o", from_="body")) == "body"


def test_no_outputs_take_nothing():
    assert take((), {"a": 1}, warn=print) == {}


# ------------------------------------------------------------------ what is no JSON

CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)
DEEP: list[object] = []
for _ in range(100_000):
    DEEP = [DEEP]
SHARED: list[object] = [1]


@pytest.mark.parametrize(
    ("data", "odd"),
    [
        (b"x", "bytes"),
        ({"a": [1, b"x"]}, "bytes"),
        ([object()], "object"),
        ({1: 2}, "int as a key"),
        ((1, 2), "tuple"),
        ({"a": {1}}, "set"),
        (CIRCLE, "it contains itself"),
        (DEEP, "it is nested too deeply"),
    ],
)
def test_data_of_a_plugin_that_is_not_json_is_refused(data, odd):
    assert failure(Out(name="o"), data, provider="plugin") == f"output 'o' is not JSON: {odd}"


def test_data_of_a_plugin_that_is_json_is_taken():
    for data in (None, True, 1, 1.5, "x", [], {"a": [SHARED, SHARED]}, math.inf):
        assert taken(Out(name="o"), data, provider="plugin") is data


# ------------------------------------------------------------------ in templates


def test_the_function_that_templates_have():
    function = jmespath_function({"a": {"b": [1, 2]}})
    assert function("a.b[1]") == 2
    assert function("nope") is None
    with pytest.raises(TemplateError, match=r"jmespath '\[\[\[': Invalid jmespath expression"):
        function("[[[")
    with pytest.raises(TemplateError, match="In function length"):
        function("length(`1`)")


def test_a_definition_has_all_that_matters():
    out = Out(name="o", type="jmespath", value="a", default=1, required=True, from_="headers")
    (output,) = outputs_of(out, provider="rest")
    assert output.definition == {
        "name": "o",
        "type": "jmespath",
        "from": "headers",
        "value": "a",
        "default": 1,
        "required": True,
    }
    (raw,) = outputs_of(Out(name="o", value="ignored"))
    assert raw.definition["value"] is None
