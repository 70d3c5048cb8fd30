"""What templates give, in both styles; and `when`."""

from __future__ import annotations

import subprocess
import sys

import pytest
from markupsafe import Markup

from plait._strands._flows.marks import Raw
from plait._strands._flows.names import Names, Outputs
from plait._strands._flows.templates import (
    TemplateError,
    as_text,
    quotes_for_shell,
    split_words,
)
from tests.strands.flows.rendering import (
    DATA,
    NAMES,
    SCOPE,
    compiled,
    problems_of,
    problems_of_when,
    rendered,
    when,
)


def message(value: object, **options: object) -> str:
    with pytest.raises(TemplateError) as caught:
        rendered(value, **options)
    assert caught.value.kind == "template"
    assert str(caught.value) == caught.value.message
    return caught.value.message


# ------------------------------------------------------------------ the two styles


@pytest.mark.parametrize(
    ("key", "text", "native", "around"),
    [
        ("n", "5", 5, "x5"),
        ("f", "1.5", 1.5, "x1.5"),
        ("b", "True", True, "xtrue"),
        ("l", "[1, 'a']", [1, "a"], 'x[1, "a"]'),
        ("d", "{'k': 'v<&>'}", {"k": "v<&>"}, 'x{"k": "v<&>"}'),
        ("s", "text", "text", "xtext"),
        ("items", "a key, no method", "a key, no method", "xa key, no method"),
        ("template", "{{ 1 + 1 }}", "{{ 1 + 1 }}", "x{{ 1 + 1 }}"),
    ],
)
def test_the_old_style_gives_text_and_the_new_one_objects(key, text, native, around):
    lone = f"{{{{ flows.a.v.{key} }}}}"
    assert rendered(lone, "text") == text
    assert rendered(f"x{lone}", "text") == f"x{text}"
    assert rendered(lone) == native
    assert type(rendered(lone)) is type(native)
    assert rendered(f"x{lone}") == around
    # The same by code that Jinja makes: what is no look-up is compiled.
    by_code = f"{{{{ [flows.a.v][0].{key} }}}}"
    assert rendered(by_code, "text") == text
    assert rendered(by_code) == native
    assert rendered(f"x{by_code}") == around


def test_null_is_text_in_the_old_style_only():
    assert rendered("{{ flows.a.v.z }}", "text") == "None"
    assert rendered("{{ flows.a.v.z }}") is None
    template = "Bearer {{ flows.a.v.z }}"
    assert message(template) == "null inside text: Bearer {{ flows.a.v.z }}"
    assert message("x{{ [none][0] }}") == "null inside text: x{{ [none][0] }}"
    assert message("x" * 300 + "{{ none }}") == f"null inside text: {'x' * 200}..."


def test_a_lone_expression_gives_the_very_object():
    assert rendered("{{ flows.a.v }}") is DATA
    assert rendered("{{ flows.a.v.l }}") is DATA["l"]
    assert rendered("{{ flows.a.v.l }}\n") is DATA["l"]
    assert rendered("{# why #}{{ flows.a.v.l }}") is DATA["l"]
    assert rendered("{{ [flows.a.v.l][0] }}") is DATA["l"]
    assert rendered("{{ flows.a.v.n }} ") == "5 "


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ flows.a }}", {"v": DATA, "items": "of the step"}),
        ("{{ range(3) }}", [0, 1, 2]),
        ("{{ (1, 2) }}", [1, 2]),
        ("{{ ['a'] | map('upper') }}", ["A"]),
        ("{{ flows.a.v.d.items() }}", [["k", "v<&>"]]),
        ("{{ flows.a.v.d.keys() }}", ["k"]),
        ("{{ {'a': (1, ['b'] | map('upper'))} }}", {"a": [1, ["B"]]}),
        ("{{ [1, 2] | batch(1) }}", [[1], [2]]),
        ("{{ env }}", {"HOME": "/home"}),
        ("{{ sources.env }}", {"SET": "yes"}),
        ("{{ sources.api }}", {"type": "rest"}),
        ("{{ dict(a=1) }}", {"a": 1}),
        ("{{ '{\"a\": [1]}' | fromjson }}", {"a": [1]}),
    ],
)
def test_what_is_like_data_becomes_data(template, value):
    found = rendered(template)
    assert found == value
    assert type(found) is type(value)


