"""More that people do with the page: keys alone, several windows, a lost connection, light and dark, another site."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests.web.browsing import beside_each_other, expect, row, shot, state, webui
from tests.web.browsing import browser as browser
from tests.web.browsing import here as here
from tests.web.browsing import window as window
from tests.web.served import Page
from tests.web.wire import Wire

FOCUSED = "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"


def numbers(page):
    """The numbers of the records in the log, in its order."""
    return [int(one) for one in page.locator("#log tbody tr td:first-child").all_inner_texts()]


def tab_to(page, name, key="Tab"):
    """Press Tab until something of that name has the focus. A hundred times are enough for any page."""
    for _ in range(100):
        page.keyboard.press(key)
        if re.match(name, page.evaluate(FOCUSED).strip()):
            return
    pytest.fail(f"Tab never came to {name}")


def test_all_of_it_by_keys(here, window):
    with webui("braid:Braid") as address:
        page = window(address)
        expect(row(page, "weave")).to_contain_text("3/3")
        tab_to(page, "Skip to the steps")
        tab_to(page, "Run again")
        tab_to(page, "Cancel")
        # One stop for all boxes: the first of them, and arrows from there.
        tab_to(page, "StartEvent")
        for name in ("begin", "weave", "tie", "StopEvent", "StartEvent", "begin", "weave"):
            page.keyboard.press("ArrowRight")
            assert page.evaluate(FOCUSED).startswith(name)
        page.keyboard.press("Enter")
        expect(page.locator("#details")).to_contain_text("3 deliveries")
        expect(page.get_by_role("button", name="Close")).to_be_focused()
        shot(page, "details")
        page.keyboard.press("Escape")
        expect(page.locator("#details")).to_be_hidden()
        assert page.evaluate(FOCUSED).startswith("weave"), "back where it came from"
        page.keyboard.press("Tab")
        tab_to(page, "Cancel", key="Shift+Tab")
        page.keyboard.press("Enter")
        state(page).to_contain_text("cancelled")
        # What screen readers are told.
        expect(page.locator("#said")).to_have_text("braid:Braid: cancelled")


def test_what_was_missed_while_the_connection_was_lost_is_caught_up_with(here, window):
    with webui("braid:Braid") as address, Wire(address) as wire:
        page = window(wire.address)
        expect(row(page, "weave")).to_contain_text("3/3")
        seen = numbers(page)
        wire.cut()
        expect(page.locator("#line")).to_contain_text("Connection lost; trying again")
        shot(page, "lost")
        # Meanwhile a run ends and another begins.
        server = Page(address)
        run = server.json("/status")["run_id"]
        assert server.press("cancel", run=run)[0] == 202
        server.until(lambda status: status["state"] == "cancelled")
        state(page).to_contain_text("running")
        wire.mend()
        state(page).to_contain_text("cancelled")
        expect(page.locator("#line")).to_be_hidden()
        expect(row(page, "weave")).to_contain_text("cancelled")
        assert numbers(page)[: len(seen)] == seen
        assert numbers(page) == [*range(1, len(numbers(page)) + 1)], "each record once"
        assert len(numbers(page)) > len(seen)


def test_each_window_looks_at_a_run_of_its_own(here, window):
    with webui("braid:Braid") as address:
        one = window(address)
        expect(row(one, "weave")).to_contain_text("3/3")
        one.get_by_role("button", name="Cancel", exact=True).click()
        state(one).to_contain_text("cancelled")
        other = window(address)
        one.locator("#runs a").first.click()  # from now on this window stays with that run
        other.get_by_role("button", name="Run again").click()
        beside_each_other(other, "running", 3)
        (here / "go").touch()
        state(other).to_contain_text("completed")
        beside_each_other(other, "succeeded", 3)
        expect(one.locator("#runs li")).to_have_count(2)
        state(one).to_contain_text("cancelled")
        expect(row(one, "weave")).to_contain_text("cancelled")
        one.reload()
        state(one).to_contain_text("cancelled")
        expect(one.locator("#runs a[aria-current]")).to_contain_text("cancelled")
        one.locator("#runs a").first.click()
        state(one).to_contain_text("completed")
        one.go_back()
        state(one).to_contain_text("cancelled")


#: How much the colours of a text and of what is behind it differ, for each text that is seen.
CONTRASTS = """() => {
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parts = (colour) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => parts(colour).slice(0, 3).map((one) => one / 255)
    .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    .reduce((sum, one, place) => sum + one * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const box = at.matches?.("g.box") ? at.querySelector("rect") : null;
      const colour = box ? getComputedStyle(box).fill : getComputedStyle(at).backgroundColor;
      if (parts(colour)[3] === 255) return colour;
    }
    return "white";
  };
  const found = {};
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || !node.checkVisibility() || node.matches(".unseen, title, option, .count")) continue;
    const style = getComputedStyle(node);
    const colour = node.ownerSVGElement ? style.fill : style.color;
    const [high, low] = [light(colour), light(behind(node))].sort((one, other) => other - one);
    const text = node.textContent.trim().slice(0, 30);
    const name = `${node.tagName.toLowerCase()}.${node.getAttribute("class") ?? ""}: ${text}`;
    found[name] = (high + 0.05) / (low + 0.05);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_in_the_light_and_in_the_dark(here, window, scheme):
    with webui("flow.yaml", "--journal", "runs.db") as address:
        page = window(address)
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        state(page).to_contain_text("failed")
        page.get_by_role("button", name="How it came to this").click()
        expect(page.locator("#details")).to_contain_text("Caused by")
        paper = page.evaluate("getComputedStyle(document.querySelector('.part')).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", paper))) > 3 * 128) == (scheme == "light")
        beside_each_other(page, "succeeded", 1)  # the canvas has the colours of the scheme as well
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) > 40
        # What WCAG asks for: level AA.
        assert {name: one for name, one in contrasts.items() if one < 4.5} == {}
        shot(page, f"failed-{scheme}")


