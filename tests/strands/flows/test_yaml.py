"""YAML 1.2 core, with places: what values are, and what is refused."""

from __future__ import annotations

import json
import math
import sys

import pytest
import yaml

from plait._errors import MissingExtra
from plait._strands._flows import yaml as reading
from plait._strands._flows.marks import Marked, Raw
from plait._strands._flows.problems import Problems


@pytest.fixture(params=["C", "Python"], autouse=True)
def library(request, monkeypatch):
    """Every test here holds with PyYAML's parser in C and with the one in Python."""
    if request.param == "Python":
        monkeypatch.delattr(yaml, "CSafeLoader")
    return request.param


def compose(text):
    problems = Problems()
    data = text if isinstance(text, bytes) else text.encode()
    node = reading.compose(data, "f.yaml", problems)
    return node, [str(one) for one in problems.errors]


def value(text):
    node, problems = compose(text)
    assert problems == []
    return None if node is None else node.value


def problems(text):
    return compose(text)[1]


class TestScalars:
    @pytest.mark.parametrize(
        "text",
        [
            "on",
            "off",
            "yes",
            "no",
            "y",
            "1:30",
            "2001-01-01",
            "1_000",
            "0b1",
            "=",
            "0x",
            ".",
            "nan",
        ],
    )
    def test_what_yaml_1_1_would_change_is_text(self, text):
        assert value(f"a: {text}") == {"a": text}

    @pytest.mark.parametrize(
        ("text", "number"),
        [("012", 12), ("-7", -7), ("+7", 7), ("0o17", 15), ("0xfF", 255)],
    )
    def test_whole_numbers(self, text, number):
        (got,) = value(f"[{text}]")
        assert (type(got), got) == (int, number)

    @pytest.mark.parametrize(
        ("text", "number"),
        [("1.5", 1.5), ("-.5", -0.5), ("1.", 1.0), ("1e3", 1000.0), ("+1.5E-1", 0.15)],
    )
    def test_other_numbers(self, text, number):
        (got,) = value(f"[{text}]")
        assert (type(got), got) == (float, number)

    def test_infinite_ones_and_none(self):
        high, low, none = value("[.inf, -.INF, .NaN]")
        assert (high, low) == (math.inf, -math.inf)
        assert math.isnan(none)

    @pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
    def test_nothing(self, text):
        assert value(f"a: {text}") == {"a": None}

    def test_bools_are_these_and_no_others(self):
        assert value("[true, True, TRUE, false, False, FALSE, tRue]") == [
            *[True] * 3,
            *[False] * 3,
            "tRue",
        ]

    def test_quotes_make_text(self):
        assert value("""['5', "true", 'null', "", '~', "<<"]""") == [
            *["5", "true", "null", "", "~", "<<"]
        ]

    def test_core_tags(self):
        assert value("[!!str 5, !!int '5', !!float 5, !!null '', !!bool 'true', ! 5]") == [
            *["5", 5, 5.0, None, True, "5"]
        ]
        assert value("!!map {a: !!seq [1]}") == {"a": [1]}

    def test_a_core_tag_that_does_not_fit(self):
        assert problems("a: !!int x") == ["f.yaml:1:4: expected a value of !!int, got text 'x'"]

    def test_a_number_too_long_to_be_one(self):
        assert problems("a: " + "1" * 1001) == ["f.yaml:1:4: a number with more than 1000 digits"]
        assert problems("a: 0x" + "f" * 10_000) == [
            "f.yaml:1:4: a number with more than 1000 digits"
        ]
        assert value("a: " + "1" * 1000) == {"a": int("1" * 1000)}