def test_markup_becomes_plain_text():
    found = rendered("{{ flows.a.v.d | tojson }}")
    assert found == '{"k": "v\\u003c\\u0026\\u003e"}'
    assert type(found) is str
    (inside,) = rendered("{{ ['<' | escape] }}")
    assert (inside, type(inside)) == ("&lt;", str)
    assert type(rendered("x{{ '<' | escape }}")) is str
    assert not isinstance(rendered("{{ '<' | e }}", "text"), Markup)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ range }}", "template gave the function 'safe_range', which is no data"),
        ("{{ flows.a.v.d.get }}", "template gave the function 'get', which is no data"),
        ("{{ namespace(a=1) }}", "template gave a Namespace, which is no data"),
        ("{{ 'a'.encode() }}", "template gave a bytes, which is no data"),
        ("{{ [joiner()] }}", "template gave the function 'Joiner', which is no data"),
        ("{{ {1: 2} }}", "template gave a mapping with a key that is no text: 1"),
        ("{{ (-1) ** 0.5 }}", "template gave a complex, which is no data"),
    ],
)
def test_what_is_no_data_is_refused(template, text):
    assert message(template) == text


def test_strings_are_rendered_at_any_depth_and_keys_are_not():
    value = {"{{ k }}": ["{{ flows.a.v.n }}", {"x": "y{{ flows.a.v.n }}"}, 1, None, "z"]}
    assert rendered(value) == {"{{ k }}": [5, {"x": "y5"}, 1, None, "z"]}


def test_a_value_without_templates_is_given_back():
    value = {"a": [1, "text", {"b": "{# a comment stays #}\n"}]}
    tree, problems = compiled(value)
    assert not problems
    assert not tree.has_templates
    assert tree.render(NAMES) is value


def test_nothing_below_raw_is_rendered():
    value = {"a": Raw("{{ kept }}"), "b": [Raw(["{{ flows.zzz.o }}"])], "c": "{{ flows.a.v.n }}"}
    tree, problems = compiled(value)
    assert not problems
    assert [one.text for one in tree.references] == ["flows.a.v"]
    assert tree.render(NAMES) == {"a": "{{ kept }}", "b": [["{{ flows.zzz.o }}"]], "c": 5}
    alone, _ = compiled({"a": Raw({"b": Raw("{{ x }}")})})
    assert not alone.has_templates
    assert alone.render(NAMES) == {"a": {"b": "{{ x }}"}}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("l1\nl2\n", "l1\nl2"),
        ("a\n\n", "a\n"),
        ("a{# x #}b", "ab"),
        ("plain", "plain"),
        ("", ""),
        ("a\r\nb", "a\nb"),
        ("{{ flows.a.v.z }}", "None"),
    ],
)
def test_an_input_that_is_one_string_is_rendered_always_as_text(value, text):
    assert rendered(value, always=True) == text


def test_other_strings_are_rendered_only_with_blocks():
    for style in ("text", "native"):
        assert rendered("a{# k #}b\n", style) == "a{# k #}b\n"
        assert rendered("{# k #}{{ 1 }}\n", style) in {1, "1"}
        assert rendered("{% if true %}x{% endif %}\n", style) == "x"


def test_data_is_never_rendered_again():
    assert rendered("{{ flows.a.v.template }}", "text") == "{{ 1 + 1 }}"
    assert rendered("{{ flows.a.v.template }}", always=True) == "{{ 1 + 1 }}"
    assert rendered(["{{ flows.a.v.template }}"]) == ["{{ 1 + 1 }}"]
    assert rendered("{{ [flows.a.v.template] | join }}") == "{{ 1 + 1 }}"
    assert rendered("{{ flows.a.v.template.format(1) }}") == "{ 1 + 1 }"


