"""`plait webui` and the page beside a run, of event workflows and of journals."""

from __future__ import annotations

import os
import signal

import pytest

from tests.cli.conftest import command as command
from tests.cli.conftest import here as here
from tests.cli.conftest import plait as plait
from tests.web.served import Page


def test_an_event_workflow_is_shown_beside_its_run(here, command):
    with command("run", "shop:Waiting", "--status-port", "0") as running:
        page = Page(running.until("open http"))
        status = page.until(lambda one: one.get("running_steps") == ["wait"])
        assert page.json("/api/board")["can_run"] is False
        assert page.press("run")[0] == 409
        assert page.press("cancel", run=status["run_id"])[0] == 202
        done = running.wait()
    assert "cleaned up" in done.err
    assert done.code == 1, "it was not interrupted: somebody has cancelled it on the page"


def test_runs_begin_and_are_cancelled_on_the_page_until_ctrl_c(here, command):
    with command("webui", "shop:Waiting", "--port", "0", "--journal", "runs.db") as running:
        page = Page(running.until("open http"))
        first = page.until(lambda one: one.get("running_steps") == ["wait"])["run_id"]
        assert page.press("cancel", run=first) == (202, {})
        page.until(lambda one: one.get("state") == "cancelled")
        status, found = page.press("run")
        assert (status, found["run"] == first) == (201, False)
        page.until(lambda one: one["run_id"] == found["run"] and one["running_count"] == 1)
        running.send()
        done = running.wait()
    assert (done.code, done.out) == (130, "")
    assert done.err.count("cleaned up") == 2, "what was running had its clean-up"


def test_a_journal_alone_can_be_looked_at(here, plait, command):
    assert plait("run", "shop:Shop", "--set", "item=tea", "--journal", "runs.db", "-q").code == 0
    with command("webui", "--journal", "runs.db", "--port", "0") as running:
        page = Page(running.until("open http"))
        board = page.json("/api/board")
        [run] = board["runs"]
        assert (run["state"], run["resumable"], board["can_run"]) == ("completed", False, False)
        assert page.json(f"/status?run={run['id']}")["steps"]["pack"]["state"] == "succeeded"
        running.send()
        assert running.wait().code == 130


def test_the_buttons_of_a_page_apart_are_those_of_the_runs_own_process(here, command):
    with command("webui", "shop:Waiting", "--port", "0") as running:
        runner = Page(running.until("open http"))
        first = runner.until(lambda one: one.get("running_steps") == ["wait"])["run_id"]
        with command("webui", "--port", "0", "--runner", runner.address) as watching:
            page = Page(watching.until("open http"))
            assert page.json("/api/board") == {
                **runner.json("/api/board"),
                "remote": runner.base,
            }
            assert page.press("cancel", run="nobody") == runner.press("cancel", run="nobody")
            assert page.press("cancel", run="nobody")[0] == 409
            assert page.press("cancel", run=first) == (202, {})
            runner.until(lambda one: one.get("state") == "cancelled")
            status, found = page.press("run")
            assert (status, found["run"] == first) == (201, False)
            page.until(lambda one: one["run_id"] == found["run"] and one["running_count"] == 1)
            assert page.ask("/api/changes?run=nobody")[0] == 404
            running.send()
            assert running.wait().code == 130
            status, answer = page.press("run")
            assert (status, "does not answer" in answer["error"]) == (502, True)
            watching.send()
            assert watching.wait().code == 130


def test_a_page_apart_says_which_token_is_wrong(here, command):
    with command("run", "shop:Waiting", "--status-port", "0") as running:
        runner = Page(running.until("open http"))
        address = f"{runner.base}/?token=another-one"
        with command("webui", "--port", "0", "--runner", address) as watching:
            page = Page(watching.until("open http"))
            status, answer = page.press("cancel", run="any")
            assert status == 502, "a 401 would say that the page's own token is wrong"
            assert "says 401: the token is missing or wrong" in answer["error"]
            assert page.ask("/status")[0] == 502
            watching.send()
            watching.wait()
        running.send()
        assert running.wait().code == 130


FLOW = """
flow:
  - {name: a, source: {type: process, configuration: {command: [echo, hi]}}}
  - {name: b, source: {type: process, configuration: {command: [sh, -c, 'cat go']}}, depends_on: a}
"""


def killed(command, here, *arguments, step):
    """Kill a run in the midst of this step, and say which it was."""
    with command("run", *arguments, "--journal", "runs.db", "--status-port", "0") as running:
        page = Page(running.until("open http"))
        run = page.until(lambda one: one.get("running_steps") == [step])["run_id"]
        running.process.kill()
        running.process.wait()
    return run


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_run_whose_process_was_killed_is_interrupted(here, command):
    run = killed(command, here, "shop:Waiting", step="wait")
    with command("webui", "--journal", "runs.db", "--port", "0") as running:
        page = Page(running.until("open http"))
        [listed] = page.json("/api/board")["runs"]
        assert (listed["state"], listed["resumable"], listed["retryable"]) == (
            "interrupted",
            False,
            False,
        )
        assert page.json(f"/status?run={run}")["state"] == "interrupted"
        whole = page.json(f"/api/changes?run={run}")["messages"][0]["data"]
        assert whole["run"]["status"] == "interrupted"
        # Whoever takes it up in another process is seen from here.
        with command("run", "shop:Waiting", "--journal", "runs.db", "--resume", "last") as other:
            page.until(lambda one: one["state"] == "running")
            assert page.json("/api/board")["runs"][0]["state"] == "running"
            other.send()
            other.wait()
        page.until(lambda one: one["state"] == "cancelled")
        running.send()
        assert running.wait().code == 130


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_flow_that_was_killed_goes_on_and_is_begun_again_on_the_page(here, command):
    os.mkfifo(here / "go")
    (here / "flow.yaml").write_text(FLOW)
    run = killed(command, here, "flow.yaml", step="b")
    with (here / "go").open("w"):
        pass  # what the killed process has left behind ends
    with command("webui", "flow.yaml", "--journal", "runs.db", "--port", "0") as running:
        page = Page(running.until("open http"))
        page.until(lambda one: one.get("running_steps") == ["b"])
        listed = {one["id"]: one for one in page.json("/api/board")["runs"]}[run]
        assert (listed["state"], listed["resumable"], listed["retryable"]) == (
            "interrupted",
            True,
            True,
        )
        status, found = page.press("resume", run=run)
        assert status == 201
        page.until(lambda one: one["run_id"] == found["run"] and one["running_steps"] == ["b"])
        assert page.json("/status")["steps"]["a"]["state"] == "succeeded"
        assert page.press("retry", run=run)[0] == 201
        running.send()
        assert running.wait().code == 130
