"""The page in a real browser: begin again with the same input, walk through a large graph, answer questions."""

from __future__ import annotations

import re
import signal
import socket

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.sync_api import expect

from tests.cli.conftest import Command
from tests.web.browsing import (
    PATIENCE,
    browser,
    here,
    row,
    shot,
    state,
    webui,
    window,
)
from tests.web.served import Page

__all__ = ["browser", "here", "window"]

SHOP = """
import os
from plait import Event, StartEvent, StopEvent, Workflow, step

class Order(StartEvent):
    item: str = "tea"

class Priced(Event):
    item: str
    price: int

class Shop(Workflow):
    @step
    async def price(self, ev: Order) -> Priced:
        return Priced(item=ev.item, price=3)

    @step
    async def pay(self, ev: Priced) -> StopEvent:
        if not os.path.exists("go"):
            raise ValueError(f"no money for {ev.item}")
        return StopEvent(result=f"{ev.item} is paid")
"""

ASKING = """
from typing import Literal
from plait import Context, Event, InputRequiredEvent, HumanResponseEvent, StartEvent, StopEvent, Workflow, step

class Ask(InputRequiredEvent):
    question: str
    order: int

class Decision(Event):
    approved: bool
    amount: int
    speed: Literal["slow", "fast"] = "slow"
    note: str = ""
    user: str

class Approval(Workflow):
    @step
    async def decide(self, ctx: Context, ev: StartEvent) -> InputRequiredEvent:
        question = Ask(question="Pay <img src=x onerror=alert(1)> for order 7?", order=7)
        self.found = await ctx.wait_for_event(Decision, waiter_event=question, requirements={"user": "ann"})
        return InputRequiredEvent(prefix="What shall the receipt say?")

    @step
    async def receipt(self, ev: HumanResponseEvent) -> StopEvent:
        return StopEvent(result=f"{self.found.amount} {self.found.speed} {ev.response}")
"""


def test_a_failed_run_is_begun_again_with_its_input_by_keys(here, window):
    (here / "shop.py").write_text(SHOP)
    with webui("shop:Shop", "--journal", "runs.db", "--set", "item=coffee") as address:
        page = window(address)
        state(page).to_contain_text("failed", timeout=PATIENCE)
    (here / "go").touch()
    # Another process, which would begin with another input by itself.
    with webui("shop:Shop", "--journal", "runs.db") as address:
        page = window(address)
        state(page).to_contain_text("completed", timeout=PATIENCE)
        expect(page.get_by_role("button", name="Retry")).to_be_hidden()
        page.get_by_role("link").filter(has_text="failed").click()
        state(page).to_contain_text("failed", timeout=PATIENCE)
        shot(page, "retry")
        retry = page.get_by_role("button", name="Retry")
        retry.focus()
        page.keyboard.press("Enter")
        state(page).to_contain_text("completed", timeout=PATIENCE)
        expect(page.locator("#result")).to_contain_text("coffee is paid")
        expect(page.locator("#runs li")).to_have_count(3)


def test_a_run_of_a_journal_has_a_graph_of_its_own(here, window):
    (here / "shop.py").write_text(SHOP)
    with Command("run", "shop:Shop", "--journal", "runs.db", "-q") as running:
        assert running.wait().code == 1
    with webui("--journal", "runs.db") as address:
        page = window(address)
        state(page).to_contain_text("failed", timeout=PATIENCE)
        box = page.get_by_role("button", name=re.compile("^pay: failed"))
        expect(box).to_be_visible(timeout=PATIENCE)
        expect(page.locator("#graph-about")).to_contain_text("Drawn from the records")
        expect(page.locator("svg.graph")).to_contain_text("Priced")
        shot(page, "records")
        page.emulate_media(color_scheme="dark")
        shot(page, "records-dark")


def test_a_large_graph_is_walked_through_by_keys(here, window):
    lines = ["sources: {e: {type: env, configuration: {vars: []}}}", "flow:"]
    for n in range(2_000):
        needs = f", depends_on: [step_{n - 7}, step_{n - 9}]" if n >= 9 else ""
        lines.append(f"  - {{name: step_{n}, source: e{needs}}}")
    (here / "many.yaml").write_text("\n".join(lines))
    with webui("many.yaml") as address:
        page = window(address)
        state(page).to_contain_text("completed", timeout=PATIENCE)
        about = page.get_by_role("status").filter(has_text="too many for a picture")
        expect(about).to_contain_text("Choose one in the table of steps")
        page.get_by_label("Name").fill("step_1000")
        page.get_by_role("button", name="step_1000", exact=True).first.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#details")).to_be_visible()
        here_box = page.locator("g.box[data-at]")
        expect(here_box).to_have_attribute("aria-label", re.compile("^step_1000: succeeded"))
        expect(page.locator("g.box")).to_have_count(13)
        expect(page.locator("#graph-about")).to_contain_text("13 of 2000 boxes")
        shot(page, "around")
        # On to a neighbour, and the keys are on its box when the details are closed.
        page.keyboard.press("Escape")
        page.locator("g.box[tabindex='0']").focus()
        page.keyboard.press("ArrowRight")
        before = page.evaluate("document.activeElement.getAttribute('aria-label')").split(":")[0]
        page.keyboard.press("Enter")
        expect(page.locator("g.box[data-at]")).to_have_attribute(
            "aria-label", re.compile(f"^{before}:")
        )
        page.keyboard.press("Escape")
        expect(page.locator("g.box[data-at]")).to_be_focused()
        page.emulate_media(color_scheme="dark")
        shot(page, "around-dark")
        expect(row(page, "step_1000")).to_be_visible()