def test_an_undefined_name_gives_nothing_if_that_is_asked_for():
    assert rendered("[{{ flows.a.v.nope }}]", "text", lenient=True) == "[]"
    assert rendered("{{ flows.a.v.nope }}", lenient=True) == ""
    assert rendered("{{ [flows.a.v.nope] }}", lenient=True) == [""]
    assert rendered("{% if flows.a.v.nope %}x{% endif %}", "text", lenient=True) == ""


# ------------------------------------------------------------------ keys win


def test_keys_win_over_methods():
    flows = {"a": Outputs("a", {"items": [1], "get": 2, "values": {"keys": 3}})}
    names = Names(flows=flows)
    scope = SCOPE.__class__(outputs={"a": ["items", "get", "values"]})
    for template, value in {
        "{{ flows.a.items }}": [1],
        "{{ flows.a['items'] }}": [1],
        "{{ flows.a.get }}": 2,
        "{{ flows.a.values.keys }}": 3,
        "{{ flows.a | attr('items') }}": [1],
        "{{ [flows.a] | map(attribute='get') | list }}": [2],
    }.items():
        assert rendered(template, names=names, scope=scope) == value


def test_methods_are_there_where_no_key_is():
    assert rendered("{{ flows.a.v.d.items() | list }}") == [["k", "v<&>"]]
    assert rendered("{{ flows.a.v.d.get('nope', 3) }}") == 3
    assert rendered("{{ flows.a.get('nope', 3) }}") == 3
    assert rendered("{{ 'a-b'.split('-') }}") == ["a", "b"]


# ------------------------------------------------------------------ messages


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ flows.a.v.nope }}", "'dict object' has no attribute 'nope'"),
        ("{{ flows.a.v.l[7] }}", "list object has no element 7"),
        ("{{ flows.a.v.nope.more }}", "'dict object' has no attribute 'nope'"),
        ("{{ flows.failing.o }}", "step 'failing' failed and has no output 'o'"),
        ("{{ flows['failing']['o'] }}", "step 'failing' failed and has no output 'o'"),
        ("{{ flows.skipped.o }}", "step 'skipped' was skipped and has no output 'o'"),
        ("{{ flows.a[['nope'][0]] }}", "step 'a' has no output 'nope'; it declares: v, items"),
        ("{{ env.NOPE }}", "environment variable 'NOPE' is not set"),
        ("{{ sources.env.UNSET }}", "environment variable 'UNSET' is not set"),
        ("{{ sources['env']['UNSET'] }}", "environment variable 'UNSET' is not set"),
        ("{{ params[['x'][0]] }}", "param 'x' is not declared"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ 'x' | fromjson }}", "fromjson: no JSON: Expecting value: line 1 column 1 (char 0)"),
        ("{{ cycler.__init__ }}", "access to attribute '__init__' of 'type' object is unsafe."),
    ],
)
def test_what_cannot_be_rendered_says_why(template, text):
    assert message(template) == text
    assert message(template, style="text") == text
    assert message(f"x{template}") == text


def test_a_step_that_is_no_dependency():
    scope = SCOPE.__class__(outputs={"x": ["o"]}, ordered=True)
    names = NAMES.of_step({}, "y")
    text = message("{{ flows['x'].o }}", scope=scope, names=names)
    assert text == "step 'x' is not a dependency of 'y'; add it to depends_on"


def test_what_is_undefined_may_have_a_default():
    for template in (
        "{{ flows.failing.o | default('d') }}",
        "{{ sources.env.UNSET | default('d') }}",
        "{{ env.NOPE or 'd' if env.NOPE is defined else 'd' }}",
        "{{ flows.a.v.nope | d('d') }}",
    ):
        assert rendered(template) == "d"
    assert rendered("{{ flows.failing.error.message }}") == "why"


