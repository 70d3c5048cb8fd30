"""The view on a terminal: a real pseudo-terminal, and the view by itself."""

import io
import os
import pty
import select
import subprocess
import sys

import pytest
import rich.console

from plait._cli.live import Live
from plait._cli.news import News
from plait._cli.progress import Lines, Nothing, progress
from tests.cli.conftest import environment


def on_a_terminal(*arguments, until, cwd, **variables):
    """What a command writes to a terminal: read until its end; `until` must be in it."""
    seen_as = {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24", **variables}
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "plait", *arguments],
        env=environment(**seen_as),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=follower,
    )
    os.close(follower)
    seen = b""
    try:
        while True:
            select.select([leader], [], [])
            try:
                more = os.read(leader, 65536)
            except OSError:  # nobody holds the other end any more
                break
            if not more:
                break
            seen += more
    finally:
        os.close(leader)
        out, _ = process.communicate()
    text = seen.decode()
    assert until in text
    return process.returncode, out.decode(), text


def test_a_terminal_shows_a_view_that_changes(here):
    code, out, seen = on_a_terminal(
        "run",
        "shop:Shop",
        "--set",
        "item=a",
        "--set",
        "number=2",
        "-j",
        until="completed in",
        cwd=here,
    )
    assert code == 0
    assert '"packed": 2' in out
    assert "\x1b[" in seen, "it moves the cursor"
    assert "3 succeeded" in seen, "its steps are counted"
    assert "started    take" not in seen, "no plain lines beside it"


def test_a_dumb_terminal_gets_lines(here):
    code, _, seen = on_a_terminal(
        "run", "shop:Shop", "--set", "item=a", until="completed in", cwd=here, TERM="dumb"
    )
    assert code == 0
    assert "started    take" in seen
    assert "\x1b" not in seen


def test_no_color_is_honoured(here):
    _, _, seen = on_a_terminal(
        "run", "shop:Shop", "--set", "item=a", until="completed in", cwd=here, NO_COLOR="1"
    )
    assert "\x1b[32m" not in seen
    assert "\x1b[36m" not in seen
    _, _, seen = on_a_terminal(
        "run", "shop:Shop", "--set", "item=a", until="completed in", cwd=here
    )
    assert "\x1b[32m" in seen


# ---------------------------------------------------------------- the view by itself


def view(*steps, height=10, width=60):
    written = io.StringIO()
    console = rich.console.Console(
        file=written,
        force_terminal=True,
        width=width,
        height=height,
        color_system=None,
        legacy_windows=False,
        _environ={},
    )
    return Live(steps, console), written


def drawn(live):
    return live.render().plain


def test_what_runs_and_what_failed_comes_first():
    live, _ = view("a", "b", "c", "d")
    live.news(News("succeeded", "a", seconds=1.0))
    live.news(News("started", "b"))
    live.news(News("failed", "c", seconds=0.5, message="HTTP status 500"))
    lines = drawn(live).splitlines()
    assert [line.split()[:2] for line in lines[:4]] == [
        ["running", "b"],
        ["failed", "c"],
        ["succeeded", "a"],
        ["pending", "d"],
    ]
    assert lines[1].split("  ")[-1] == "HTTP status 500"
    assert lines[-1] == "1 running, 1 succeeded, 1 failed, 1 pending"


def test_as_many_lines_as_fit_and_then_counts():
    live, _ = view(*map(str, range(100)), height=6)
    assert len(drawn(live).splitlines()) <= 6
    assert drawn(live).splitlines()[-1] == "100 pending (96 not shown)"


def test_users_text_is_text():
    live, written = view("[/b]<b>\x1b[2J", "[red]x")
    live.news(News("failed", "[/b]<b>\x1b[2J", seconds=0.1, message="[bold]no\x1b[31m"))
    live.note("[/i] note \x1b")
    text = drawn(live)
    assert "[/b]<b>\\x1b[2J" in text
    assert "[red]x" in text
    assert "[bold]no\\x1b[31m" in text
    assert "[/i] note" in written.getvalue()


def test_items_have_lines_of_their_own():
    live, _ = view("a")
    live.news(News("started", "a", index=3))
    assert "running    a[3]" in drawn(live)


async def test_it_refreshes_from_a_task_and_ends_with_the_block(autojump_clock):
    live, written = view("a")
    async with live.shown():
        live.news(News("started", "a"))
    assert "running" in written.getvalue()


# ---------------------------------------------------------------- which one


def test_lines_where_there_is_no_terminal(monkeypatch):
    assert isinstance(progress(["a"], quiet=False), Lines)
    assert isinstance(progress(["a"], quiet=True), Nothing)


@pytest.mark.parametrize(
    ("news", "line"),
    [
        (News("started", "a"), "started    a"),
        (News("succeeded", "a", seconds=0.512), "succeeded  a  0.51 s"),
        (
            News("retrying", "a", attempt=2, attempts=2, delay=1.0, message="HTTP status 503"),
            "retrying   a  attempt 2 of 2 in 1.0 s  HTTP status 503",
        ),
        (News("failed", "a", seconds=1.07, message="HTTP\nx"), "failed     a  1.07 s  HTTP\\nx"),
        (News("skipped", "a", reason="abort"), "skipped    a  abort"),
        (News("succeeded", "a", index=3, seconds=0.0), "succeeded  a[3]  0.00 s"),
        (News("reused", "a"), "reused     a"),
    ],
)
def test_a_line_of_the_progress(news, line):
    assert news.line == line