def test_questions_are_answered_by_keys_and_gone_in_every_window(here, window):
    (here / "asking.py").write_text(ASKING)
    with webui("asking:Approval") as address:
        page, other = window(address), window(address)
        asked = page.get_by_role("article", name="Pay <img src=x onerror=alert(1)> for order 7?")
        expect(asked).to_contain_text('waits for Decision with user = "ann"', timeout=PATIENCE)
        expect(other.get_by_role("article", name="Pay")).to_be_visible(timeout=PATIENCE)
        assert page.locator("img").count() == 0
        expect(page.locator("#said")).to_contain_text("decide asks Pay")
        assert page.title().startswith("?")
        # What is wrong is said beside the field, by the browser's part and by the server's.
        send = asked.get_by_role("button", name="Send")
        send.click()
        amount = asked.get_by_label("amount")
        expect(amount).to_have_accessible_description("is needed")
        expect(amount).to_be_focused()
        page.keyboard.type("1.5")
        page.keyboard.press("Enter")
        expect(amount).to_have_accessible_description("must be a whole number")
        shot(page, "question")
        page.emulate_media(color_scheme="dark")
        shot(page, "question-dark")
        page.emulate_media(color_scheme="light")
        amount.fill("12")
        asked.get_by_label("approved").press("Space")
        asked.get_by_label("speed").select_option("fast")
        send.press("Enter")
        # The next question, of a class that takes any field.
        free = page.get_by_label("The answer, as JSON")
        expect(free).to_be_focused(timeout=PATIENCE)
        expect(other.get_by_role("article", name="Pay")).to_have_count(0, timeout=PATIENCE)
        free.fill("[]")
        page.get_by_role("button", name="Send").press("Enter")
        expect(free).to_have_accessible_description(re.compile("must be a JSON object"))
        page.set_viewport_size({"width": 420, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 420, "nothing sticks out"
        shot(page, "question-narrow")
        free.fill('{"response": "thanks"}')
        page.get_by_role("button", name="Send").press("Enter")
        for one in (page, other):
            state(one).to_contain_text("completed", timeout=PATIENCE)
            expect(one.locator("#result")).to_contain_text("12 fast thanks")
            expect(one.get_by_role("heading", name="Waiting for an answer")).to_be_hidden()


APP = """
from plait import Event
from plait.durable import App, TriggerEvent

app = App("shop", journal="app.db")

class OrderPlaced(Event):
    number: int
    express: bool = False

@app.create_function(fn_id="pay", trigger=[TriggerEvent(OrderPlaced), TriggerEvent("order/old")], retries=0)
async def pay(ctx) -> str:
    async def look_up():
        return 7
    number = await ctx.step.run("look up", look_up)
    await ctx.step.wait_for_event("confirm", event="order/confirmed", timeout=10_000.0)
"""


def test_an_app_of_another_process_is_sent_an_event(here, window):
    """Its runs come up in its journal some time later, and are no news of the page."""
    (here / "served.py").write_text(APP)
    with webui("served:app") as runner, webui("--runner", runner) as address:
        page = window(address)
        page.get_by_text("Send an event, which begins runs").press("Enter")
        page.get_by_label("number").fill("7")
        page.get_by_role("button", name="Send").press("Enter")
        state(page).to_contain_text("running", timeout=PATIENCE)
        page.get_by_role("button", name="Cancel", exact=True).press("Enter")
        state(page).to_contain_text("cancelled", timeout=PATIENCE)
        page.get_by_role("button", name="Retry").press("Enter")
        state(page).to_contain_text("running", timeout=PATIENCE)
        expect(page.locator("#runs li")).to_have_count(2, timeout=PATIENCE)


def test_an_app_is_sent_an_event_and_its_run_is_cancelled(here, window):
    (here / "served.py").write_text(APP)
    with webui("served:app") as address:
        page = window(address)
        sends = page.get_by_text("Send an event, which begins runs")
        expect(sends).to_be_visible(timeout=PATIENCE)  # what is hidden takes no keys
        sends.press("Enter")
        page.get_by_label("number").fill("7")
        page.get_by_role("button", name="Send").press("Enter")
        expect(page.get_by_role("button", name="Send again")).to_be_visible(timeout=PATIENCE)
        state(page).to_contain_text("running", timeout=PATIENCE)
        expect(page.get_by_role("button", name=re.compile("^confirm: waiting"))).to_be_visible(
            timeout=PATIENCE
        )
        shot(page, "app")
        page.get_by_role("button", name="Cancel", exact=True).press("Enter")
        state(page).to_contain_text("cancelled", timeout=PATIENCE)
        expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_hidden()
        page.emulate_media(color_scheme="dark")
        shot(page, "app-dark")
        page.get_by_role("button", name="Retry").press("Enter")
        state(page).to_contain_text("running", timeout=PATIENCE)
        expect(page.locator("#runs li")).to_have_count(2, timeout=PATIENCE)


def test_a_window_on_the_runs_of_another_process_has_their_buttons(here, window):
    (here / "asking.py").write_text(ASKING)
    with webui("asking:Approval") as runner, webui("--runner", runner) as address:
        page = window(address)
        asked = page.get_by_role("article", name="Pay")
        send = asked.get_by_role("button", name="Send")
        expect(send).to_be_visible(timeout=PATIENCE)
        send.click()
        amount = asked.get_by_label("amount")
        expect(amount).to_have_accessible_description("is needed")
        amount.fill("20")
        send.click()
        expect(page.get_by_label("The answer, as JSON")).to_be_visible(timeout=PATIENCE)
        page.get_by_role("button", name="Cancel", exact=True).click()
        state(page).to_contain_text("cancelled", timeout=PATIENCE)
        page.get_by_role("button", name="Run again").click()
        state(page).to_contain_text("idle", timeout=PATIENCE)
        expect(page.locator("#runs li")).to_have_count(2, timeout=PATIENCE)
        expect(send).to_be_visible(timeout=PATIENCE)


def test_a_window_goes_on_with_a_runner_that_was_begun_anew(here, window, monkeypatch):
    (here / "shop.py").write_text(SHOP)
    monkeypatch.setenv("PLAIT_TOKEN", "agreed-on-by-both")
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = str(reserved.getsockname()[1])
    with webui("--runner", f"http://127.0.0.1:{port}/?token=agreed-on-by-both") as address:
        with Command("webui", "shop:Shop", "--port", port) as runner:
            runner.until("open http")
            page = window(address)
            state(page).to_contain_text("failed", timeout=PATIENCE)
            page.get_by_role("button", name="Run again").click()  # the window is that run's now
            expect(page.locator("#runs li")).to_have_count(2, timeout=PATIENCE)
            state(page).to_contain_text("failed", timeout=PATIENCE)
            runner.send()
            runner.wait()
        expect(page.locator("#line")).to_contain_text("does not answer", timeout=PATIENCE)
        (here / "go").touch()
        with Command("webui", "shop:Shop", "--port", port) as runner:
            runner.until("open http")
            state(page).to_contain_text("completed", timeout=PATIENCE)
            expect(page.locator("#runs li")).to_have_count(1)
            expect(page.locator("#line")).to_be_empty()
            runner.send()
            runner.wait()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_run_that_was_killed_stands_still_until_it_is_resumed(here, window):
    arguments = ("braid:Braid", "--journal", "runs.db")
    with Command("run", *arguments, "--status-port", "0") as running:
        page = Page(running.until("open http"))
        page.until(lambda one: one.get("running_steps") == ["weave"])
        running.process.kill()
        running.process.wait()
    with webui(*arguments) as address:
        page = window(address)
        state(page).to_contain_text("running", timeout=PATIENCE)  # the one that the page has begun
        page.get_by_role("link").filter(has_text="interrupted").click()
        state(page).to_contain_text("interrupted", timeout=PATIENCE)
        expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
        shot(page, "interrupted")
        # Nothing grows: what is shown of the time is that of the last record.
        assert page.evaluate(
            """async () => {
              const facts = () => document.getElementById("facts").textContent;
              const before = facts();
              for (let n = 0; n < 3; n += 1) await (await fetch("api/board")).json();
              const end = performance.now() + 1500;
              while (performance.now() < end) await new Promise(requestAnimationFrame);
              return before === facts();
            }"""
        )
        (here / "go").touch()
        page.get_by_role("button", name="Resume").press("Enter")
        state(page).to_contain_text("completed", timeout=PATIENCE)
        expect(page.locator("#result")).to_contain_text("tied")
