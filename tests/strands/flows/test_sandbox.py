"""What a template cannot do, whatever it says: reach out, change data, make too much, go on for ever."""

from __future__ import annotations

import copy
import threading
import tracemalloc
from collections.abc import Iterator, Mapping

import pytest

from plait._strands._flows.names import Names, Outputs
from plait._strands._flows.references import Scope
from plait._strands._flows.sandbox import caps
from plait._strands._flows.templates import TemplateError
from tests.strands.flows.rendering import compiled, rendered

MIB = 1024 * 1024


def refused(template: str, **options: object) -> str:
    with pytest.raises(TemplateError) as caught:
        rendered(template, **options)
    return caught.value.message


# ------------------------------------------------------------------ reaching out

UNSAFE = [
    "{{ cycler.__init__.__globals__.os.popen('touch x').read() }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ [].__class__.__base__ }}",
    "{{ ().__class__ }}",
    "{{ flows.__class__ }}",
    "{{ flows.a[['_values'][0]] }}",
    "{{ flows.a[['_state'][0]] }}",
    "{{ (flows.a | attr('_missing'))('x') }}",
    "{{ env._values }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ lipsum.__globals__ }}",
    "{{ lipsum.__globals__['os'] }}",
    "{{ range.__self__ }}",
    "{{ dict.__subclasses__() }}",
    "{{ dict.mro() }}",
    "{{ cycler.mro() }}",
    "{{ cycler('a').__class__ }}",
    "{{ cycler.current.fget.__globals__ }}",
    "{{ cycler.next.__globals__ }}",
    "{{ namespace(a=1).__class__ }}",
    "{{ 'x'.upper.__self__ }}",
    "{{ 'x'.join.__class__ }}",
    "{{ (1).__class__ }}",
    "{{ none.__class__ }}",
    "{{ 'x' | attr('__class__') }}",
    "{{ 'x' | attr('_' ~ '_class__') }}",
    "{{ ['x'] | map('attr', '__class__') | map('string') | list }}",
    "{{ ['x'] | selectattr('__class__') | list }}",
    "{{ ['x'] | sum(attribute='__class__') }}",
    "{{ ['x'] | join(attribute='__class__') }}",
    "{{ ['x'] | unique(attribute='__class__') | list }}",
    "{{ '{0.__class__}'.format('x') }}",
    "{{ '{0.__class__.__mro__}'.format('x') }}",
    "{{ '{x.__class__}'.format(x='x') }}",
    "{{ '{x[__class__]}'.format_map({'x': 'y'}) }}",
    "{{ '{x.__class__}'.format_map({'x': 'y'}) }}",
    "{{ ('{0.__class__}' | safe).format('x') }}",
    "{{ ('{0.__class__}'.format)('x') }}",
    "{{ ('{0.__class__}' | attr('format'))('x') }}",
    "{% set f = '{0.__class__}'.format %}{{ f('x') }}",
    "{% macro m() %}{% endmacro %}{{ m.__class__ }}",
    "{% macro m() %}{% endmacro %}{{ m._func }}",
    "{% for x in [1] %}{{ loop.__class__ }}{{ loop._iterator }}{% endfor %}",
    "{{ [1] | map('string') | attr('gi_frame') }}",
    "{{ ([1] | map('string')).gi_frame.f_globals }}",
    "{{ ([1] | map('string')).gi_code }}",
]


@pytest.mark.parametrize("template", UNSAFE)
@pytest.mark.parametrize("style", ["text", "native"])
def test_no_way_out(template, style):
    text = refused(template, style=style)
    assert "is unsafe" in text or "has no attribute" in text or "has no element" in text, text


HARMLESS = [
    "{{ ['x'] | map(attribute='__class__') | list | string }}",
    "{{ ['x'] | groupby('__class__') | string }}",
    "{{ ['x'] | sort(attribute='__class__') }}",
    "{{ ['x'] | max(attribute='__class__') }}",
    "{{ '{0.x}'.format({'x': 1}) }}",
    "{{ flows.a }}",
    "{{ flows.a.v.d.items() | string }}",
    "{{ range | string }}",
]


@pytest.mark.parametrize("template", HARMLESS)
def test_what_goes_through_shows_nothing(template):
    for style in ("text", "native"):
        text = str(rendered(template, style))
        assert "class" not in text
        assert "_values" not in text


