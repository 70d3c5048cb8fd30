"""Make the pictures of the documentation: `make screenshots`, or `docs/screenshots.py [FOLDER] [--only NAME...]`.

Nothing is drawn by hand. The programs of two pages are run for their pictures, and the live page is opened in a
browser, Debian's Chromium, while real runs go on. Look at what comes out before you commit it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import trio
from trio.testing import MockClock

from plait import HumanResponseEvent, viz

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
OPTIONS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
TIMELINE = "main > section:has(#timeline)"
#: Milliseconds to wait for what must come.
PATIENCE = 60_000

#: Six parcels, three packers, two scales. A box breaks once. The last parcels wait for the file `go`, so that there is
#: time to look.
SHOP = '''
import os
import trio
from plait import Event, StartEvent, StopEvent, Workflow, step
from plait.retry import ConstantDelayRetryPolicy

class Parcel(Event):
    number: int

class Packed(Event):
    number: int

class Weighed(Event):
    number: int
    grams: int

class Shop(Workflow):
    """Pack and weigh an order."""

    broken = False

    @step
    async def order(self, ev: StartEvent) -> list[Parcel]:
        return [Parcel(number=n) for n in range(1, 7)]

    @step(num_workers=3, retry_policy=ConstantDelayRetryPolicy(maximum_attempts=3, delay=0.4))
    async def pack(self, ev: Parcel) -> Packed:
        await trio.sleep(0.4 + 0.15 * ev.number)
        if ev.number == 2 and not self.broken:
            self.broken = True
            raise ValueError("the box broke")
        while ev.number > 4 and not os.path.exists("go"):
            await trio.sleep(0.05)
        return Packed(number=ev.number)

    @step(num_workers=2)
    async def weigh(self, ev: Packed) -> Weighed:
        await trio.sleep(0.5)
        return Weighed(number=ev.number, grams=250 * ev.number)

    @step
    async def ship(self, evs: list[Weighed]) -> StopEvent:
        return StopEvent(result={"parcels": len(evs), "grams": sum(ev.grams for ev in evs)})
'''

#: A flow that fails: one of its steps does not succeed in three attempts, and who waits for it is skipped.
NIGHTLY = """
sources:
  shell: {type: process, configuration: {timeout: 10s}}
flow:
  - {name: orders, source: shell, input: {command: [sleep, "0.3"]}}
  - {name: prices, source: shell, input: {command: [sleep, "0.8"]}}
  - name: stock
    source: shell
    depends_on: [orders]
    retry: {attempts: 3, delay: 300ms, factor: 1, jitter: 0}
    input: {command: [sh, -c, "sleep 0.3; echo 'stock: connection refused' >&2; exit 3"]}
  - {name: invoices, source: shell, depends_on: [orders, prices], input: {command: [sleep, "0.6"]}}
  - {name: report, source: shell, depends_on: [stock, invoices], input: {command: [echo, done]}}
"""

Make = Callable[[Path, "Browser | None"], None]
PICTURES: dict[str, Make] = {}


def picture(name: str) -> Callable[[Make], Make]:
    """Let the decorated function make the picture of this name."""

    def register(make: Make) -> Make:
        PICTURES[name] = make
        return make

    return register


# -- pictures that plait draws -------------------------------------------------------------------


def program(page: str) -> dict[str, Any]:
    """Run the first Python block of a page; its names."""
    text = (ROOT / "docs" / "howto" / page).read_text(encoding="utf-8")
    found = re.search(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no program"
    names: dict[str, Any] = {"__name__": "__main__"}
    with redirect_stdout(StringIO()):
        exec(compile("\n" * text[: found.start()].count("\n") + found[1], page, "exec"), names)
    return names


async def shipped() -> Any:
    """Run the workflow of `see-what-happened.md` as that page does."""
    run = program("see-what-happened.md")["Shop"]().run(run_id="monday")
    run.trace()
    async with run:
        await trio.sleep(5)
        run.send_event(HumanResponseEvent(response="signed"))
    return run


@picture("plan.svg")
def plan(path: Path, _: Browser | None) -> None:
    path.write_text(viz.draw(program("pictures.md")["Digest"], "svg"), encoding="utf-8")


@picture("timeline.svg")
def timeline(path: Path, _: Browser | None) -> None:
    viz.draw_timeline(trio.run(shipped, clock=MockClock(autojump_threshold=0)), str(path))


@picture("execution.png")
def execution(path: Path, browser: Browser | None) -> None:
    assert browser
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "shop.html"
        run = trio.run(shipped, clock=MockClock(autojump_threshold=0))
        viz.draw_most_recent_execution(run, filename=str(page))
        path.write_bytes(browser.open(page.as_uri()).screenshot())


# -- the live page -------------------------------------------------------------------------------


class Browser:
    """Chromium, for as long as a block."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def open(self, address: str, *, dark: bool = False) -> Any:
        window = self._context.new_page()
        scheme = "dark" if dark else "light"
        window.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        window.goto(address)
        return window


