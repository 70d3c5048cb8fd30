"""The page in a real browser, used as people do: watch, cancel, come back, run again, by mouse and by keys.

Debian's Chromium, driven by Playwright: where one of them is missing these tests are skipped. Screenshots
are kept in the folder that PLAIT_SCREENSHOTS names.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import Command

CHROMIUM = shutil.which("chromium")
OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
PATIENCE = 60_000

try:
    from playwright.sync_api import expect, sync_playwright
except ModuleNotFoundError:
    pytest.skip("playwright is not installed: pip install playwright", allow_module_level=True)
if CHROMIUM is None:
    pytest.skip("chromium is not installed: apt-get install chromium", allow_module_level=True)

BRAID = """
import os
from plait import Event, StartEvent, StopEvent, Workflow, step

class Strand(Event):
    number: int
    text: str

class Done(Event):
    number: int

class Braid(Workflow):
    def __init__(self, **options):
        super().__init__(**options)

    @step
    async def begin(self, ev: StartEvent) -> list[Strand]:
        return [Strand(number=n, text="<img src=x onerror=alert(1)>") for n in range(3)]

    @step(num_workers=3)
    async def weave(self, ev: Strand) -> Done:
        import trio
        if not os.path.exists("go"):
            await trio.sleep_forever()
        return Done(number=ev.number)

    @step
    async def tie(self, evs: list[Done]) -> StopEvent:
        return StopEvent(result="tied")
"""
FLOW = """
sources:
  say: {type: process, configuration: {command: [echo, '<script>alert(1)</script>']}}
  gate: {type: process, configuration: {command: [sh, -c, 'test -e go']}}
flow:
  - {name: '<b>say</b>', source: say, output: [{name: o, type: jmespath, value: stdout}]}
  - {name: gate, source: gate, depends_on: '<b>say</b>'}
  - {name: last, source: say, depends_on: gate}
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    profile = tmp_path_factory.mktemp("chromium")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            headless=True,
            args=OPTIONS,
            viewport={"width": 1280, "height": 900},
        )
        context.set_default_timeout(PATIENCE)
        yield context
        context.close()


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PLAIT_JOURNAL", raising=False)
    (tmp_path / "braid.py").write_text(BRAID)
    (tmp_path / "flow.yaml").write_text(FLOW)
    return tmp_path


@contextmanager
def webui(*arguments):
    """Serve a page; its address."""
    with Command("webui", *arguments, "--port", "0") as running:
        address = re.search(r"http://\S+", running.until("open http"))[0]
        yield address
        running.send(signal.SIGINT)
        done = running.wait()
        assert (done.code, "Traceback" in done.err) == (130, False), done.err


@pytest.fixture
def window(browser):
    """Open windows, and look at what they complain about."""
    opened, wrong = [], []

    def open_window(address):
        page = browser.new_page()
        opened.append(page)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(f"a dialog: {dialog.message}"))
        page.on(
            "console",
            lambda line: wrong.append(line.text) if "Content Security" in line.text else None,
        )
        page.goto(address)
        return page

    yield open_window
    for page in opened:
        page.close()
    assert wrong == []


