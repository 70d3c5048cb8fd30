"""SVG and HTML: everything is in the picture once, nothing is markup, nothing covers anything."""

import base64
import hashlib
import itertools
import os
import random
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given

from plait._errors import MissingExtra, PlaitError
from plait._viz.drawing import Arrow, Drawing, Node
from plait._viz.formats.page import page
from plait._viz.formats.svg import plain, svg, tooltip
from plait._viz.formats.text import text
from plait._viz.placing import layout as layouts
from plait._viz.placing import placers
from plait._viz.placing.layout import _Asked, place
from tests.viz.drawn import drawings

SPACE = {"s": "http://www.w3.org/2000/svg"}


def parsed(drawing):
    """The picture as a tree. XML has one line end; what it has no place for is shown by its number."""
    return ET.fromstring(svg(drawing))


def seen(given):
    """A text as a reader of XML gets it."""
    return plain(given).replace("\r\n", "\n").replace("\r", "\n")


@given(drawings())
def test_every_node_and_arrow_is_in_the_picture_once(drawing):
    tree = parsed(drawing)
    nodes = [g for g in tree.findall("s:g", SPACE) if "node" in g.get("class").split()]
    assert [g.find("s:text", SPACE).text or "" for g in nodes] == [
        seen(node.label) for node in drawing.nodes
    ]
    assert [g.get("class") for g in nodes] == [f"node {node.shape}" for node in drawing.nodes]
    lines = [g for g in tree.findall("s:g", SPACE) if g.find("s:path", SPACE) is not None]
    told = Counter(g.find("s:title", SPACE).text for g in lines)
    cables = {}
    for arrow in drawing.arrows:
        cables.setdefault((arrow.source, arrow.target, arrow.dashed), []).append(arrow)
    # The arrows between two nodes may be told in another order.
    by_line = Counter("\n".join(sorted(said.split("\n"))) for said in told.elements())
    wanted = Counter(
        "\n".join(sorted(seen(tooltip(tuple(group))).split("\n"))) for group in cables.values()
    )
    assert by_line == wanted
    labels = [g for g in tree.findall("s:g", SPACE) if g.find("s:path", SPACE) is None]
    written = [
        one.text for g in labels if "cable" in g.get("class") for one in g.findall("s:text", SPACE)
    ]
    assert Counter(written) == Counter(seen(a.label) for a in drawing.arrows if a.label)


@given(drawings())
def test_no_two_boxes_or_labels_overlap(drawing):
    layout = place(drawing)
    spots = [(b.x, b.y, b.width, b.height) for b in layout.boxes]
    spots += [(*c.at, c.width, c.height) for c in layout.cables if c.labels]
    for (x, y, wide, high), (x2, y2, wide2, high2) in itertools.combinations(spots, 2):
        assert abs(x - x2) >= (wide + wide2) / 2 or abs(y - y2) >= (high + high2) / 2
    for x, y, wide, high in spots:
        assert 0 < x - wide / 2 < x + wide / 2 < layout.width
        assert 0 < y - high / 2 < y + high / 2 < layout.height


#: Parts of the size: what a browser measures of DejaVu Sans, the widest of usual fonts; signs of
#: Chinese are squares in every font. Bold letters are at most 1.16 times as wide.
REAL = {
    "StartEvent": 0.531,
    "collects the first 2": 0.45,
    "MMMM": 0.863,
    "WorkflowW": 0.621,
    "漢字漢字": 1.0,
}


@pytest.mark.parametrize(("given", "real"), REAL.items())
def test_a_text_stays_in_its_box(given, real):
    drawing = Drawing(
        "t", (Node("a", given), Node("b", "b", marks=(given,))), (Arrow("a", "b", given),)
    )
    layout = place(drawing)
    one, two = layout.boxes
    assert len(given) * 13 * real * 1.16 < one.width - 8
    assert len(given) * 11 * real < two.width - 8
    assert len(given) * 11 * real < layout.cables[0].width


@given(drawings())
def test_an_arrow_begins_and_ends_at_its_boxes(drawing):
    layout = place(drawing)
    boxes = {box.node.name: box for box in layout.boxes}
    for cable in layout.cables:
        first = cable.arrows[0]
        for (x, y), name in (
            (cable.ways[0][0], first.source),
            (cable.ways[-1][-1], first.target),
        ):
            box = boxes[name]
            assert (
                abs(abs(x - box.x) - box.width / 2) < 1 or abs(abs(y - box.y) - box.height / 2) < 1
            )
            assert abs(x - box.x) <= box.width / 2 + 1
            assert abs(y - box.y) <= box.height / 2 + 1


