"""The page in a real browser, used as people do: watch, cancel, come back, run again, resume."""

from __future__ import annotations

import os
import re

from tests.cli.conftest import Command
from tests.web.browsing import beside_each_other, expect, row, shot, state, webui
from tests.web.browsing import browser as browser
from tests.web.browsing import here as here
from tests.web.browsing import window as window


def test_steps_overlap_in_two_windows_and_a_cancel_is_seen_in_both(here, window):
    with webui("braid:Braid") as address:
        one = window(address)
        assert "token" not in one.url
        state(one).to_contain_text("running")
        expect(row(one, "weave")).to_contain_text("3/3")
        expect(one.locator("g.box.is-running")).to_have_attribute(
            "aria-label", re.compile("weave.*3/3")
        )
        expect(one.locator("#timeline-about")).to_contain_text("4 workers")
        beside_each_other(one, "running", 3)
        other = window(address)
        expect(row(other, "weave")).to_contain_text("3/3")
        shot(one, "running")
        one.reload()
        expect(row(one, "weave")).to_contain_text("3/3")
        one.get_by_role("button", name="Cancel", exact=True).click()
        for page in (one, other):
            state(page).to_contain_text("cancelled")
            expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_hidden()
        one.get_by_role("button", name="Run again").click()
        for page in (one, other):
            beside_each_other(page, "running", 3)
        (here / "go").touch()
        for page in (one, other):  # a window that looks at no run in particular follows the newest
            state(page).to_contain_text("completed")
            expect(page.locator("#runs li")).to_have_count(2)
            beside_each_other(page, "succeeded", 3)
        shot(one, "completed")


def test_a_flow_fails_is_explained_and_is_resumed(here, window):
    with webui("flow.yaml", "--journal", "runs.db") as address:
        page = window(address)
        state(page).to_contain_text("failed")
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
        state(page).to_contain_text("completed")
        expect(row(page, "<b>say</b>")).to_contain_text("reused")
        page.locator("#runs a").last.click()  # the run before it, from the list
        state(page).to_contain_text("failed")


def test_data_is_text_and_keys_are_enough(here, window):
    (here / "go").touch()
    with webui("braid:Braid") as address:
        page = window(address)
        state(page).to_contain_text("completed")
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
        state(page).to_contain_text("running")
        with (here / "go").open("w"):
            pass
        assert running.wait().code == 0
        expect(page.locator("#line")).to_contain_text("The server has ended")
        state(page).to_contain_text("completed")


#: Nodes that a window may have, whatever the run: a browser takes ten times as many at once without a stutter.
MOST_NODES = 15_000


def test_two_thousand_steps_can_be_read(here, window):
    lines = ["sources: {e: {type: env, configuration: {vars: []}}}", "flow:"]
    lines += ["  - {name: gate, source: {type: process, configuration: {command: [cat, gate]}}}"]
    lines += [f"  - {{name: step_{n}, source: e, depends_on: gate}}" for n in range(2_000)]
    (here / "many.yaml").write_text("\n".join(lines))
    os.mkfifo(here / "gate")
    with webui("many.yaml") as address:
        page = window(address)
        expect(row(page, "gate")).to_contain_text("running")
        # At any moment of the run, and not only at its end.
        page.evaluate(
            """() => {
              window.most = 0;
              const look = () => { window.most = Math.max(window.most, document.querySelectorAll("*").length); };
              new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
              look();
            }"""
        )
        with (here / "gate").open("w"):
            pass
        state(page).to_contain_text("completed")
        expect(page.locator("#steps-count")).to_contain_text(
            "2001 of 2001 steps, 200 of them shown"
        )
        expect(page.locator("#graph-about")).to_contain_text("too many for a picture")
        expect(page.locator("#log-count")).to_contain_text(re.compile("300 of 6[0-9]{3} records"))
        assert 2_000 < page.evaluate("window.most") < MOST_NODES
        page.get_by_role("button", name="Show more").click()
        expect(page.locator("#steps-count")).to_contain_text("1200 of them shown")
        page.get_by_label("Name").fill("step_1999")
        expect(page.locator("#steps tbody tr")).to_have_count(1)
        # What is over is still: nothing is made anew to stay as it was.
        assert (
            page.evaluate(
                """async () => {
                  let changes = 0;
                  new MutationObserver((found) => { changes += found.length; })
                    .observe(document.body, { childList: true, subtree: true, attributes: true });
                  for (let frame = 0; frame < 60; frame += 1) await new Promise(requestAnimationFrame);
                  return changes;
                }"""
            )
            == 0
        )
        shot(page, "many")


def test_the_log_follows_until_somebody_scrolls_up(here, window):
    os.mkfifo(here / "gate")
    command = "{type: process, configuration: {command: [cat, gate]}}"
    names = [f"a_step_with_a_long_name_that_has_to_be_wrapped_{n}" for n in range(3)]
    lines = ["sources: {e: {type: env, configuration: {vars: []}}}", "flow:"]
    lines += [f"  - {{name: {name}, source: e}}" for name in names]
    lines += [f"  - {{name: gate, source: {command}, depends_on: [{', '.join(names)}]}}"]
    lines += ["  - {name: last, source: e, depends_on: gate}"]
    (here / "long.yaml").write_text("\n".join(lines))
    box = "document.querySelector('#log-box')"
    left = f"({box}.scrollHeight - {box}.scrollTop - {box}.clientHeight)"
    with webui("long.yaml") as address:
        page, other = window(address), window(address)
        for one in (page, other):
            expect(row(one, "gate")).to_contain_text("running")
            one.set_viewport_size({"width": 420, "height": 800})  # lines wrap now that did not
            one.wait_for_function(f"() => {box}.scrollTop > 40 && {left} < 2")
        other.locator("#log-box").hover()
        other.mouse.wheel(0, -200)
        other.wait_for_function(f"() => {left} > 40")
        with (here / "gate").open("w"):
            pass
        for one in (page, other):
            state(one).to_contain_text("completed")
            expect(one.locator("#log")).to_contain_text("closed")
        assert page.evaluate(left) < 2
        page.set_viewport_size(
            {"width": 320, "height": 800}
        )  # nothing is drawn anew when all is over
        page.wait_for_function(f"() => {left} < 2")
        assert other.evaluate(left) > 40
