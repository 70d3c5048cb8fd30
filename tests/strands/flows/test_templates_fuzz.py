"""Any text, as a template: it is refused, or it gives a value, or it says why not. Nothing else happens."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from plait._strands._flows.grammar import Out
from plait._strands._flows.outputs import OutputError, compile_outputs, take
from plait._strands._flows.problems import Place, Problems
from plait._strands._flows.references import Use
from plait._strands._flows.sandbox import caps, program
from plait._strands._flows.templates import (
    Style,
    TemplateError,
    compile_when,
    has_blocks,
    quotes_for_shell,
    split_words,
)
from tests.strands.flows.rendering import NAMES, SCOPE, compiled, place_of

WORDS = [
    "{{", "}}", "{%", "%}", "{#", "#}", "{{-", "-}}", "flows", ".a", ".v", "['a']", "['v']", ".items",
    "params", ".region", "env", "sources", "secrets.key", "run", "item", "self", "loop", "caller",
    "range(3)", "dict", "lipsum", "cycler", "joiner", "namespace", "(", ")", "[", "]", "{", "}", ",",
    "'x'", '"y"', "1", "0", "9999999999", "1.5", "none", "true", "+", "-", "*", "**", "/", "//", "%",
    "~", "|", "upper", "tojson", "join", "center", "format", "replace", "map", "attr", "list", "sum",
    "default", "round", "shquote", "fromjson", "is", "in", "not", "and", "or", "if", "else", "elif",
    "endif", "for", "x", "endfor", "set", "endset", "=", "==", "macro", "m()", "endmacro", "call",
    "endcall", "filter", "endfilter", "with", "endwith", "block", "b", "endblock", "raw", "endraw",
    "include", "import", "extends", "autoescape", "endautoescape", "__class__", ".__init__", "\n", " ",
    ":", "recursive", "odd", "defined", "slice(2)", "batch(2)", "é", "\\", "\x00", "1e400", "0x1f",
]  # fmt: skip

TEXTS = st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join) | st.text(max_size=40)
EXPRESSIONS = st.lists(st.sampled_from(WORDS[8:]), max_size=10).map(
    lambda words: "{{ " + " ".join(words) + " }}"
)


def is_data(value: Any) -> bool:
    match value:
        case None | bool() | int() | float():
            return True
        case str():
            return type(value) is str
        case list():
            return type(value) is list and all(map(is_data, value))
        case dict():
            return type(value) is dict and all(map(is_data, [*value, *value.values()]))
        case _:
            return False


@pytest.fixture(autouse=True)
def small_limits(monkeypatch):
    """What a template may do is so little here that each example is quick."""
    monkeypatch.setattr(caps, "TURNS", 2000)
    monkeypatch.setattr(caps, "TEXT", 10_000)


def check(text: str, style: Style, *, always: bool, lenient: bool) -> None:
    tree, problems = compiled(text, style, always=always, lenient=lenient)
    if problems:
        assert all(problem.startswith("input: ") for problem in problems)
        return
    failure: TemplateError | None = None
    value: object = None
    try:
        value = tree.render(NAMES)
    except TemplateError as error:
        failure = error
    if failure is not None:
        assert failure.message
        assert failure.kind == "template"
    else:
        assert is_data(value)
        if always or style == "text" or not has_blocks(text):
            assert type(value) is str


@settings(deadline=None, max_examples=400)
@given(TEXTS | EXPRESSIONS, st.sampled_from(["text", "native"]), st.booleans(), st.booleans())
def test_any_text_is_refused_or_gives_data_or_says_why(text, style, always, lenient):
    check(text, style, always=always, lenient=lenient)


HARD = [
    "{{ [[[[[[" + "[" * 3000,
    "{{ 1" + " + 1" * 3000 + " }}",
    "{{ x" + ".y" * 3000 + " }}",
    "{{ " + "9" * 5000 + " }}",
    "{{ 'x' " + "| upper " * 900 + " }}",
    "{% if 1 %}" * 200 + "x" + "{% endif %}" * 200,
    "{% set flows.a = 1 %}",
    "{% set x, y = 1 %}",
    "{% block a %}{{ self.a() }}{% endblock %}",
    "{% block a %}{{ super() }}{% endblock %}",
    "{{ flows.a.v.n is in flows.a.v.n }}",
    "{{ '\\ud800' }}{{ '\ud800' }}",
    "{{ __class__ }}{{ False }}",
    "{{ params.__class__ }}",
    "{% macro flows(flows=flows) %}{{ flows }}{% endmacro %}{{ flows() }}",
]


@pytest.mark.parametrize("style", ["text", "native"])
@pytest.mark.parametrize("text", HARD, ids=lambda text: ascii(text[:20]))
def test_texts_that_are_hard(text, style):
    check(text, style, always=False, lenient=False)
    check(text, style, always=True, lenient=True)


@settings(deadline=None, max_examples=200)
@given(TEXTS | EXPRESSIONS)
def test_any_text_as_a_condition(text):
    problems = Problems()
    found = compile_when(text, path=("when",), place=place_of, problems=problems, scope=SCOPE)
    if problems.errors:
        return
    assert not isinstance(found, bool)
    answer: object = None
    try:
        answer = found.evaluate(NAMES)
    except TemplateError as error:
        answer = error.kind
    assert answer in {True, False, "template", "when"}


@settings(deadline=None, max_examples=200)
@given(TEXTS)
def test_any_text_as_a_command(text):
    assert quotes_for_shell(text) in {True, False}
    try:
        words = split_words(text)
    except ValueError:
        return
    assert all(isinstance(word, str) for word in words)


LOOK_UPS = st.lists(
    st.sampled_from([".a", ".v", ".d", ".k", ".l", "[0]", "['v']", ".items", ".nope", "._x"]),
    max_size=5,
).map("".join)
ROOTS = st.sampled_from(["flows", "env", "sources", "params", "secrets", "run"])


@settings(deadline=None)
@given(st.lists(st.tuples(ROOTS, LOOK_UPS), min_size=1, max_size=2), st.booleans())
def test_look_ups_give_what_the_code_of_jinja_gives(look_ups, lone):
    """A template of look-ups only is not compiled. It must not be seen."""
    first, *_ = plain = ["".join(one) for one in look_ups]
    simple = f"{{{{ {first} }}}}" if lone else "".join(f"x{{{{ {one} }}}}" for one in plain)
    by_code = f"{{{{ ({first}) if true }}}}" if lone else simple + "{% if true %}{% endif %}"
    for style in ("text", "native"):
        fast = program.compiled(program.parse(simple), style)
        slow = program.compiled(program.parse(by_code), style)
        assert type(fast) is not type(slow)
        answers = []
        for each in (fast, slow):
            try:
                answers.append((True, each.run(NAMES.values)))
            except TemplateError as error:
                answers.append((False, error.message.replace(by_code, simple)))
        assert answers[0] == answers[1]


@given(st.lists(st.sampled_from(["a", "v", "items", "x y", "'", "é"]), min_size=1, max_size=3))
def test_keys_are_found_however_they_are_written(keys):
    chain = "flows" + "".join(f"[{json.dumps(key)}]" for key in keys)
    parsed = program.parse(f"{{{{ {chain} }}}}")
    assert parsed.uses == (Use("flows", tuple(keys)),)


# ------------------------------------------------------------------ selectors

SELECTOR_WORDS = [
    "a", "b", ".", "[", "]", "[?", "[]", "[*]", "*", "|", "||", "&&", "!", "==", "<", "`1`", "'x'",
    "@", "&", "{", "}", ":", ",", "(", ")", "length(", "sort_by(", "split(", "from_json(", "0", "-1",
    "1:2", "map(", '"q"', "join(", "to_number(", "sum(", "`[", "é", "max_by(", "merge(", "not_null(",
]  # fmt: skip
DATA = [None, 1, "x", [], {"a": [{"b": 1}, {"b": "x"}], "b": "1,2"}, [[1], [2, [3]]], math.nan]


@settings(deadline=None, max_examples=400)
@given(
    st.lists(st.sampled_from(SELECTOR_WORDS), max_size=10).map("".join) | st.text(max_size=20),
    st.sampled_from(DATA),
)
@example("a" + ".a" * 5000, {})
@example("[" * 5000, {})
@example("`" + "9" * 5000 + "`", {})
@example("sort(@)", [1, "a"])
@example("split(b, '')", {"b": "x"})
@example("a[::0]", {"a": [1]})
@example("max_by(@, &b)", [{"b": None}])
@example("to_string(@)", {"a": math.nan})
def test_any_text_as_a_selector(text, data):
    problems = Problems()
    outputs = compile_outputs(
        [Out(name="o", type="jmespath", value=text)],
        step="a",
        provider="rest",
        place=lambda path: Place(path=path),
        problems=problems,
    )
    if problems.errors:
        (error,) = problems.errors
        assert error.message.startswith(("invalid jmespath ", "output 'o' needs a value"))
        assert "\n" not in error.message.replace(repr(text), "")
        return
    warnings: list[str] = []
    try:
        found = take(outputs, data, warn=warnings.append)
    except OutputError:
        return
    assert not warnings or found == {"o": None}