class Reader(HTMLParser):
    """What a browser finds in a page: its tags, and its texts."""

    def __init__(self):
        super().__init__()
        self.tags = []
        self.texts = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


@given(drawings())
def test_no_name_is_markup_in_a_page(drawing):
    found = page([drawing])
    reader = Reader()
    reader.feed(found)
    tags = Counter(tag for tag, _ in reader.tags)
    assert tags["script"] == tags["style"] == tags["svg"] == tags["table"] == 1
    assert tags["tr"] == len(drawing.nodes) + 1
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)


def test_a_page_needs_nothing_else():
    """No address in it, and a policy that would not let one be used."""
    found = page([NINE, NINE])
    assert not re.search(r"(?i)https?:|//[a-z]|url\(|@import|\bsrc=|\bhref=", found)
    reader = Reader()
    reader.feed(found)
    [policy] = [a["content"] for tag, a in reader.tags if a.get("http-equiv")]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    for tag in ("style", "script"):
        [body] = re.findall(rf"<{tag}>(.*?)</{tag}>", found, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids)) > 4


NINE = Drawing(
    "all of them",
    tuple(Node(shape, f"the {shape}", shape, ("a mark",)) for shape in (
        "step", "start", "stop", "outside", "resource", "workflow", "event", "time", "function"
    )),
    (Arrow("start", "step", "Part"), Arrow("step", "start", "Again"), Arrow("step", "step", "Same"),
     Arrow("step", "stop"), Arrow("resource", "step", "db", dashed=True)),
    ("2 waves",),
)  # fmt: skip


def test_a_picture_can_be_read_aloud():
    tree = parsed(NINE)
    assert tree.get("role") == "img"
    ids = {e.get("id"): e.text for e in tree if e.get("id")}
    title, about = (ids[name] for name in tree.get("aria-labelledby").split())
    assert title == "all of them"
    assert about.startswith("9 nodes, 5 arrows. 2 waves. the start to the step (Part); ")
    assert "prefers-color-scheme: dark" in tree.find("s:style", SPACE).text


def test_a_label_that_was_cut_is_told_in_full():
    tree = parsed(NINE.shortened(5))
    told = {g.find("s:text", SPACE).text: g.find("s:title", SPACE).text for g in tree.findall("s:g", SPACE)
            if "node" in g.get("class")}  # fmt: skip
    assert set(told) == {"the …"}
    lines = {g.get("data-to"): g.find("s:title", SPACE).text for g in tree.findall("s:g", SPACE)
             if g.find("s:path", SPACE) is not None}  # fmt: skip
    assert lines["start"] == "step → start: Again"
    assert "the resource: a mark" in svg(NINE.shortened(5))


def test_a_loop_leads_back_and_the_way_on_leads_down():
    names = ("write", "judge", "print")
    drawing = Drawing(
        "t",
        tuple(map(Node, names, names)),
        (
            Arrow("judge", "write", "Again"),
            Arrow("judge", "print"),
            Arrow("write", "judge", "Draft"),
        ),
    )
    layout = place(drawing)
    write, judge, print_ = layout.boxes
    assert write.y < judge.y < print_.y
    [back] = [cable for cable in layout.cables if cable.labels == ("Again",)]
    assert write.y < back.at[1] < judge.y
    assert back.ways[0][0][1] > back.ways[-1][-1][1], "it goes up"


def test_steps_side_by_side_stand_as_they_are_written():
    for count in range(2, 9):
        names = [f"part {n}" for n in range(count)]
        nodes = tuple(map(Node, ["a", *names, "z"], ["a", *names, "z"]))
        arrows = [Arrow("a", name, "Part") for name in names]
        arrows += [Arrow(name, "z", "Done") for name in names]
        layout = place(Drawing("t", nodes, tuple(arrows)))
        assert [box.node.name for box in layout.boxes] == ["a", *names, "z"]
        middle = layout.boxes[1:-1]
        along = [box.x for box in middle] if middle[0].x != middle[1].x else [b.y for b in middle]
        assert along == sorted(along)


