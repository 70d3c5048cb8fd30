"""Files and mappings: reading, merging, what cannot be read."""

from __future__ import annotations

import collections
import datetime
import enum
import io
import pathlib
import subprocess
import sys

import pytest

from plait._strands._flows.documents import LARGEST, read
from plait._strands._flows.marks import Raw
from plait._strands._flows.problems import Problems


def document(*given):
    problems = Problems()
    marked = read(given, problems)
    return marked, [str(one) for one in problems.errors]


def value(*given):
    marked, problems = document(*given)
    assert problems == []
    return marked.value


class TestMerging:
    def test_mappings_are_merged_and_all_else_is_replaced(self):
        low = {"a": {"b": 1, "c": {"d": [1, 2], "e": 2}}, "f": [1], "g": 1, "h": {"i": 1}}
        high = {"a": {"c": {"d": [3]}, "j": 4}, "f": {"k": 5}, "h": None}
        assert value(low, high) == {
            "a": {"b": 1, "c": {"d": [3], "e": 2}, "j": 4},
            "f": {"k": 5},
            "g": 1,
            "h": None,
        }
        assert low["a"]["c"]["d"] == [1, 2]

    def test_marks_are_those_of_what_won(self, files):
        first = files("a: {b: 1, c: 2}\nd: 3\n")
        second = files("# later\na:\n  c: 5\n")
        marked, _ = document(first, second)
        places = [str(marked.place(path)) for path in [("a", "b"), ("a", "c"), ("d",)]]
        assert places == ["a.yaml:1:8", "b.yaml:3:6", "a.yaml:2:4"]
        assert str(marked.key_place(("a", "c"))) == "b.yaml:3:3"

    def test_raw_values_are_replaced(self, files):
        name = files("flow: [{input: !raw {a: 1}}]")
        assert value(name, {"flow": [1]}) == {"flow": [1]}

    def test_nothing_is_an_empty_document(self, files):
        assert value() == {}
        assert value(files(""), files("# x"), files("null")) == {}

    def test_an_empty_file_takes_nothing_away(self, files):
        assert value({"a": 1}, files("")) == {"a": 1}

    def test_the_name_is_that_of_the_files(self, files):
        name = files("a: 1")
        assert document(name)[0].name == "a.yaml"
        assert document(pathlib.Path(name).resolve(), {})[0].name == "a.yaml + flow"


class TestFiles:
    def test_that_are_not_there(self, files):
        assert document("nope.yaml", files("a: 1"))[1] == ["nope.yaml: no such file"]
        assert document("no\0pe")[1] == ["no\0pe: no such file"]

    def test_folders(self, tmp_path):
        assert document(tmp_path)[1] == [f"{tmp_path}: is a directory"]

    def test_too_large(self, files):
        name = files(b"#" * (LARGEST + 1))
        assert document(name)[1] == [f"{name}: larger than 10 MiB"]
        assert value(files(b"#" * LARGEST)) == {}

    def test_without_an_end(self):
        assert document("/dev/zero")[1] == ["/dev/zero: larger than 10 MiB"]

    def test_that_may_not_be_read(self, files, monkeypatch):
        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(io, "open", refuse)
        assert document("a.yaml")[1] == ["a.yaml: cannot be read: Permission denied"]

    def test_the_folder_of_a_value(self, files, tmp_path):
        tmp_path.joinpath("sub").mkdir()
        marked, _ = document(files("a: 1", "sub/x.yaml"), files("b: 1"), {"c": 1})
        assert [marked.folder((key,)) for key in "abc"] == ["sub", "", ""]

    def test_standard_input(self, tmp_path):
        program = (
            "from plait._strands._flows.documents import read\n"
            "from plait._strands._flows.problems import Problems\n"
            "problems = Problems()\n"
            "marked = read(['-'], problems)\n"
            "print(marked.name, marked.value, *map(str, problems.errors))\n"
        )

        def run(text):
            command = [sys.executable, "-c", program]
            return subprocess.run(command, input=text, capture_output=True, check=True, text=True)

        assert run("a: 1").stdout == "<stdin> {'a': 1}\n"
        assert run("a: [").stdout.startswith("<stdin> {} <stdin>:")


class TestTops:
    @pytest.mark.parametrize(
        ("text", "got"), [("- a", "a list"), ("5", "int"), ("hello", "text"), ("true", "bool")]
    )
    def test_a_mapping_is_expected(self, files, text, got):
        problem = f"a.yaml:1:1: expected a mapping at the top level, got {got}"
        assert document(files(text))[1] == [problem]


class TestMappings:
    def test_places_are_paths(self):
        marked, _ = document({"flow": [{"input": {"url": "x", "a b": 1}}]})
        assert str(marked.place(("flow", 0, "input", "url"))) == "flow[0].input.url"
        assert str(marked.place(("flow", 0, "input", "a b"))) == "flow[0].input['a b']"

    def test_what_programs_use_for_text_numbers_and_lists(self):
        class Word(enum.StrEnum):
            A = "a"

        class Number(enum.IntEnum):
            B = 2

        ordered = collections.OrderedDict(x=(1, 2))
        got = value({Word.A: Word.A, "n": Number.B, "o": ordered, "m": collections.UserDict(k=1)})
        assert got == {"a": "a", "n": 2, "o": {"x": [1, 2]}, "m": {"k": 1}}
        assert [type(got["a"]), type(got["n"]), type(got["o"])] == [str, int, dict]

    def test_what_yaml_could_not_say(self):
        given = {"a": datetime.date(2001, 1, 1), "b": [b"x"], 5: 1, "c": "\ud800", "d": 10**1000}
        assert document(given)[1] == [
            "a: a: expected text, a number, a bool, null, a list or a mapping, got date",
            "b[0]: b[0]: expected text, a number, a bool, null, a list or a mapping, got bytes",
            "expected text as a key, got int 5; quote it to make it text",
            "c: not UTF-8 text",
            "d: a number with more than 1000 digits",
        ]

    def test_that_contain_themselves(self):
        loop = {"a": []}
        loop["a"].append(loop)
        assert document(loop)[1] == ["a[0]: an alias contains itself"]

    def test_too_deep(self):
        deep = []
        for _ in range(5_000):
            deep = [deep]
        (problem,) = document({"a": deep})[1]
        assert problem.endswith("more than 100 levels deep")

    def test_too_much_by_sharing(self):
        tree = [1] * 10
        for _ in range(60):
            tree = [tree] * 10
        (problem,) = document({"a": tree})[1]
        assert problem.endswith("more than 1000000 values")


class TestRaw:
    def test_is_for_inputs_and_for_anchors(self, files):
        text = "x-a: &a !raw '{{ x }}'\nflow: [{input: *a}, {input: {k: [*a]}}]"
        step = value(files(text))["flow"][0]
        assert step == {"input": Raw("{{ x }}")}

    @pytest.mark.parametrize(
        ("text", "path"),
        [
            ("flow: [{name: !raw a}]", "flow[0].name"),
            ("flow: [{foreach: !raw [a]}]", "flow[0].foreach"),
            ("sources: {e: {configuration: {url: !raw a}}}", "sources.e.configuration.url"),
            ("!raw {a: 1}", None),
        ],
    )
    def test_is_for_nothing_else(self, files, text, path):
        (problem,) = document(files(text))[1]
        if path is None:
            assert "expected a mapping at the top level" in problem
        else:
            assert problem.endswith(f"{path}: !raw is only for what is in input")
