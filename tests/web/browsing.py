"""Looking at pages as people do: Debian's Chromium, driven by Playwright, and what to look at.

Where one of them is missing, whoever imports this is skipped. Screenshots are kept in the folder that
PLAIT_SCREENSHOTS names, in CI in `build/screenshots`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Command

CHROMIUM = shutil.which("chromium")
OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
PATIENCE = 60_000
SCREENSHOTS = os.environ.get("PLAIT_SCREENSHOTS") or (
    ROOT / "build" / "screenshots" if os.environ.get("CI") else None
)

try:
    from playwright.sync_api import expect, sync_playwright
except ModuleNotFoundError:
    pytest.skip("playwright is not installed: pip install playwright", allow_module_level=True)
if CHROMIUM is None:
    pytest.skip("chromium is not installed: apt-get install chromium", allow_module_level=True)
expect.set_options(timeout=PATIENCE)

#: Its three strands run until there is a file `go`.
BRAID = """
import os
import trio
from plait import Event, StartEvent, StopEvent, Workflow, step

class Strand(Event):
    number: int
    text: str

class Done(Event):
    number: int

class Braid(Workflow):
    @step
    async def begin(self, ev: StartEvent) -> list[Strand]:
        return [Strand(number=n, text="<img src=x onerror=alert(1)>") for n in range(3)]

    @step(num_workers=3)
    async def weave(self, ev: Strand) -> Done:
        while not os.path.exists("go"):
            await trio.sleep(0.02)
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
    """A folder with a workflow and a flow, which is the current one."""
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
def window(browser, request):
    """Open windows, and look at what they complain about."""
    opened, wrong = [], []

    def open_window(address, *, ours=True):
        page = browser.new_page()
        opened.append(page)
        if not ours:
            page.goto(address)
            return page
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(f"a dialog: {dialog.message}"))
        page.on(
            "console",
            lambda line: wrong.append(line.text) if "Content Security" in line.text else None,
        )
        page.goto(address)
        return page

    failed = request.session.testsfailed
    yield open_window
    for number, page in enumerate(opened):
        if request.session.testsfailed > failed:
            shot(page, f"FAILED-{request.node.name}-{number}")
        page.close()
    assert wrong == []


def shot(page, name):
    """Keep a screenshot, if somebody wants to look at it."""
    if SCREENSHOTS:
        folder = Path(SCREENSHOTS)
        folder.mkdir(parents=True, exist_ok=True)
        page.evaluate("scrollTo(0, 0)")  # or the head of the page is in its middle
        # Written here: Playwright would leave a thread behind for it.
        (folder / f"{name}.png").write_bytes(page.screenshot(full_page=True))


def state(page):
    return expect(page.locator("#state"), "the run's state")


def row(page, name):
    return page.locator("#steps tbody tr").filter(
        has=page.get_by_role("button", name=name, exact=True)
    )


def beside_each_other(page, colour, number):
    """Wait until the timeline has bars of a state in so many rows, at least, that one moment cuts all of them."""
    assert page.evaluate(
        """async ([colour, number, patience]) => {
          const pen = document.createElement("canvas").getContext("2d");
          pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(`--${colour}`);
          pen.fillRect(0, 0, 1, 1);
          const wanted = pen.getImageData(0, 0, 1, 1).data;
          const canvas = document.querySelector("#timeline canvas");
          const most = () => {
            const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const same = (x, y) => [0, 1, 2].every((part) => data[4 * (y * width + x) + part] === wanted[part]);
            let found = 0;
            for (let x = 0; x < width; x += 1) {
              // A bar has sixteen lines. Letters and the sign of what goes on interrupt it.
              let [bars, lines] = [0, 0];
              for (let y = 0; y < height; y += 1) {
                lines = same(x, y) ? lines + 1 : 0;
                if (lines === 10) bars += 1;
              }
              found = Math.max(found, bars);
            }
            return found;
          };
          const end = performance.now() + patience;
          while (most() < number && performance.now() < end) await new Promise(requestAnimationFrame);
          return most() >= number;
        }""",
        [colour, number, PATIENCE],
    ), f"never {number} bars of {colour} beside each other"
