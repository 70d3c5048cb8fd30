"""What a template refers to, from its syntax tree; and what it may not refer to."""

from __future__ import annotations

import attrs
import pytest

from tests.strands.flows.rendering import SCOPE, compiled, problems_of


def texts(value: object) -> list[str]:
    tree, problems = compiled(value)
    assert not problems
    return [one.text for one in tree.references]


@pytest.mark.parametrize(
    "template",
    [
        "{{ flows.a.v }}",
        "{{flows.a.v}}",
        "{{ flows['a'].v }}",
        "{{ flows.a['v'] }}",
        '{{ flows["a"]["v"] }}',
        "{{ flows.a.v.deeper[0].x }}",
        "{{ flows.a.v | tojson }}",
        "{{ [1, {'k': flows.a.v}] }}",
        "{{ range(flows.a.v) }}",
        "{{ flows.a.v.upper() }}",
        "{{ 'x' if flows.a.v else 'y' }}",
        "{% if flows.a.v %}x{% endif %}",
        "{% for x in flows.a.v %}{{ x }}{% endfor %}",
        "{% set y = flows.a.v %}{{ y }}",
        "{% filter upper %}{{ flows.a.v }}{% endfilter %}",
        "{% macro m(p=flows.a.v) %}{{ p }}{% endmacro %}{{ m() }}",
        "{{ 1 is divisibleby(flows.a.v) }}",
        "{{ 'x' ~ flows.a.v }}",
        "{{ -flows.a.v + 1 }}",
        "{{ {'k': 1}[flows.a.v] }}",
        "{% raw %}{{ flows.zzz }}{% endraw %}{{ flows.a.v }}",
    ],
)
def test_every_spelling_is_an_edge(template):
    assert texts(template) == ["flows.a.v"]
    (reference,) = compiled(template)[0].references
    assert (reference.kind, reference.name, reference.output) == ("flows", "a", "v")
    assert not reference.vague


def test_a_step_without_an_output():
    for template in ("{{ flows.a }}", "{{ flows['a'] | tojson }}", "{{ flows.a[params.region] }}"):
        reference = compiled(template)[0].references[0]
        assert (reference.name, reference.output, reference.text) == ("a", None, "flows.a")


def test_methods_of_the_outputs_are_no_outputs():
    (reference,) = compiled("{{ flows.a.keys() }}")[0].references
    assert (reference.name, reference.output) == ("a", None)
    (reference,) = compiled("{{ flows.a.items() }}")[0].references
    assert reference.output == "items"  # the step declares one of that name


def test_names_that_need_brackets():
    assert texts("{{ flows['a-b'].v }}") == ["flows['a-b'].v"]


def test_prose_comments_and_strings_do_not_count():
    for text in (
        "see flows.zzz.html",
        "{# flows.zzz.o #}{{ 1 }}",
        '{{ "flows.zzz.o" }}',
        "{% raw %}{{ flows.zzz.o }}{% endraw %}",
        "x.flows.zzz {{ params.region }}",
        "{{ {'flows': {'zzz': 1}}.flows.zzz }}",
    ):
        tree, problems = compiled(text, always=True)
        assert not problems
        assert not [one for one in tree.references if one.kind == "flows"]


def test_references_have_their_places():
    value = {"headers": {"X": "{{ flows.a.v }}"}, "l": ["{{ flows['a-b'].v }}"]}
    found = [(one.text, one.path, one.place.path) for one in compiled(value)[0].references]
    headers, item = ("input", "headers", "X"), ("input", "l", 0)
    assert found == [("flows.a.v", headers, headers), ("flows['a-b'].v", item, item)]


def test_a_missing_step_is_left_to_who_knows_depends_on():
    assert texts("{{ flows.zzz.o }}") == ["flows.zzz.o"]


VAGUE = [
    "{{ flows }}",
    "{% set f = flows %}{{ f.a.v }}",
    "{{ flows[params.region] }}",
    "{% for name in flows %}{{ name }}{% endfor %}",
    "{% for k, v in flows.items() %}{{ k }}{% endfor %}",
    "{{ flows | list }}",
    "{{ flows | attr('a') }}",
    "{{ flows.get('a') }}",
    "{{ flows[0] }}",
    "{{ flows['a' ~ 'b'] }}",
    "{% set flows = flows %}{{ flows.a.v }}",
    "{% if params.region %}{% set flows = {'b': {}} %}{% endif %}{{ flows.b.o }}",
]