CHANGES = [
    "{{ flows.a.v.l.append(1) }}",
    "{{ flows.a.v.l.clear() }}",
    "{{ flows.a.v.l.pop() }}",
    "{{ flows.a.v.l.sort() }}",
    "{{ flows.a.v.l.reverse() }}",
    "{{ flows.a.v.l.extend([1]) }}",
    "{{ flows.a.v.d.update({'k': 1}) }}",
    "{{ flows.a.v.d.pop('k') }}",
    "{{ flows.a.v.d.clear() }}",
    "{{ flows.a.v.d.setdefault('x', 1) }}",
    "{{ flows.a.v.d.popitem() }}",
    "{{ flows.a.v.d['clear']() }}",
    "{{ (flows.a.v.d | attr('clear'))() }}",
    "{% set flows.a.v.d = 1 %}",
    "{% set d = flows.a.v.d %}{% set d.k = 1 %}",
]


@pytest.mark.parametrize("template", CHANGES)
def test_data_cannot_be_changed(template):
    data = {"l": [3, 1, 2], "d": {"k": "v"}}
    before = copy.deepcopy(data)
    names = Names(flows={"a": Outputs("a", {"v": data})})
    with pytest.raises((TemplateError, AssertionError)):
        rendered(template, names=names)
    assert data == before


def test_the_environment_of_the_process_cannot_be_changed(monkeypatch):
    import os

    monkeypatch.setenv("SOME", "value")
    names = Names(flows={}, env=os.environ)
    assert rendered("{{ env.SOME }}", names=names) == "value"
    for call in (
        "clear()",
        "pop('SOME')",
        "update({})",
        "setdefault('A', 'b')",
        "putenv('A', 'b')",
    ):
        refused(f"{{{{ env.{call} }}}}", names=names)
    assert os.environ["SOME"] == "value"


# ------------------------------------------------------------------ making too much

