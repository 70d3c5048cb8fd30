from __future__ import annotations

import pytest

from plait._strands._flows.params import read_params, read_text, read_texts
from plait._strands._flows.problems import Problems

FILE = """
params:
  n: int
  x: {default: 1.5}
  s: {type: str, default: abc, choices: [abc, eu, us]}
  flag: {default: false}
  items: {default: [1]}
  any: {type: object, default: {a: 1}}
  text: {}
"""


@pytest.fixture
def read(checked):
    document = checked(FILE).document

    def run(**given):
        problems = Problems()
        values = read_params(
            document.params, given, place=checked(FILE).marked.place, problems=problems
        )
        return values, [one.message for one in problems.errors]

    return run


@pytest.fixture
def typed(checked):
    return lambda **texts: read_texts(checked(FILE).document.params, texts)


def test_defaults(read):
    assert read(n=3, text="t") == (
        {
            "n": 3,
            "x": 1.5,
            "s": "abc",
            "flag": False,
            "items": [1],
            "any": {"a": 1},
            "text": "t",
        },
        [],
    )


def test_all_that_is_wrong_at_once(read):
    _, problems = read(x="a", s="ap", flag=1, items={}, any=[], nn=1)
    assert problems == [
        "param 'nn' is not declared; did you mean 'n'?",
        "missing param 'n': use --set n=VALUE",
        "param 'x': expected float, got text 'a'",
        "param 's': 'ap' is not one of abc, eu, us",
        "param 'flag': expected bool, got int 1",
        "param 'items': expected list, got a mapping",
        "param 'any': expected object, got a list",
        "missing param 'text': use --set text=VALUE",
    ]


def test_a_whole_number_is_a_float_and_a_bool_is_no_number(read):
    values, problems = read(n=True, x=2, text="t")
    assert (values["x"], type(values["x"])) == (2.0, float)
    assert problems == ["param 'n': expected int, got bool true"]


def test_values_of_a_program_must_be_json(read):
    _, problems = read(n=1, text="t", items=[b"x"], any={1: 2})
    assert problems == [
        "param 'items': [0]: expected text, a number, a bool, null, a list or a mapping, got bytes",
        "param 'any': expected text as a key, got int 1; quote it to make it text",
    ]


def test_texts(typed):
    given = typed(n="012", x="3", s="5", flag="true", items="[a, 1]", any="{k: on}", text="1")
    assert given == {
        "n": 12,
        "x": 3.0,
        "s": "5",
        "flag": True,
        "items": ["a", 1],
        "any": {"k": "on"},
        "text": "1",
    }


def test_texts_that_do_not_fit_are_reported_with_all_else(typed, read):
    given = typed(n="3.5", flag="yes", items="[", zzz="1")
    assert read(**given)[1] == [
        "param 'zzz' is not declared",
        "param 'n': expected int, got text '3.5'",
        "param 'flag': expected bool, got text 'yes'",
        "param 'items': expected list, got text '['",
        "missing param 'text': use --set text=VALUE",
    ]


def test_the_text_of_a_value():
    assert read_text("list", "[1]") == [1]
    assert read_text("str", "[1]") == "[1]"
    with pytest.raises(ValueError, match="expected int, got a list"):
        read_text("int", "[1]")
    with pytest.raises(ValueError, match=r"expected object, got text '\{': "):
        read_text("object", "{")


def test_what_is_declared_is_checked(wrong):
    text = """\
    params:
      a: {type: int, default: x}
      b: {default: 3, choices: [1, 2]}
      c: {type: str, choices: [a, 1]}
      d: {type: number}
      e: 5
    """
    assert wrong(text.replace("  d: {type: number}\n", "").replace("  e: 5\n", "")) == [
        "a.yaml:2:27: param 'a': expected int, got text 'x'",
        "a.yaml:3:16: param 'b': 3 is not one of 1, 2",
        "a.yaml:4:31: param 'c': expected str, got int 1",
    ]


def test_what_types_there_are(wrong):
    assert wrong("params: {d: {type: number}, e: 5}") == [
        "a.yaml:1:20: params.d.type: expected str, int, float, bool, list or object, got text 'number'",
        "a.yaml:1:32: params.e: expected a type or a mapping, got int 5",
    ]