def test_waves_are_rows():
    layers = {"a": 0, "b": 0, "c": 1, "d": 1, "e": 2}
    nodes = tuple(Node(name, name, layer=layer) for name, layer in layers.items())
    arrows = (Arrow("a", "c"), Arrow("b", "d"), Arrow("c", "e"), Arrow("a", "e"), Arrow("b", "e"))
    boxes = {box.node.name: box for box in place(Drawing("t", nodes, arrows)).boxes}
    assert boxes["a"].y == boxes["b"].y < boxes["c"].y == boxes["d"].y < boxes["e"].y


def big(count):
    chance = random.Random(7)
    nodes = tuple(Node(f"s{n}", f"step {n}", marks=("4 workers",)) for n in range(count))
    arrows = tuple(
        Arrow(f"s{chance.randrange(max(0, n - 6), n)}", f"s{n}", "Part") for n in range(1, count)
    )
    return Drawing("big", nodes, arrows)


@pytest.mark.parametrize("count", [5, 50, 500])
def test_it_is_legible_at_any_size(count):
    """The letters keep their size, and the picture grows no faster than what is in it."""
    layout = place(big(count))
    room = sum(b.width * b.height for b in layout.boxes)
    assert layout.width * layout.height < 40 * room * max(1, count / 25)
    assert "font-size: 13px" in svg(big(5))


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from tests.viz.test_svg_pictures import NINE, big
from plait._viz.formats.dot import dot
from plait._viz.formats.mermaid import mermaid
from plait._viz.formats.page import page
from plait._viz.formats.svg import svg
from plait._viz.formats.text import text
for drawing in (NINE, big(40)):
    for write in (svg, dot, mermaid, text, lambda one: page([one])):
        sys.stdout.write(write(drawing))
"""


def test_the_same_drawing_is_the_same_picture_in_every_process():
    here = str(Path(__file__).parents[2])
    texts = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT, here],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "77")
    }
    assert len(texts) == 1
    assert len(texts.pop()) > 10_000


# ---------------------------------------------------------------- as text


@given(drawings())
def test_every_node_and_arrow_is_in_the_text_once(drawing):
    lines = text(drawing).splitlines()
    arrows = [line for line in lines if re.match(r"      [→⇢] ", line)]
    assert len(arrows) == len(drawing.arrows)
    assert len(lines) == 1 + len(drawing.nodes) + len(drawing.arrows)


def test_text_has_waves_marks_and_labels():
    nodes = (Node("a", "a", marks=("rest", "retries"), layer=0), Node("b", "b", layer=1))
    drawing = Drawing(
        "two.yaml", nodes, (Arrow("a", "b", "on error: skip", dashed=True),), ("2 waves",)
    )
    assert text(drawing) == (
        "two.yaml, 2 waves\n"
        "\n"
        "wave 1\n"
        "  a  rest · retries\n"
        "      ⇢ b  on error: skip\n"
        "\n"
        "wave 2\n"
        "  b\n"
    )


# ---------------------------------------------------------------- who places it


@pytest.fixture
def no_graphlay(monkeypatch):
    monkeypatch.setitem(sys.modules, "graphlay", None)


def test_without_graphlay_and_graphviz_it_says_what_to_install(no_graphlay, monkeypatch):
    monkeypatch.setattr(placers.shutil, "which", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'plait\[viz\]'"):
        svg(NINE)
    found = page([NINE])
    assert "There is no picture in this page: SVG pictures need graphlay." in found
    assert "<pre>---\ntitle: &quot;all of them&quot;\n---\nflowchart TD\n" in found
    assert "<svg" not in found
    assert found.count('<th scope="row">') == 9


PLAIN = """\
graph 1 3 4
node 0 1.5 3.5 1 0.5 "" solid box black lightgrey
node 1 1.5 0.5 1 0.5 "" solid box black lightgrey
node 2 1.0 2.0 1 0.5 "" solid box black lightgrey
edge 0 2 4 1.5 3.25 1.4 3.0 1.2 2.5 1.0 2.25 solid black
edge 2 1 7 1.0 1.75 1.0 1.5 1.0 1.4 1.1 1.2 1.2 1.1 1.3 1.0 1.5 0.75 solid black
stop
"""


@pytest.fixture
def dot_program(tmp_path, monkeypatch, no_graphlay):
    """A `dot` that keeps what it was asked, and answers as Graphviz's would."""
    program = tmp_path / "dot"
    answer, asked = tmp_path / "answer", tmp_path / "asked"
    program.write_text(f'#!/bin/sh\ncat > "{asked}"\ncat "{answer}"\n')
    program.chmod(0o755)
    answer.write_text(PLAIN)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return asked