BIG = "x" * (12 * MIB)
#: A list of two of the list of two of ...: 64 small lists, and 2**64 numbers when it is written.
NESTED = (
    "{% set ns = namespace(s=[1]) %}"
    "{% for i in range(64) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}"
)
LONG = [
    "{{ 'a' * 10**9 }}",
    "{{ 10**9 * 'a' }}",
    "{{ [0] * 10**9 }}",
    "{{ (0,) * 10**9 }}",
    "{{ 10 ** (10 ** 10) }}",
    "{{ 2 ** (10 ** 9) }}",
    "{% set ns = namespace(n=3) %}{% for i in range(64) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%*d' % (10**9, 1) }}",
    "{{ '%.1000000000f' % 1.0 }}",
    "{{ ('%1000000000d' | safe) % 1 }}",
    "{{ '%1000000000d'.encode() % 1 }}",
    "{{ '%(x)1000000000d' % {'x': 1} }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ '%(x)s%(x)s' | format(x=params.big) }}",
    "{{ '%s%s' % (params.big, params.big) }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ '{:>{}}'.format(1, 10**9) }}",
    "{{ '{:{w}}'.format(1, w=10**9) }}",
    "{{ '{:.1000000000f}'.format(1.0) }}",
    "{{ '{0}{0}'.format(params.big) }}",
    "{{ ('{0}{0}' | safe).format(params.big) }}",
    "{{ '{x}{x}'.format_map({'x': params.big}) }}",
    "{{ 'a' | center(10**9) }}",
    "{{ 'a'.center(10**9) }}",
    "{{ 'a'.ljust(10**9) }}",
    "{{ 'a'.rjust(10**9) }}",
    "{{ 'a'.zfill(10**9) }}",
    "{{ ('a' | attr('center'))(10**9) }}",
    "{{ ['a'] | map('center', 10**9) | list }}",
    "{{ 'a'.encode().center(10**9) }}",
    "{{ '\t'.expandtabs(10**9) }}",
    "{{ '\t'.expandtabs(tabsize=10**9) }}",
    "{{ (1).to_bytes(10**9, 'big') }}",
    "{{ (1).to_bytes(length=10**9, byteorder='big') }}",
    "{{ params.big | replace('x', 'xx') }}",
    "{{ params.big.replace('x', 'xx') }}",
    "{{ 'ab' | replace('', params.big) }}",
    "{{ params.big.translate({120: 'xx'}) }}",
    "{{ [params.big, params.big] | join }}",
    "{{ [1, 2, 3] | join(params.big) }}",
    "{{ [{'k': params.big}, {'k': params.big}] | map(attribute='k') | join }}",
    "{{ ([{'k': params.big}] * 2) | join(attribute='k') }}",
    "{{ params.big.join(['a', 'b', 'c']) }}",
    "{{ ''.join([params.big, params.big]) }}",
    "{{ ''.join([params.big, params.big] | map('string')) }}",
    "{{ params.big ~ params.big }}",
    "{{ params.big + params.big }}",
    "{{ (params.big | safe) + params.big }}",
    "{% autoescape true %}{{ params.big ~ params.big }}{% endautoescape %}",
    "{{ params.big }}{{ params.big }}",
    "{% set x %}{{ params.big }}{{ params.big }}{% endset %}",
    "{% macro m() %}{{ params.big }}{{ params.big }}{% endmacro %}{{ m() }}",
    "{% filter upper %}{{ params.big }}{{ params.big }}{% endfilter %}",
    "{% for i in range(100000) %}{{ params.big }}{% endfor %}",
    "{% set ns = namespace(s='a') %}{% for i in range(64) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "{% set ns = namespace(s='a') %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "{% set ns = namespace(s=[1]) %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "{% set ns = namespace(s='a') %}{% for i in range(64) %}{% set ns.s = ns.s | replace('a', 'aa') %}{% endfor %}",
    NESTED + "{{ ns.s }}",
    NESTED + "{{ ns.s|tojson }}",
    NESTED + "{{ ns.s|string }}",
    NESTED + "{{ ns.s|pprint }}",
    NESTED + "{{ '%s' % ns.s }}",
    NESTED + "{{ 'x' ~ ns.s }}",
    NESTED + "{{ '{}'.format(ns.s) }}",
    "{{ 'a\nb' | indent(10**9) }}",
    "{{ 'a' | indent(params.big, true) ~ params.big }}",
    "{{ params.big | wordwrap(1, true, 'xx') }}",
    "{{ [1] | tojson(indent=10**9) }}",
    "{{ [1] | batch(10**9, 0) | list }}",
    "{{ [1] | slice(10**9) | list }}",
    "{{ [[1] * 1000000, [1] * 1000000] | sum(start=[]) }}",
    "{{ lipsum(10**9) }}",
    "{{ lipsum(min=10**9, max=10**9 + 1) }}",
    "{{ range(10**9) }}",
    "{{ '%1000000000d' is odd }}",
    "{{ '%1000000000d' is even }}",
    "{{ '%1000000000d' is divisibleby(1) }}",
    "{{ ['%1000000000d'] | select('odd') | list }}",
    "{{ 1 | round(10**9, 'ceil') }}",
    "{{ 1 | round(-10**9) }}",
]  # fmt: skip


@pytest.mark.parametrize("template", LONG)
def test_what_would_be_too_much_is_refused_before_it_is_made(template):
    names = Names(flows={}, params={"big": BIG})
    scope = Scope(params=["big"])
    rendered("{{ 'warm ' ~ 'up' }}", names=names, scope=scope)
    tracemalloc.start()
    try:
        text = refused(template, names=names, scope=scope)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 150 * MIB, text
    too_much = (
        "larger than 16 MiB",
        "more than",
        "too large",
        "too big",
        "not a number",
        "beyond",
        "indent",
    )
    assert any(part in text.lower().replace("mib", "MiB") for part in too_much), text


def test_what_is_as_large_as_it_may_be():
    names = Names(flows={}, params={"big": "x" * caps.TEXT})
    scope = Scope(params=["big"])
    for style in ("text", "native"):
        assert len(rendered("{{ params.big }}", style, names=names, scope=scope)) == caps.TEXT
        assert len(rendered("{{ 'x' * 16777216 }}", style)) == caps.TEXT
        text = "template result is larger than 16 MiB"
        assert refused("{{ params.big }}.", names=names, scope=scope, style=style) == text
        assert refused("{{ 'x' * 16777217 }}", style=style) == text
        more = Names(flows={}, params={"big": "x" * (caps.TEXT + 1)})
        assert refused("{{ params.big }}", names=more, scope=scope, style=style) == text


def test_a_message_is_no_longer_than_people_read():
    names = Names(flows={}, params={"big": BIG})
    scope = Scope(params=["big"])
    for template in ("{{ env[params.big] }}", "{{ {}[params.big] }}", "{{ {(params.big,): 1} }}"):
        assert len(refused(template, names=names, scope=scope)) < 1100


def test_ordinary_work_is_not_refused():
    for template, value in {
        "{{ '%s-%(x)s' | replace('x', 'y') }}": "%s-%(y)s",
        "{{ '%s %5.2f %%' % ('a', 1.234) }}": "a  1.23 %",
        "{{ '%*d' % (5, 1) }}": "    1",
        "{{ '%(x)s' % {'x': 1} }}": "1",
        "{{ '%(x)s' | format(x=1) }}": "1",
        "{{ '%s' | format('a') }}": "a",
        "{{ '{:>5} {x}'.format(1, x='y') }}": "    1 y",
        "{{ '{x}'.format_map({'x': 1}) }}": "1",
        "{{ ('{}' | safe).format('<') }}": "&lt;",
        "{{ 'a' | center(5) }}": "  a  ",
        "{{ 'a\nb' | indent(2) }}": "a\n  b",
        "{{ 'a\nb' | indent('>', true) }}": ">a\n>b",
        "{{ [1, 2] | join(', ') }}": "1, 2",
        "{{ [{'k': 1}] | join(attribute='k') }}": "1",
        "{{ 'aa' | replace('a', 'b', 1) }}": "ba",
        "{{ 'a b' | wordwrap(1) }}": "a\nb",
        "{{ ', '.join(['a', 'b']) }}": "a, b",
        "{{ 'a\tb'.expandtabs(2) }}": "a b",
        "{{ 'ab'.translate({97: 'xy'}) }}": "xyb",
        "{{ [[1], [2]] | sum(start=[]) }}": [1, 2],
        "{{ [1, 2] | sum }}": 3,
        "{{ [{'k': 1}] | sum(attribute='k') }}": 1,
        "{{ 2 ** 10 }}": 1024,
        "{{ 2 ** -1 }}": 0.5,
        "{{ 7 % 4 }}": 3,
        "{{ [1] * 2 + [3] }}": [1, 1, 3],
        "{{ 1.26 | round(1) }}": 1.3,
        "{{ 3 is odd }}": True,
        "{{ 4 is divisibleby(2) }}": True,
        "{{ [1, 2, 3] | select('even') | list }}": [2],
        "{{ [1] | tojson(indent=2) }}": "[\n  1\n]",
        "{{ [1, 2, 3] | slice(2) | list }}": [[1, 2], [3]],
        "{{ lipsum(1, false) | length > 10 }}": True,
        "{{ (258).to_bytes(2, 'big') | list }}": [1, 2],
    }.items():
        assert rendered(template) == value, template


# ------------------------------------------------------------------ going on for ever

ENDLESS = [
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(99) }}",
    "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "{% for i in range(9999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% set x %}{% for i in range(9999) %}{% for j in range(99999) %}a{% endfor %}{% endfor %}{% endset %}",
    "{% for i in range(9999) %}{{ range(99999) | map('string') | list | length }}{% endfor %}",
    "{% macro m(n) %}{% for i in range(9) if n %}{{ m(n - 1) }}{% endfor %}{% endmacro %}{{ m(99) }}",
]


