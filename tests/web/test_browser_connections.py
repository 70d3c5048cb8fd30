"""What a window says of its connection, and what it holds; what it says where there is nothing, or very much."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from tests.web.browsing import browser as browser
from tests.web.browsing import expect, row, shot, state, webui
from tests.web.browsing import here as here
from tests.web.browsing import window as window
from tests.web.wire import Wire

#: So many windows need more connections than a browser has for one server.
MANY = 8


def seen(page, *, by_people):
    """Let a window think that it is seen, or that it is not."""
    page.evaluate(
        """(hidden) => {
          Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        not by_people,
    )


def numbers(page):
    return [int(one) for one in page.locator("#log tbody tr td:first-child").all_inner_texts()]


def test_windows_that_nobody_sees_leave_the_connections_to_others(here, window):
    with webui("braid:Braid") as address:
        pages = []
        for _ in range(MANY):
            page = window(address)
            expect(row(page, "weave")).to_contain_text("3/3")
            seen(page, by_people=False)
            pages.append(page)
        (here / "go").touch()
        # They are told all the same, if later: a tab's title says how its run stands.
        for page in pages:
            expect(page).to_have_title(re.compile("^✓ "))
        first = pages[0]
        seen(first, by_people=True)
        first.get_by_role("button", name="Run again").click()
        expect(first.locator("#runs li")).to_have_count(2)
        state(first).to_contain_text("completed")
        assert numbers(first) == [*range(1, len(numbers(first)) + 1)], "each record once"


def test_a_run_that_is_not_there_is_said_not_to_be(here, window):
    with webui("braid:Braid") as address:
        page = window(address)
        expect(row(page, "weave")).to_contain_text("3/3")
        page.goto(address.partition("?")[0] + "#run=nobody")
        expect(page.locator("#line")).to_contain_text("The server has no such run")
        page.locator("#runs a").first.click()
        expect(row(page, "weave")).to_contain_text("3/3")
        expect(page.locator("#line")).to_be_hidden()


def test_a_window_outlives_its_server(here, window, monkeypatch):
    monkeypatch.setenv("PLAIT_TOKEN", "the-same-for-both-of-them")
    with webui("braid:Braid") as address, Wire(address) as wire:
        page = window(wire.address)
        expect(row(page, "weave")).to_contain_text("3/3")
        before = page.locator("#facts").inner_text()
        wire.cut()
        expect(page.locator("#line")).to_contain_text("Connection lost")
        for name in ("Run again", "Cancel"):
            expect(page.get_by_role("button", name=name, exact=True)).to_be_disabled()
        with webui("braid:Braid") as another:
            wire._address = urlsplit(another)
            wire.mend()
            # It follows the newest run, as it did before; the old one is not there any more.
            expect(page.locator("#line")).to_be_hidden()
            expect(page.locator("#facts")).not_to_contain_text(before.partition(" · ")[0])
            expect(row(page, "weave")).to_contain_text("3/3")
            expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_enabled()
            shot(page, "server-anew")


def test_who_reads_the_details_by_keys_stays_there_while_they_change(here, window):
    with webui("braid:Braid") as address:
        page = window(address)
        row(page, "weave").get_by_role("button").click()
        one = page.locator("#details-body").get_by_role("button").first
        name = one.inner_text()
        one.focus()
        (here / "go").touch()
        expect(page.locator("#details-body")).to_contain_text("succeeded")
        expect(page.locator("#log")).to_contain_text("closed")
        assert page.evaluate("document.activeElement.textContent") == name


def test_nothing_can_be_pressed_when_the_server_has_ended(here, window):
    with webui("braid:Braid") as address:
        page = window(address)
        expect(row(page, "weave")).to_contain_text("3/3")
    expect(page.locator("#line")).to_contain_text("The server has ended")
    for name in ("Run again", "Cancel"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_hidden()


APP = """
from plait.durable import App, TriggerEvent

app = App("shop", journal="app.db")

@app.create_function(fn_id="pay", trigger=TriggerEvent("order/placed"))
async def pay(ctx) -> str:
    return "paid"
"""


def test_where_there_is_nothing_yet_a_word_says_so(here, window):
    (here / "served.py").write_text(APP)
    with webui("served:app") as address:
        page = window(address)
        expect(page.locator(".runs")).to_contain_text("There is no run yet.")
        expect(page.locator("#timeline-about")).to_have_text("Nothing has begun yet.")
        expect(page.locator("#steps-part")).to_contain_text("No step is known yet.")
        expect(page.locator("#log-count")).to_have_text("Nothing has happened yet.")
        for empty in ("#timeline canvas", "#steps", "#log"):
            expect(page.locator(empty)).to_be_hidden()
        shot(page, "nothing-yet")
    expect(page.locator("#line")).to_contain_text("The server has ended")


LONG = """
from plait import StartEvent, StopEvent, Workflow, step

class Long(Workflow):
    @step
    async def fail(self, ev: StartEvent) -> StopEvent:
        raise ValueError("what went wrong, " * 200)
"""


def test_a_long_message_is_folded_and_can_be_had(here, window):
    (here / "long.py").write_text(LONG)
    with webui("long:Long") as address:
        page = window(address)
        state(page).to_contain_text("failed")
        page.get_by_role("button", name="How it came to this").click()
        for part in ("#failures", "#details-body", "#steps", "#log"):
            box = page.locator(part)
            expect(box).to_contain_text("what went wrong")
            assert box.bounding_box()["height"] < 800, part
        said = page.locator("#details .folded summary").first
        said.press("Enter")
        expect(page.locator("#details .folded pre").first).to_be_visible()
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 760, "height": 1000})
        # Nobody waits until the timeline has been drawn anew.
        page.evaluate("document.querySelector('#timeline canvas').style.width = '1240px'")
        assert page.evaluate("document.documentElement.scrollWidth") <= 760, "all of it is on paper"
        assert page.locator("#run").is_hidden()
        shot(page, "printed")