def test_graphviz_stands_in_and_says_so(dot_program):
    drawing = Drawing("t", (Node("a", "a"), Node("b", "b")), (Arrow("a", "b", "Part"),))
    with pytest.warns(UserWarning, match="graphlay is not installed, so Graphviz's dot places"):
        layout = place(drawing)
    a, b = layout.boxes
    [cable] = layout.cables
    assert a.y < cable.at[1] < b.y
    assert [len(way) for way in cable.ways] == [2, 3]
    assert cable.ways[0][0] == pytest.approx((a.x, a.y + 18), abs=0.01)
    asked = dot_program.read_text()
    assert "0 -> 2" in asked
    assert "2 -> 1" in asked


def test_what_graphviz_refuses_is_an_error(dot_program, tmp_path):
    (tmp_path / "dot").write_text("#!/bin/sh\ncat > /dev/null\necho no >&2\nexit 3\n")
    with (
        pytest.warns(UserWarning, match="Graphviz"),
        pytest.raises(PlaitError, match="could not place the picture: no"),
    ):
        svg(NINE)


def test_graphviz_is_not_waited_for_without_end(dot_program, tmp_path, monkeypatch):
    monkeypatch.setattr(placers, "PATIENCE", 0.01)
    (tmp_path / "dot").write_text("#!/bin/sh\nexec sleep 60\n")
    with (
        pytest.warns(UserWarning, match="Graphviz"),
        pytest.raises(PlaitError, match=r"has not placed the picture in 0.01 s. Type: pip install"),
    ):
        svg(NINE)


# ---------------------------------------------------------------- how much there may be


def wide(count):
    """One that hands on to all, and one that waits for all."""
    middle = [f"s{n}" for n in range(count)]
    nodes = tuple(Node(name, name) for name in ("first", *middle, "last"))
    out = tuple(Arrow("first", name) for name in middle)
    return Drawing("wide", nodes, (*out, *(Arrow(name, "last") for name in middle)))


@pytest.mark.parametrize(("count", "plainly"), [(50, False), (150, True), (1000, True)])
def test_what_takes_the_cube_of_what_stands_side_by_side_is_left_out(count, plainly):
    """graphlay took 90 s for 500 of them, and less than one without this."""
    seen = []

    def layout(graph, options):
        seen.append((len(graph["nodes"]), options))
        raise KeyError

    request = _Asked(wide(count)).request("down")
    with pytest.raises(KeyError):
        placers.by_graphlay(layout, request)
    [(nodes, options)] = seen
    assert nodes == count + 2
    assert ("tuning" in options) is plainly
    assert (options.get("coords") == {"branch_bands": False}) is plainly
    assert options["routing"]["style"] == "orthogonal"


def test_a_wide_one_is_placed_as_it_is_written():
    layout = place(wide(400))
    middle = layout.boxes[1:-1]
    assert len({box.y for box in middle}) == 1 or len({box.x for box in middle}) == 1
    for one, other in itertools.pairwise(sorted(middle, key=lambda box: (box.x, box.y))):
        apart = abs(one.x - other.x) >= (one.width + other.width) / 2
        assert apart or abs(one.y - other.y) >= (one.height + other.height) / 2


def test_what_nobody_could_read_is_refused_with_what_to_do(monkeypatch):
    monkeypatch.setattr(layouts, "find_placer", lambda: pytest.fail("it was begun with"))
    drawing = wide(2000)
    with pytest.raises(PlaitError) as caught:
        svg(drawing)
    assert str(caught.value) == (
        "2002 nodes and 4000 arrows are too many for a picture that anybody could read. "
        "The formats mermaid, dot and text have no limit"
    )
    found = page([drawing])
    assert (
        "are too many for a picture that anybody could read: the table has them all.</p>" in found
    )
    assert "<svg" not in found
    assert found.count('<th scope="row">') == 2002


def test_labels_count_too():
    nodes = tuple(Node(f"s{n}", "s") for n in range(1100))
    arrows = tuple(Arrow(f"s{n}", f"s{n + 1}") for n in range(1099))
    assert layouts.too_large(Drawing("t", nodes, arrows)) is None
    labelled = tuple(Arrow(one.source, one.target, "Part") for one in arrows)
    assert layouts.too_large(Drawing("t", nodes, labelled)) is not None