@pytest.mark.parametrize("template", ENDLESS)
def test_no_template_runs_for_ever(template, monkeypatch):
    # As it is, this takes seconds. What is counted is the same.
    monkeypatch.setattr(caps, "TURNS", 100_000)
    text = refused(template)
    assert text in {"template takes more than 100000 turns", "template is nested too deeply"}


def test_a_rendering_makes_only_so_much_text_on_its_way(monkeypatch):
    monkeypatch.setattr(caps, "WORK", 1000)
    template = "{% set l = [] %}{% for i in range(99) %}{% set x = 'y' * 100 %}{% endfor %}"
    assert refused(template) == "template makes more than 256 MiB of text"
    assert rendered("{{ 'y' * 900 }}") == "y" * 900  # each rendering begins anew
    assert rendered("{{ 'y' * 900 }}") == "y" * 900


class Elsewhere(Mapping[str, object]):
    """Data that renders a template in another thread whenever something is looked up in it."""

    def __getitem__(self, key: str) -> object:
        thread = threading.Thread(target=rendered, args=("{{ 1 + 1 }}",))
        thread.start()
        thread.join()
        return key

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def test_threads_count_for_themselves(monkeypatch):
    monkeypatch.setattr(caps, "TURNS", 1000)
    loop = "{% for i in range(600) %}{% endfor %}"
    names = Names(flows={"a": Outputs("a", {"v": Elsewhere()})})
    assert rendered(f"{loop}{{{{ flows.a.v.x }}}}", names=names) == "x"
    text = refused(f"{loop}{{{{ flows.a.v.x }}}}{loop}", names=names)
    assert text == "template takes more than 1000 turns"


@pytest.mark.parametrize("style", ["text", "native"])
@pytest.mark.parametrize(
    "template", ["x{{ 'a' | center(12345) }}", "{{ 'a' | center(12345) }}", "x{{ 'a' * 9 ~ 'b' }}"]
)
def test_nothing_of_a_template_runs_when_it_is_checked(template, style):
    caps.begin()
    assert compiled(f"{template}{{{{ params.region }}}}", style)[1] == []
    assert compiled(template, style)[1] == []
    assert (caps._spent.work, caps._spent.turns) == (0, 0)