class TestDocuments:
    @pytest.mark.parametrize("text", ["", "# only this", "---", "--- # this\n...\n", "\ufeff"])
    def test_saying_nothing(self, text):
        assert value(text) is None

    def test_a_byte_order_mark_is_no_content(self):
        node, _ = compose(b"\xef\xbb\xbfa: 1")
        assert node.value == {"a": 1}
        assert node.spot == ("f.yaml", 1, 1)

    def test_json(self):
        tree = {"a": [1, 1.5, None, True, {"b": 'c\n"é" \\ /'}], "": {}}
        for indent in (None, 1):
            assert value(json.dumps(tree, indent=indent)) == tree

    def test_json_with_characters_of_two_escapes(self):
        tree = {"a": "x😀y", "b": "\\\\ud83d\\ude00 \\n 😀", "😀": 1}
        assert "\\ud83d" in json.dumps(tree)
        assert value(json.dumps(tree)) == tree
        assert value(json.dumps(tree, indent=1)) == tree

    def test_a_half_of_two_escapes(self, library):
        if library == "C":
            assert "invalid Unicode" in problems('{"a": "\\ud83d"}')[0]
        assert value("a: \\ud83d\\ude00") == {"a": "\\ud83d\\ude00"}

    def test_a_second_one(self):
        assert problems("a: 1\n---\nb: 1\n") == [
            "f.yaml:2:1: expected a single document in the stream"
        ]

    def test_two_of_them_and_bad_yaml_after(self):
        assert problems("a: 1\n---\n[")[0].startswith("f.yaml:2:1: expected a single")

    def test_bytes_that_are_no_text(self):
        assert problems(b"a: 1\nb: \xe9") == ["f.yaml:2:4: not UTF-8 text"]
        assert problems("a: 1".encode("utf-16")) == ["f.yaml:1:1: not UTF-8 text"]

    def test_control_characters(self):
        assert problems("a: 1\nbc: \x01") == [
            "f.yaml:2:5: control characters are not allowed, but here is U+0001"
        ]


class TestPlaces:
    TEXT = """\
# a comment
flow:
  - name: a
    input:
      headers: {Authorization: "Bearer x"}
  - &b
    name: b
x: [1,
  two]
"""

    @pytest.mark.parametrize(
        ("path", "line", "column"),
        [
            ((), 2, 1),
            (("flow",), 3, 3),
            (("flow", 0), 3, 5),
            (("flow", 0, "name"), 3, 11),
            (("flow", 0, "input", "headers", "Authorization"), 5, 32),
            (("x", 1), 9, 3),
        ],
    )
    def test_of_values(self, path, line, column):
        place = Marked(compose(self.TEXT)[0], "f").place(path)
        assert (place.file, place.line, place.column) == ("f.yaml", line, column)
        assert place.path == path

    @pytest.mark.parametrize(
        ("path", "line", "column"),
        [
            (("flow", 0, "input", "headers", "Authorization"), 5, 17),
            (("flow", 0, "name"), 3, 5),
            (("x", 1), 9, 3),
            (("flow", 0, "nothing"), 3, 5),
        ],
    )
    def test_of_keys(self, path, line, column):
        place = Marked(compose(self.TEXT)[0], "f").key_place(path)
        assert (place.line, place.column) == (line, column)

    def test_of_what_is_not_there_is_that_of_the_nearest(self):
        marked = Marked(compose(self.TEXT)[0], "f")
        assert marked.place(("flow", 0, "input", "nothing", 3)).line == 5
        assert marked.place(("flow", 7)).line == 3
        assert marked.at(("flow", 7)) is None

    def test_columns_count_characters(self):
        node, _ = compose("é: 𝄞\nä: [ö, x]")
        assert node.children["ä"].children[1].spot == ("f.yaml", 2, 8)

    def test_a_list_has_no_keys_and_a_mapping_no_numbers(self):
        marked = Marked(compose(self.TEXT)[0], "f")
        assert marked.at(("flow", "name")) is None
        assert marked.at((0,)) is None
        assert marked.at(("flow", -1)) is None


class TestKeys:
    def test_given_twice(self):
        text = "a: 1\nb: {c: 1, d: 2, c: 3}\na: 2\n"
        assert problems(text) == [
            "f.yaml:2:17: duplicate key 'c', first at 2:5",
            "f.yaml:3:1: duplicate key 'a', first at 1:1",
        ]

    def test_in_other_spellings_too(self):
        assert problems("a: 1\n'a': 2\n\"\\x61\": 3") == [
            "f.yaml:2:1: duplicate key 'a', first at 1:1",
            "f.yaml:3:1: duplicate key 'a', first at 1:1",
        ]

    def test_must_be_text(self):
        assert problems("1: a\ntrue: b\n~: c\n[d]: e\n") == [
            "f.yaml:1:1: expected text as a key, got int 1; quote it to make it text",
            "f.yaml:2:1: expected text as a key, got bool true; quote it to make it text",
            "f.yaml:3:1: expected text as a key, got null",
            "f.yaml:4:1: expected text as a key, got a list",
        ]

    def test_an_alias_of_text_is_a_key(self):
        assert value("a: &k word\n*k : 1") == {"a": "word", "word": 1}