@pytest.mark.parametrize("template", VAGUE)
def test_flows_used_otherwise_is_a_problem(template):
    text = "cannot tell which steps this template means; add depends_on"
    assert problems_of(template) == [text]


@pytest.mark.parametrize("template", VAGUE)
def test_unless_the_step_has_a_depends_on(template):
    tree, problems = compiled(template, scope=attrs.evolve(SCOPE, ordered=True))
    assert not problems
    assert [one for one in tree.references if one.vague]


def test_a_local_name_is_not_the_steps():
    tree, problems = compiled("{% for flows in [{'x': 1}] %}{{ flows.x }}{% endfor %}")
    assert not problems
    assert not tree.references


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ flows.a.nope }}", "step 'a' has no output 'nope'; it declares: v, items"),
        ("{{ flows.a['nope'] }}", "step 'a' has no output 'nope'; it declares: v, items"),
        ("{{ params.regio }}", "param 'regio' is not declared; did you mean 'region'?"),
        ("{{ params['x'] }}", "param 'x' is not declared"),
        ("{{ secrets.x }}", "secret 'x' is not declared"),
        ("{{ sources.x.Y }}", "source 'x' is not declared"),
        ("{{ steps.a.x }}", "'steps' is undefined; templates know: env, flows, params, run, secrets, sources"),
        ("{{ item }}", "'item' is undefined; templates know: env, flows, params, run, secrets, sources"),
        ("{{ self }}", "'self' is undefined; templates know: env, flows, params, run, secrets, sources"),
        ("{{ loop.index }}", "'loop' is undefined; templates know: env, flows, params, run, secrets, sources"),
        ("{{ result }}", "'result' is undefined; templates know: env, flows, params, run, secrets, sources"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_a_problem(template, text):
    assert problems_of(template) == [text]


def test_an_output_of_a_step_that_declares_none():
    scope = attrs.evolve(SCOPE, outputs={"a": []})
    text = "step 'a' has no output 'v'; it declares: none"
    assert problems_of("{{ flows.a.v }}", scope=scope) == [text]


def test_the_error_of_a_step_is_always_allowed():
    assert texts("{{ flows.failing.error.message }}") == ["flows.failing.error"]


@pytest.mark.parametrize(
    "template",
    [
        "{{ range(2) }}{{ dict() }}{{ lipsum }}{{ cycler }}{{ joiner }}{{ namespace }}",
        "{% for x in [1] %}{{ loop.index }}{{ x }}{% endfor %}",
        "{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{{ caller() }}{% endmacro %}{{ m }}",
        "{% set ns = namespace(x=1) %}{% set ns.x = 2 %}{{ ns.x }}",
        "{% with x = 1 %}{{ x }}{% endwith %}",
        "{% set x %}y{% endset %}{{ x }}",
        "{{ true }}{{ none }}{{ False }}",
    ],
)
def test_what_jinja_gives_and_what_a_template_defines_is_known(template):
    assert problems_of(template) == []


@pytest.mark.parametrize(
    "template",
    [
        "{% for x in [1] %}{% endfor %}{{ x }}",
        "{% macro m(x) %}{% endmacro %}{{ x }}",
        "{% with x = x %}{% endwith %}",
        "{% set ns.x = 2 %}",
    ],
)
def test_a_local_name_is_known_only_where_it_is_one(template):
    (text,) = problems_of(template)
    assert "is undefined; templates know: env, flows, " in text


def test_names_of_items_are_known_where_there_are_some():
    scope = SCOPE.with_names("item", "index")
    assert problems_of("{{ item.x }}{{ index }}", scope=scope) == []
    (text,) = problems_of("{{ matrix }}", scope=scope)
    assert text.endswith("templates know: env, flows, index, item, params, run, secrets, sources")


def test_all_that_is_wrong_comes_at_once():
    found = problems_of(["{{ steps }}", "{{ flows.a.nope }}", "{{ oops", "{{ params.x }}"])
    assert len(found) == 4