@pytest.fixture
def site(tmp_path):
    """The address of another site. For a browser only its port is another, so it has the page's cookie."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("<!doctype html><h1>Another site</h1>")
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(
        command, cwd=tmp_path / "site", text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        yield re.search(r"http://[^ )]+", server.stdout.readline())[0]
        server.kill()


def test_no_other_site_can_look_press_or_frame(here, window, site):
    with webui("braid:Braid") as address:
        page = window(address)  # its cookie is in this browser from now on
        expect(row(page, "weave")).to_contain_text("3/3")
        server = Page(address)
        run = server.json("/status")["run_id"]
        foreign = window(site, ours=False)
        tried = foreign.evaluate(
            """async ([base, run]) => {
              const tried = {};
              const say = (name, work) => work.then((found) => { tried[name] = found; },
                (error) => { tried[name] = error.name; });
              await say("read", fetch(`${base}/status`, { credentials: "include" }).then((one) => one.text()));
              await say("json", fetch(`${base}/api/cancel`, {
                method: "POST", credentials: "include", body: JSON.stringify({ run }),
                headers: { "content-type": "application/json" } }).then((one) => one.text()));
              // Sent without asking, as a form is; what comes back cannot be seen.
              await say("plain", fetch(`${base}/api/cancel`, {
                method: "POST", mode: "no-cors", credentials: "include", body: JSON.stringify({ run }),
              }).then((one) => one.type));
              const frame = document.createElement("iframe");
              frame.src = base;
              const loaded = new Promise((done) => { frame.onload = frame.onerror = done; });
              document.body.append(frame);
              await loaded;
              tried.frame = frame.contentDocument === null ? "closed" : "open";
              return tried;
            }""",
            [server.base, run],
        )
        assert tried == {
            "read": "TypeError",
            "json": "TypeError",
            "plain": "TypeError",  # Cross-Origin-Resource-Policy
            "frame": "closed",
        }, json.dumps(tried)
        assert foreign.frames[1].locator("#state").count() == 0
        assert server.json("/status")["state"] == "running"
        state(page).to_contain_text("running")
