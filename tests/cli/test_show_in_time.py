"""`plait show`: a run in time, as text and as pictures."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

import pytest
import trio

from plait.durable import App, Context, Event, SqliteJournal, TriggerEvent


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


# ---------------------------------------------------------------- the other strands


@pytest.fixture
def paid(plait):
    """The run of a durable function; and what the command shows of it while it waits for an event."""
    app = App("shop", journal=SqliteJournal("runs.db"))
    tries, live, waiting = [], {}, trio.Event()

    @app.create_function(fn_id="pay", trigger=TriggerEvent("order"))
    async def pay(ctx: Context) -> str:
        await ctx.step.run("charge", charge)
        await ctx.group.parallel(
            (lambda: ctx.step.run("pack", pack), lambda: ctx.step.run("note", pack))
        )
        waiting.set()
        await ctx.step.wait_for_event("signed", event="signed", timeout=3600)
        return "done"

    async def charge():
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("later")

    async def pack():
        await trio.lowlevel.checkpoint()

    async def to_its_wait():
        async with app.serve():
            await app.send(Event(name="order"))
            with trio.fail_after(30):
                await waiting.wait()
                while "step.scheduled" not in await kinds():  # noqa: ASYNC110 - what is on disk tells nobody
                    await trio.sleep(0.01)

    async def kinds():
        [info] = await app.runs()
        return {entry.kind for entry in await app._journal.read(info.run_id)}

    async def to_its_end():
        async with app.serve() as worker:
            await app.send(Event(name="signed"))
            await worker.drain()

    trio.run(to_its_wait)
    for form in FORMS:
        live[form] = plait("show", "last", "--journal", "runs.db", "--format", form)
    trio.run(to_its_end)
    return live


FORMS = ("text", "svg", "html", "mermaid", "chrome")
CALLS = ("charge", "pack", "note", "signed")


@pytest.mark.parametrize("form", FORMS)
def test_a_durable_function_is_shown_while_it_waits_and_when_it_is_over(form, plait, paid):
    done = plait("show", "last", "--journal", "runs.db", "--format", form)
    for shown in (paid[form], done):
        assert (shown.code, shown.err) == (0, "")
        for call in CALLS:
            assert call in shown.out
        assert form == "mermaid" or "ValueError: later" in shown.out or form == "text"
    assert paid[form].out != done.out
    if form == "svg":
        root = ET.fromstring(done.out)
        assert len(root.findall(".//{*}rect[@class='bar failed']")) == 1
    if form == "chrome":
        assert json.loads(paid[form].out)["otherData"]["status"] == "running"
        assert json.loads(done.out)["otherData"]["status"] == "completed"
    if form == "mermaid":
        assert '"waiting' in paid[form].out or "waiting" in paid[form].out
        assert "waiting" not in done.out


FLOW = """\
sources:
  sh: {type: process}
flow:
  - {name: one, source: sh, input: {command: [echo, a]}, output: [{name: out, type: jmespath, value: stdout}]}
  - {name: two, source: sh, input: {command: [echo, b]}, output: [{name: out, type: jmespath, value: stdout}]}
  - name: both
    source: sh
    depends_on: [one, two]
    input: {command: [sh, -c, "exit 3"]}
    output: [{name: out, type: jmespath, value: stdout}]
  - name: after
    source: sh
    depends_on: [both]
    input: {command: [echo, c]}
    output: [{name: out, type: jmespath, value: stdout}]
"""


@pytest.mark.parametrize("form", FORMS)
def test_a_flow_is_shown_with_all_that_each_step_waited_for(form, plait, here):
    (here / "flow.yaml").write_text(FLOW)
    assert plait("run", "flow.yaml", "--journal", "runs.db", "-q").code == 1
    done = plait("show", "last", "--journal", "runs.db", "--format", form)
    assert (done.code, done.err) == (0, "")
    for name in ("one", "two", "both"):
        assert name in done.out
    if form == "mermaid":
        ids = {label: node for node, label in re.findall(r"(n\d+)\S*?\"(\w+)", done.out)}
        arrows = set(re.findall(r"(n\d+) -->(?:\|[^|]*\|)? (n\d+)", done.out))
        wanted = {
            ("one", "both"),
            ("two", "both"),
            ("both", "after"),
            ("outside", "one"),
            ("outside", "two"),
        }
        assert {(ids[a], ids[b]) for a, b in wanted} == arrows
    if form == "html":
        assert "one, two" in done.out, "the causes of both, in the table"
