"""`plait show`: a run in time, as text and as pictures."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

import pytest


@pytest.fixture
def kept(plait):
    """A run that fails, in a journal."""
    plait("run", "shop:Shop", "--set", "item=a", "--set", "number=4", "--journal", "runs.db", "-q")
    return "runs.db"


def test_below_the_steps_is_a_timeline(plait, kept):
    done = plait("show", "last", "--journal", kept)
    above, below = done.out.split("\n\n")
    assert above.splitlines()[1].split()[:2] == ["step", "state"]
    rows = below.splitlines()
    assert rows[0].split()[:2] == ["0", "s"]
    assert [re.split(r"\s*\|", row)[0].split() for row in rows[1:-1] if "worker" in row] == [
        ["take", "worker", "0"],
        ["pack", "worker", "0"],
    ]
    pack = next(row for row in rows if row.startswith("pack"))
    assert pack.rstrip().endswith("x"), "the last of them failed"
    assert "x failed" in rows[-1]
    assert max(map(len, rows)) <= 100


def test_where_only_ascii_can_be_printed_the_timeline_is_ascii(plait, kept, monkeypatch):
    monkeypatch.setattr("plait._cli.show._has_blocks", lambda _: False)
    below = plait("show", "last", "--journal", kept).out.split("\n\n")[1]
    assert below.isascii()
    assert "=# running" in below


def test_svg_is_one_picture_and_says_who_failed(plait, kept):
    done = plait("show", "last", "--journal", kept, "--format", "svg", "-o", "run.svg")
    assert (done.code, done.out) == (0, "")
    root = ET.parse("run.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    titles = [one.text for one in root.iter(f"{space}title")]
    assert any(one.startswith("pack#5: failed\n") and "ValueError" in one for one in titles)
    assert len(root.findall(f".//{space}rect[@class='bar failed']")) == 1


def test_html_opens_alone_and_has_names_as_texts(plait, kept):
    page = plait("show", "last", "--journal", kept, "--format", "html").out
    assert page.startswith("<!DOCTYPE html>")
    assert "default-src 'none'" in page
    assert not re.findall(r"""(?:src|href)=|url\((?!#)|@import""", page)
    assert "ValueError: no\\x1b[2J box" in page
    assert "\x1b" not in page


def test_a_trace_for_chrome(plait, kept):
    found = json.loads(plait("show", "last", "--journal", kept, "--format", "chrome").out)
    kinds = [event["ph"] for event in found["traceEvents"]]
    assert kinds.count("B") == kinds.count("E") == 5
    assert found["otherData"]["status"] == "failed"


def test_mermaid_has_the_causes(plait, kept):
    text = plait("show", "last", "--journal", kept, "--format", "mermaid").out
    assert text.count('-->|"Part"|') == 4
    assert "flowchart TD" in text


def test_the_text_goes_to_a_file_too(plait, kept, here):
    done = plait("show", "last", "--journal", kept, "-o", "run.txt")
    assert done.out == ""
    assert "pack worker 0" in (here / "run.txt").read_text(encoding="utf-8")


def test_json_and_a_format_cannot_be_meant_together(plait, kept):
    done = plait("show", "last", "--journal", kept, "-j", "--format", "svg")
    assert (done.code, done.out) == (2, "")
    assert done.err == "plait: --json and --format cannot be used together\n"


def test_a_format_that_is_not_there_is_refused(plait, kept):
    done = plait("show", "last", "--journal", kept, "--format", "png")
    assert done.code == 2
    assert "png" in done.err