def shot(page, name):
    """Keep a screenshot, if somebody wants to look at it."""
    if folder := os.environ.get("PLAIT_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        # Written here: Playwright would leave a thread behind for it.
        (Path(folder) / f"{name}.png").write_bytes(page.screenshot(full_page=True))


def state(page):
    return expect(page.locator("#state"), "the run's state")


def row(page, name):
    return page.locator("#steps tbody tr").filter(
        has=page.get_by_role("button", name=name, exact=True)
    )


def test_steps_overlap_in_two_windows_and_a_cancel_is_seen_in_both(here, window):
    with webui("braid:Braid") as address:
        one = window(address)
        assert "token" not in one.url
        state(one).to_contain_text("running", timeout=PATIENCE)
        expect(row(one, "weave")).to_contain_text("3/3", timeout=PATIENCE)
        expect(one.locator("g.box.is-running")).to_have_attribute(
            "aria-label", re.compile("weave.*3/3")
        )
        expect(one.locator("#timeline-about")).to_contain_text("4 workers")
        other = window(address)
        expect(row(other, "weave")).to_contain_text("3/3", timeout=PATIENCE)
        shot(one, "running")
        one.reload()
        expect(row(one, "weave")).to_contain_text("3/3", timeout=PATIENCE)
        one.get_by_role("button", name="Cancel", exact=True).click()
        for page in (one, other):
            state(page).to_contain_text("cancelled", timeout=PATIENCE)
            expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_hidden()
        (here / "go").touch()
        one.get_by_role("button", name="Run again").click()
        for page in (one, other):  # a window that looks at no run in particular follows the newest
            state(page).to_contain_text("completed", timeout=PATIENCE)
            expect(page.locator("#runs li")).to_have_count(2)
        shot(one, "completed")


def test_a_flow_fails_is_explained_and_is_resumed(here, window):
    with webui("flow.yaml", "--journal", "runs.db") as address:
        page = window(address)
        state(page).to_contain_text("failed", timeout=PATIENCE)
        expect(page.locator("#failures")).to_contain_text("process exited with code 1")
        expect(row(page, "<b>say</b>")).to_contain_text("succeeded")
        expect(row(page, "last")).to_contain_text("skipped")
        page.get_by_role("button", name="How it came to this").click()
        expect(page.locator("#details")).to_contain_text("Caused by")
        expect(page.get_by_role("button", name="Close")).to_be_focused()
        shot(page, "failed")
        page.keyboard.press("Escape")
        expect(page.locator("#details")).to_be_hidden()
        (here / "go").touch()
        page.get_by_role("button", name="Resume").click()
        state(page).to_contain_text("completed", timeout=PATIENCE)
        expect(row(page, "<b>say</b>")).to_contain_text("reused")
        page.locator("#runs a").last.click()  # the run before it, from the list
        state(page).to_contain_text("failed", timeout=PATIENCE)


def test_data_is_text_and_keys_are_enough(here, window):
    (here / "go").touch()
    with webui("braid:Braid") as address:
        page = window(address)
        state(page).to_contain_text("completed", timeout=PATIENCE)
        assert page.locator("img").count() == 0
        expect(page.locator("#log")).to_contain_text("<img src=x onerror=alert(1)>")
        page.locator("svg.graph g.box[tabindex='0']").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        expect(page.locator("#details")).to_be_visible()
        page.keyboard.press("Escape")
        page.emulate_media(color_scheme="dark")
        shot(page, "dark")
        page.set_viewport_size({"width": 420, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 420, "nothing sticks out"
        shot(page, "narrow")


def test_the_page_of_a_run_says_that_the_server_has_ended(here, window):
    flow = (
        "flow: [{name: a, source: {type: process, configuration: {command: [sh, -c, 'cat go']}}}]"
    )
    (here / "one.yaml").write_text(flow)
    os.mkfifo(here / "go")
    with Command("run", "one.yaml", "--ui", "--status-port", "0") as running:
        page = window(re.search(r"http://\S+", running.until("open http"))[0])
        state(page).to_contain_text("running", timeout=PATIENCE)
        with (here / "go").open("w"):
            pass
        assert running.wait().code == 0
        expect(page.locator("#line")).to_contain_text("The server has ended", timeout=PATIENCE)
        state(page).to_contain_text("completed")


def test_two_thousand_steps_can_be_read(here, window):
    lines = ["sources: {e: {type: env, configuration: {vars: []}}}", "flow:"]
    lines += [f"  - {{name: step_{n}, source: e}}" for n in range(2_000)]
    (here / "many.yaml").write_text("\n".join(lines))
    with webui("many.yaml") as address:
        page = window(address)
        state(page).to_contain_text("completed", timeout=PATIENCE)
        expect(page.locator("#steps-count")).to_contain_text(
            "2000 of 2000 steps, 200 of them shown"
        )
        expect(page.locator("#graph-about")).to_contain_text("too many for a picture")
        page.get_by_label("Name").fill("step_1999")
        expect(page.locator("#steps tbody tr")).to_have_count(1)
        shot(page, "many")