def test_names_of_a_run_and_of_an_item():
    names = NAMES.extended({"item": {"id": 3}, "index": 0, "matrix": {"size": 1}})
    scope = SCOPE.with_names("item", "index", "matrix")
    text = (
        "{{ item.id }}{{ index }}{{ matrix.size }}{{ run.id }}{{ params.region }}{{ secrets.key }}"
    )
    assert rendered(text, names=names, scope=scope) == "301r1eus3cret"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ oops", "unexpected end of template, expected 'end of print statement'."),
        ("{{ 1 | nope }}", "No filter named 'nope'."),
        ("{{ 1 is nope }}", "No test named 'nope'."),
        ("{% if false %}{{ 1 | nope }}{% endif %}", "No filter named 'nope'."),
        ("{% nope %}", "Encountered unknown tag 'nope'."),
        ("{% include 'x' %}", "'include' loads another template, and there is none to load"),
        ("{% extends 'x' %}", "'extends' loads another template, and there is none to load"),
        ("{% import 'x' as y %}", "'import' loads another template, and there is none to load"),
        ("{% from 'x' import y %}", "'import' loads another template, and there is none to load"),
        ("{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}", "template is nested too deeply"),
    ],
)
def test_what_cannot_be_compiled_is_a_problem(template, text):
    assert problems_of(template) == [f"template: {text}"]


def test_loops_nested_too_deep_for_python_are_a_problem():
    loops = "{% for a in [1] %}" * 30 + "x" + "{% endfor %}" * 30
    (text,) = problems_of(loops)
    assert text.startswith("template: ")


# ------------------------------------------------------------------ text where an option wants text


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (5, "5"), (1.5, "1.5"), (True, "true"), ([1, "a"], '[1, "a"]'), ({}, "{}")],
)
def test_an_object_as_text(value, text):
    assert as_text(value, "{{ x }}") == text


def test_null_is_no_text():
    with pytest.raises(TemplateError, match=r"^null inside text: {{ x }}$"):
        as_text(None, "{{ x }}")


# ------------------------------------------------------------------ when


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (True, True),
        (False, False),
        ("flows.a.v.b", True),
        ("{{ flows.a.v.b }}", True),
        (" {{ flows.a.v.n > 5 }}\n", False),
        ("flows.a.v.n", True),
        ("flows.a.v.z", False),
        ("[]", False),
        ("params.region == 'eu' and not flows.a.v.z", True),
        ("params.region == '{{'", False),
        ("flows.failing.o is defined", False),
    ],
)
def test_when(value, answer):
    assert when(value) is answer


def test_a_text_is_no_condition():
    for value in ("{{ 'false' }}", "'false'", "{{ 'false' | escape }}"):
        with pytest.raises(TemplateError) as caught:
            when(value)
        assert caught.value.kind == "when"
        expected = "when gave the text 'false'; compare it, e.g. params.x == 'true'"
        assert caught.value.message == expected


def test_an_error_in_a_condition_is_one_of_the_template():
    with pytest.raises(TemplateError) as caught:
        when("flows.a.v.nope == 1")
    assert caught.value.kind == "template"
    assert caught.value.message == "'dict object' has no attribute 'nope'"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "  ",
        "{{ flows.a.v }} and {{ flows.a.v }}",
        "flows.a.v == {{ flows.a.v }}",
        "x {{ flows.a.v }}",
        "{% if true %}x{% endif %}",
        "{{ 1 }} x",
        "1 2",
    ],
)
def test_a_condition_is_one_expression(value):
    assert problems_of_when(value) == ["when must be one expression"]


def test_a_condition_with_a_fault():
    assert problems_of_when("flows.a.v ==") == ["template: unexpected 'end of template'"]
    assert problems_of_when("{{ flows.a.v == }}")[0].startswith("template: ")
    (undefined,) = problems_of_when("steps.a")
    assert undefined.startswith("'steps' is undefined; templates know: env, flows, ")


