"""Any bytes, and any mapping, give a flow or a `FlowConfigError`: never a crash, never a hang."""

from __future__ import annotations

import json
import pathlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plait._strands._flows.check import check
from plait._strands._flows.checked import CheckedFlow
from plait._strands._flows.problems import FlowConfigError
from plait._strands._flows.yaml import plain

SAMPLES = [
    path.read_bytes()
    for path in sorted((pathlib.Path(__file__).parents[2] / "data" / "seed-flows").iterdir())
]
EVERYTHING = b"""\
name: all
x-base: &base {type: process, configuration: {command: [echo, "{{ params.n }}"]}}
params: {n: int, d: {default: [1], choices: [[1], [2]]}}
secrets: {s: {env: X}, t: {file: y}}
sources:
  p: *base
  r: {type: rest, configuration: {url: "http://x", input_mode: body, timeout: 1m30s}}
  e: {<<: *base, type: env, configuration: {vars: [A, B]}}
flow:
  - name: a
    source: p
    input: [!raw "{{ x }}", {k: "{{ secrets.s }}"}]
    output: [{name: o, type: jmespath, value: "a.b[0]", required: true}, {name: q, secret: true}]
    retry: {attempts: 3, delay: 1s, on: [5xx, 429, 'exit:75']}
    foreach: {items: "{{ params.d }}", as: thing, max_parallel: 2}
    concurrency: {group: g, limit: 1}
  - name: b
    source: {base: r, merge: deep, override: {configuration: {headers: {X: "{{ flows.a.o }}"}}}}
    depends_on: [a]
    when: flows.a.o == 1
    on_error: continue
    matrix: {axes: {x: [1, 2], y: "{{ flows.a.q }}"}, exclude: [{x: 1}], include: [{x: 5, y: 6}]}
    timeout: 5
runner: {on_error: skip, max_workers: 3, timeout: 1h, allow_hosts: [a], deny_private: false}
"""
#: What means something in YAML, in templates or in a flow.
PIECES = st.sampled_from(
    [
        *[b"[", b"]", b"{", b"}", b": ", b"- ", b"\n", b"\n  ", b"&a ", b"*a", b"<<: *a", b"!raw "],
        *[
            b"!!str ",
            b"|\n",
            b">-\n",
            b"'",
            b'"',
            b"{{ ",
            b" }}",
            b"{% ",
            b"%}",
            b"{#",
            b"#}",
            b"~",
        ],
        *[
            b"---\n",
            b"...\n",
            b"%YAML 1.2\n",
            b"\t",
            b"\xff",
            b"\xef\xbb\xbf",
            b"\x00",
            b"\r",
            b"? ",
        ],
        *[b"flow:", b"name:", b"source: env", b"depends_on: a", b"0x", b"1e999", b".nan", b"null"],
        *[b"flows.a.o", b"*", b"\\ud800", b"\xe2\x80\xa8", b"foreach:", b"{{ flows }}", b", "],
    ]
)


def works_or_says_why(given):
    problems = ()
    try:
        flow = check(given)
    except FlowConfigError as error:
        problems = error.problems
        flow = None
    if isinstance(flow, CheckedFlow):
        assert {name for wave in flow.waves for name in wave} == {*flow.steps}
        return
    assert problems
    for one in problems:
        assert one.severity == "error"
        assert "\n" not in str(one)
    order = [(one.place.line, one.place.column) for one in problems]
    assert order == sorted(order)


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "f.yaml"

    def run(data):
        path.write_bytes(data)
        works_or_says_why(path)

    return run


def test_the_document_to_be_mutated_is_whole(load, tmp_path):
    path = tmp_path / "f.yaml"
    path.write_bytes(EVERYTHING)
    assert [*check(path).steps] == ["a", "b"]


@given(st.binary(max_size=200))
@example(b"[" * 5_000)
@example(b"{a: " * 5_000)
@example(b"\x80")
@example(b"[" * 50_000 + b'"\\ud83d\\ude00"')
@example(b"a: &a [*a, *a]")
def test_any_bytes(load, data):
    load(data)


@given(st.lists(PIECES, max_size=40))
def test_pieces_of_yaml(load, pieces):
    load(b"".join(pieces))


@given(st.data())
def test_mutated_files(load, data):
    whole = bytearray(data.draw(st.sampled_from([*SAMPLES, EVERYTHING, EVERYTHING])))
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(whole)))
        end = data.draw(st.integers(begin, min(len(whole), begin + 12)))
        whole[begin:end] = data.draw(PIECES | st.binary(max_size=3))
    load(bytes(whole))


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["env", "rest", "process", "{{ flows.a.o }}", "{{ x", "a", "1s", "raw", "-"])
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def spots(tree, path=()):
    """Every path of a document."""
    yield path
    pairs = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    for part, below in pairs:
        yield from spots(below, (*path, part))


WHOLE = plain(EVERYTHING.replace(b"!raw ", b"").decode())
SPOTS = [*spots(WHOLE)][1:]


@given(st.lists(st.tuples(st.sampled_from(SPOTS), TREES), min_size=1, max_size=3))
def test_mutated_documents(changes):
    document = json.loads(json.dumps(WHOLE))
    for path, value in changes:
        inner = document
        for part in path[:-1]:
            there = isinstance(inner, dict | list) and (
                part in inner if isinstance(inner, dict) else part in range(len(inner))
            )
            if not there:
                break
            inner = inner[part]
        else:
            if isinstance(inner, dict) or (
                isinstance(inner, list) and path[-1] in range(len(inner))
            ):
                inner[path[-1]] = value
    works_or_says_why(document)


@given(
    st.dictionaries(st.sampled_from(["flow", "params", "sources", "secrets", "runner", "x"]), TREES)
)
def test_any_mapping(document):
    works_or_says_why(document)


@given(st.dictionaries(st.sampled_from([*"abc"]), st.lists(st.sampled_from([*"abcd"]), max_size=3)))
def test_any_graph(graph):
    steps = [{"name": name, "source": "env", "depends_on": after} for name, after in graph.items()]
    works_or_says_why({"flow": steps})