@contextmanager
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium")
    if found is None:
        sys.exit("screenshots: chromium is not installed. On Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=OPTIONS)
        context = browser.new_context(viewport={"width": 1160, "height": 800})
        context.set_default_timeout(PATIENCE)
        yield Browser(context)
        browser.close()


@contextmanager
def webui(*arguments: str, folder: Path) -> Iterator[str]:
    """Serve the live page from a folder; its address."""
    command = [sys.executable, "-m", "plait", "webui", *arguments, "--port", "0"]
    with subprocess.Popen(command, cwd=folder, text=True, stderr=subprocess.PIPE) as server:
        said = ""
        assert server.stderr
        for line in server.stderr:
            said += line
            if found := re.search(r"http://\S+", line):
                yield found[0]
                break
        else:
            sys.exit(f"screenshots: plait webui did not start: {said}")
        server.send_signal(signal.SIGINT)
        server.communicate()


def until(window: Any, selector: str, text: str) -> None:
    """Wait until there is such an element with this text."""
    window.locator(selector).filter(has_text=re.compile(text)).first.wait_for()


def upper_part(window: Any, last: str) -> bytes:
    """Take a picture of the page down to the end of a part."""
    box = window.locator(last).bounding_box()
    width = window.viewport_size["width"]
    clip = {"x": 0, "y": 0, "width": width, "height": box["y"] + box["height"] + 14}
    return window.screenshot(full_page=True, clip=clip)


def packing(path: Path, browser: Browser | None, *, dark: bool) -> None:
    """Four of six parcels are packed and weighed, two are on their way."""
    assert browser
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "shop.py").write_text(SHOP, encoding="utf-8")
        with webui("shop:Shop", folder=folder) as address:
            window = browser.open(address, dark=dark)
            until(window, "g.box[aria-label^=pack]", "2/3 · 4 done")
            until(window, "g.box[aria-label^=weigh]", "succeeded 4 done")
            path.write_bytes(upper_part(window, "#steps-part"))
            (folder / "go").touch()
            until(window, "#state", "completed")


@picture("live.png")
def live(path: Path, browser: Browser | None) -> None:
    packing(path, browser, dark=False)


@picture("live-dark.png")
def live_dark(path: Path, browser: Browser | None) -> None:
    packing(path, browser, dark=True)


@picture("live-failed.png")
def live_failed(path: Path, browser: Browser | None) -> None:
    """All three attempts have failed; how it came to this is open."""
    assert browser
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "nightly.yaml").write_text(NIGHTLY, encoding="utf-8")
        with webui("nightly.yaml", "--journal", "runs.db", folder=folder) as address:
            window = browser.open(address)
            until(window, "#state", "failed")
            window.get_by_role("button", name="How it came to this").click()
            until(window, "#details", "Attempts")
            path.write_bytes(upper_part(window, TIMELINE))


@picture("live-flow.png")
def live_flow(path: Path, browser: Browser | None) -> None:
    """The flow file that `make run` runs."""
    assert browser
    python = f"python={sys.executable}"
    with webui("audit.yaml", "--set", python, folder=ROOT / "examples") as address:
        window = browser.open(address)
        until(window, "#state", "completed")
        path.write_bytes(upper_part(window, TIMELINE))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=IMAGES)
    parser.add_argument("--only", nargs="+", choices=PICTURES, metavar="NAME", default=[*PICTURES])
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    folder = asked.folder.resolve()
    os.environ.pop("PLAIT_JOURNAL", None)
    with chromium() as browser:
        for name in asked.only:
            path = folder / name
            if path.suffix == ".png":
                PICTURES[name](path, browser)
    for name in asked.only:  # without the browser, whose event loop is in the way of others
        if name.endswith(".svg"):
            PICTURES[name](folder / name, None)
    for name in asked.only:
        print(f"{name}: {(folder / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