# ------------------------------------------------------------------ commands


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo a | cat; echo $HOME", ["echo", "a", "|", "cat;", "echo", "$HOME"]),
        ("echo {{ flows.a.o }}", ["echo", "{{ flows.a.o }}"]),
        ("echo x{{ a b }}y z", ["echo", "x{{ a b }}y", "z"]),
        ("echo \"p {{ x['k'] }} q\"", ["echo", "p {{ x['k'] }} q"]),
        ("echo {{ '}}' }} b", ["echo", "{{ '}}' }}", "b"]),
        ("echo {{ {'a': {'b': 1}} }} c", ["echo", "{{ {'a': {'b': 1}} }}", "c"]),
        ("echo {{- a -}} c", ["echo", "{{- a -}}", "c"]),
        ("echo {% raw %}{{ x }}{% endraw %} c", ["echo", "{% raw %}{{ x }}{% endraw %}", "c"]),
        ("echo {# a b #}{{ x }}", ["echo", "{# a b #}{{ x }}"]),
        ("{{ a }}{{ b }} {{ c }}", ["{{ a }}{{ b }}", "{{ c }}"]),
        ("echo '{{ \"it''s\" }}'", ["echo", "{{ \"it''s\" }}"]),
        ("echo \ue000 {{ x }}", ["echo", "\ue000", "{{ x }}"]),
        ("", []),
    ],
)
def test_a_command_is_split_before_it_is_rendered(text, words):
    assert split_words(text) == words


@pytest.mark.parametrize("text", ["echo 'a", "echo {{ x", "echo {% if", "a {# b {{"])
def test_a_command_that_cannot_be_split(text):
    with pytest.raises(ValueError):
        split_words(text)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("echo $X", True),
        ("echo {{ flows.a.v | shquote }}", True),
        ("echo {{ flows.a.v | upper | shquote }} {{ 1 | shquote }}", True),
        ("echo {{ flows.a.v }}", False),
        ("echo {{ flows.a.v | shquote | upper }}", False),
        ("echo {{ 1 | shquote }} {% for x in [1] %}{{ x }}{% endfor %}", False),
        ("echo {% macro m() %}{{ 1 }}{% endmacro %}{{ m() | shquote }}", False),
    ],
)
def test_templates_for_a_shell_are_quoted(text, answer):
    assert quotes_for_shell(text) is answer


def test_shquote():
    assert rendered("{{ 'a b; c' | shquote }}") == "'a b; c'"
    assert rendered("{{ flows.a.v.l | shquote }}") == "'[1, \"a\"]'"
    assert message("{{ none | shquote }}").startswith("null inside text: ")


# ------------------------------------------------------------------ what is loaded


def test_jinja_and_jmespath_are_loaded_when_they_are_needed():
    program = (
        "import sys\n"
        "from tests.strands.flows.rendering import rendered, when\n"
        "import plait._strands._flows.outputs\n"
        "assert rendered({'a': ['x', 1]}) == {'a': ['x', 1]}\n"
        "assert rendered('x', always=True) == 'x'\n"
        "assert when(True)\n"
        "assert not {'jinja2', 'jmespath', 'markupsafe'} & {*sys.modules}\n"
        "rendered('{{ 1 }}')\n"
        "assert 'jinja2' in sys.modules and 'jmespath' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_missing_library_is_named():
    program = (
        "import sys\n"
        "sys.modules['jinja2'] = sys.modules['jmespath'] = None\n"
        "from plait._strands._flows.grammar import Out\n"
        "from plait._errors import MissingExtra\n"
        "from tests.strands.flows.rendering import rendered\n"
        "from tests.strands.flows.test_outputs import outputs_of\n"
        "for name, use in {\n"
        "    'jinja2': lambda: rendered('{{ 1 }}'),\n"
        "    'jmespath': lambda: outputs_of(Out(name='o', type='jmespath', value='a')),\n"
        "}.items():\n"
        "    try:\n"
        "        use()\n"
        "    except MissingExtra as error:\n"
        "        text = f\"flow files need {name}. Type: pip install 'plait[flows]'\"\n"
        "        assert str(error) == text, error\n"
        "    else:\n"
        "        raise AssertionError(name)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