class TestTemplates:
    @pytest.mark.parametrize(
        "text",
        [
            "{{ x }}",
            "{{ x }}/users",
            "{{ x['y'] }}",
            "{{ f(1, 2) }}",
            "{{ [1, 2] }}",
            "{{ x | default({}) }}",
            "{{x}}{{y}}",
        ],
    )
    def test_without_quotes(self, text):
        assert problems(f"a: 1\nurl: {text}\n") == ['f.yaml:2:6: quote the template: "{{ ... }}"']

    def test_two_without_quotes(self):
        assert len(problems("a: {{ x }}\nb: {{ y }}\n")) == 2

    def test_a_mapping_as_a_key_is_none(self):
        assert problems("? {a: 1}\n: 2") == ["f.yaml:1:3: expected text as a key, got a mapping"]


class TestMergeKeys:
    def test_own_keys_win_and_the_first_of_several(self):
        text = """
a: &a {p: 1, q: 2}
b: {<<: *a, q: 3}
c: {<<: [*a, {p: 5, r: 6}]}
d: {q: 3, <<: *a}
"""
        tree = value(text)
        assert tree["b"] == {"p": 1, "q": 3}
        assert tree["c"] == {"p": 1, "q": 2, "r": 6}
        assert tree["d"] == {"p": 1, "q": 3}

    def test_keep_the_places(self):
        node, _ = compose("a: &a {p: 1}\nb:\n  <<: *a\n")
        marked = Marked(node, "f")
        assert marked.place(("b", "p")).line == 1
        assert marked.key_place(("b", "p")).column == 8

    def test_only_of_mappings(self):
        for text in ("[1]", "x", "[]"):
            (problem,) = problems(f"a: {{<<: {text}}}")
            assert "expected a mapping or a list of mappings after '<<'" in problem

    def test_twice(self):
        assert problems("a: &a {p: 1}\nb:\n  <<: *a\n  <<: *a\n") == [
            "f.yaml:4:3: duplicate key '<<', first at 1:4"
        ]

    def test_in_quotes_it_is_a_key(self):
        assert value("'<<': {a: 1}") == {"<<": {"a": 1}}


class TestTags:
    @pytest.mark.parametrize(
        ("text", "tag"),
        [
            ("!!python/object/apply:os.system ['touch x']", "!!python/object/apply:os.system"),
            ("!!binary aGk=", "!!binary"),
            ("!!set {a, b}", "!!set"),
            ("!!timestamp 2001-01-01", "!!timestamp"),
            ("!env HOME", "!env"),
            ("!<tag:example.org,2001:x> y", "tag:example.org,2001:x"),
            ("!!map [a]", "!!map"),
            ("!!seq {a: 1}", "!!seq"),
            ("!!str [a]", "!!str"),
        ],
    )
    def test_that_are_not_allowed(self, text, tag):
        assert problems(f"a: {text}") == [f"f.yaml:1:4: tag {tag!r} is not allowed"]

    def test_all_at_once(self):
        assert len(problems("a: !x 1\nb: !y 2\n3: 4\nc: 1\nc: 2\n")) == 4

    def test_raw(self):
        assert value("""[!raw "{{ x }}", !raw 5, !raw [a], !raw {b: c}, !raw ]""") == [
            *[Raw("{{ x }}"), Raw(5), Raw(["a"]), Raw({"b": "c"}), Raw(None)]
        ]

    def test_raw_below_raw_is_one(self):
        text = "[&x !raw '{{ y }}', !raw {a: [!raw b, *x, {c: *x}]}]"
        assert value(text) == [Raw("{{ y }}"), Raw({"a": ["b", "{{ y }}", {"c": "{{ y }}"}]})]

    def test_below_raw_places_are_known(self):
        marked = Marked(compose("a: !raw\n  b: c")[0], "f")
        assert marked.place(("a", "b")).line == 2


