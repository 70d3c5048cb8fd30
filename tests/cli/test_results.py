"""What is printed or written: strict JSON, the table, and a file that is whole or untouched."""

import enum
import json
import os
import stat
from datetime import date
from pathlib import Path

import attrs
import pytest

from plait import StopEvent
from plait._cli.exits import UsageError
from plait._cli.output_file import OutputFile
from plait._cli.printable import cut, printable
from plait._cli.results import Wanted, columns, json_text, one_line, show_flows, table


def test_json_is_strict_ascii_with_a_line_end(capsys):
    text = json_text({"é": [1, 2.5, None, True, "a\x1b"], "n": float("nan"), "i": float("-inf")})
    assert text.isascii()
    assert text.endswith("}\n")
    assert json.loads(text) == {"é": [1, 2.5, None, True, "a\x1b"], "n": None, "i": None}
    warned = capsys.readouterr().err
    assert warned == "plait: warning: NaN is not JSON; printed as null\n", "once, however many"


class Colour(enum.StrEnum):
    RED = "red"


@attrs.frozen
class Point:
    x: int


def test_objects_become_their_fields(capsys):
    value = {"p": Point(1), "e": StopEvent(result=Point(2)), "t": (1,), "c": Colour.RED}
    assert json.loads(json_text(value)) == {
        "p": {"x": 1},
        "e": {"result": {"x": 2}},
        "t": [1],
        "c": "red",
    }
    assert capsys.readouterr().err == ""


def test_what_is_no_json_becomes_text_and_that_is_said(capsys):
    assert json.loads(json_text([date(2026, 11, 22), {1: 2}])) == ["2026-11-22", {"1": 2}]
    assert capsys.readouterr().err == (
        "plait: warning: date is not JSON; printed as text\n"
        "plait: warning: a key of class int is not JSON; printed as text\n"
    )


def test_the_table_has_columns_and_escapes_what_a_terminal_obeys():
    rows = [("fetch", "users", [{"id": 1}]), ("b\x1b[2J", "o", "x\x9by"), ("none", "", ...)]
    assert table(rows, None) == (
        "step      output  value\n"
        'fetch     users   [{"id": 1}]\n'
        'b\\x1b[2J  o       "x\\x9by"\n'
        "none\n"
    )


def test_the_table_is_cut_on_a_terminal_only():
    rows = [("a", "o", "y" * 100)]
    assert max(map(len, table(rows, 20).splitlines())) == 20
    assert len(table(rows, None).splitlines()[1]) > 100


def test_flows_are_shown_as_asked(capsys, tmp_path):
    flows = {"a": {"o": 1}, "b": {}}
    show_flows(flows, Wanted())
    assert capsys.readouterr().out == "step  output  value\na     o       1\nb\n"
    show_flows(flows, Wanted(quiet=True))
    assert capsys.readouterr().out == ""
    show_flows(flows, Wanted(json=True, quiet=True))
    assert json.loads(capsys.readouterr().out) == flows
    show_flows(flows, Wanted(python=True))
    assert capsys.readouterr().out == "{'a': {'o': 1}, 'b': {}}\n"
    with OutputFile(str(tmp_path / "out.json")) as file:
        show_flows(flows, Wanted(json=True, file=file))
    assert capsys.readouterr().out == ""
    assert json.loads((tmp_path / "out.json").read_text()) == flows


def test_one_line_keeps_other_letters_and_no_line_ends():
    assert one_line({"a": "é\n\u2028"}) == '{"a": "é\\n\\u2028"}'


def test_columns_of_nothing_are_nothing():
    assert columns([]) == ""


def test_a_cut_text_says_so():
    assert (cut("abcdef", 4), cut("abcd", 4), cut("abc", 0)) == ("abc…", "abcd", "…")


@pytest.mark.parametrize(
    "sign", ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\u2028", "\u202e", "\ud800"]
)
def test_no_sign_that_a_terminal_obeys_is_printed(sign):
    assert sign not in printable(f"a{sign}b")
    assert printable("plain é 漢 👍") == "plain é 漢 👍"


# ---------------------------------------------------------------- the file


def test_the_file_is_the_old_one_until_it_is_the_new_one(tmp_path):
    place = tmp_path / "out.json"
    place.write_text("old")
    place.chmod(0o640)
    with OutputFile(str(place)) as file:
        assert place.read_text() == "old"
        assert len([*tmp_path.iterdir()]) == 2, "it is opened beside, before anything runs"
        file.write("new")
    assert place.read_text() == "new"
    assert stat.S_IMODE(place.stat().st_mode) == 0o640
    assert [*tmp_path.iterdir()] == [place]


def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        with OutputFile(str(tmp_path / "out.json")) as file:
            file.write("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.json").stat().st_mode) == 0o640


def test_without_results_nothing_has_changed(tmp_path):
    place = tmp_path / "out.json"
    place.write_text("old")
    with OutputFile(str(place)):
        pass
    assert [*tmp_path.iterdir()] == [place]
    assert place.read_text() == "old"


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    with OutputFile(str(tmp_path / "link.json")) as file:
        file.write("new")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_text() == "new"


def test_a_device_is_written_to_as_it_is():
    with OutputFile("/dev/null") as file:
        file.write("x")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("name", ["missing/out.json", "."])
def test_what_cannot_be_written_is_known_before(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="cannot write"):
        OutputFile(name)
    assert [*tmp_path.iterdir()] == []


def test_the_command_refuses_it_before_anything_runs(plait, here):
    done = plait("run", "shop:Open", "-o", "missing/out.json")
    assert (done.code, done.out) == (2, "")
    assert done.err == "plait: cannot write 'missing/out.json': No such file or directory\n"


def test_the_command_writes_the_file_and_prints_nothing(plait, here):
    done = plait("run", "shop:Open", "--set", "a=1", "-o", "out.json")
    assert (done.code, done.out) == (0, "")
    assert (here / "out.json").read_text() == '{\n  "a": 1\n}\n'