class TestAliases:
    def test_are_the_same_value(self):
        node, _ = compose("a: &x [1, {b: 2}]\nc: *x")
        assert node.children["a"] is node.children["c"]

    def test_undefined(self):
        assert problems("a: *x") == ["f.yaml:1:4: found undefined alias 'x'"]

    def test_of_itself(self):
        assert problems("a: &x [*x]") == ["f.yaml:1:8: an alias contains itself"]
        assert problems("&x {a: {b: *x}}") == ["f.yaml:1:12: an alias contains itself"]

    def test_that_expand_to_too_much(self):
        lines = ["x0: &a0 [" + "x," * 9 + "]"]
        lines += [f"x{i}: &a{i} [" + f"*a{i - 1}," * 9 + "]" for i in range(1, 60)]
        (problem,) = problems("\n".join(lines))
        assert problem.endswith("more than 1000000 values once aliases are expanded")

    def test_that_expand_to_too_much_by_merging(self):
        base = ", ".join(f"k{i}: 1" for i in range(1_100))
        text = f"x: &x {{{base}}}\ny:\n" + " - {<<: *x}\n" * 1_000
        (problem,) = problems(text)
        assert problem.endswith("more than 1000000 values once aliases are expanded")

    def test_a_million_values_are_fine(self):
        text = "x: &x [" + "1," * 999 + "]\ny: [" + "*x," * 998 + "]"
        assert problems(text) == []
        (problem,) = problems(text.replace("y: [", "y: [*x,*x,"))
        assert problem.endswith("more than 1000000 values once aliases are expanded")

    def test_that_nest_too_deeply(self):
        text = "\n".join(["x0: &a0 [x]", *(f"x{i}: &a{i} [*a{i - 1}]" for i in range(1, 500))])
        (problem,) = problems(text)
        assert problem.endswith("more than 100 levels deep")


class TestDepth:
    @pytest.mark.parametrize("sign", ["[", "{a: ", "- ", "!raw [", "? "])
    def test_too_many_levels(self, sign):
        (problem,) = problems(sign * 100_000)
        assert problem.endswith("more than 100 levels deep")

    def test_a_hundred_levels(self):
        assert compose("[" * 100 + "]" * 100)[1] == []
        assert compose("[" * 100 + "]" * 100)[0].depth == 100


class TestSyntax:
    def test_where_the_parser_stumbles(self):
        (problem,) = problems("flow: [a, b\nsources: {")
        assert problem.startswith("f.yaml:2:8: ")
        assert "\n" not in problem

    @pytest.mark.parametrize(
        "text",
        [
            *["a: '", "a: b: c", "\ta: 1", "- a: 1\n b", "%YAML 9.9\n---\na", "!e!x a", "a: |x"],
            *['"\\UFFFFFFFF"', '"\\ud800"', "&a &b c", "a: @x", "{a: b", "]"],
            "%YAML 99999999999999999999999.1\n---\na",
        ],
    )
    def test_anything_wrong_is_one_problem_on_one_line(self, text):
        (problem,) = problems(text)
        assert problem.startswith("f.yaml:")
        assert "\n" not in problem


class TestTooMuch:
    def test_declarations_of_tags(self):
        lines = "".join(f"%TAG !a{i}! x\n" for i in range(700_000))
        assert problems(f"{lines}---\na: 1\n") == ["f.yaml:21:1: more than 20 %TAG lines"]
        assert problems("%TAG !e! tag:yaml.org,2002:\n---\na: !e!str 1\n") == []

    def test_problems(self):
        found = problems("a: 1\n" * 100_000)
        assert len(found) == 1_001
        assert found[-1] == "f.yaml:1001:1: more than 1000 problems; the rest is not read"


class TestPlain:
    def test_reads_a_value(self):
        assert reading.plain("[1, {a: on}]") == [1, {"a": "on"}]
        assert reading.plain("") is None

    @pytest.mark.parametrize(
        "text", ["[", "!raw x", "[!raw x]", "!env x", "{a: 1, a: 2}", "\ud800"]
    )
    def test_refuses(self, text):
        with pytest.raises(reading.Unreadable):
            reading.plain(text)


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingExtra) as caught:
        compose("a: 1")
    assert str(caught.value) == "flow files need pyyaml. Type: pip install 'plait[flows]'"
