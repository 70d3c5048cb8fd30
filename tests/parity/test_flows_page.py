"""Rows of the behaviour table that are about the live page: its status, its files, its guard."""

from __future__ import annotations

import json
import os
import socket
import urllib.error

import pytest

from tests.cli.conftest import Command
from tests.parity.flows_world import BASE
from tests.parity.flows_world import shared_origin as shared_origin
from tests.parity.flows_world import world as world
from tests.web.served import Page

STATUS = """
sources:
  wait: {type: process, configuration: {command: [sh, -c, 'echo up >&2; cat go >&2; echo "{\\"v\\": NaN}"']}}
flow:
  - {name: first, source: ok, output: [{name: o, type: jmespath, value: stdout}]}
  - {name: held, source: wait, depends_on: first, output: [{name: o, type: jmespath, value: json}]}
  - {name: skipped, source: ok, when: false}
"""


@pytest.fixture
def files(world):
    os.mkfifo(world.folder / "go")
    return [world.write(BASE, "base.yaml"), world.write(STATUS, "status.yaml")]


def go(world):
    """Let the held step go on."""
    with (world.folder / "go").open("w"):
        pass


def test_row_79_serves_status(world, files):
    with Command("run", *files, "-j", "--status-port", "0", cwd=world.folder) as running:
        page = Page(running.until("open http"))
        status = page.until(lambda one: one.get("running_steps") == ["held"])
        assert {"run_id", "started_at", "steps"} <= status.keys()
        assert (status["ended_at"], status["total_steps"], status["completed_steps"]) == (
            None,
            3,
            2,
        )
        assert (status["running_count"], status["current_step"]) == (1, "held")
        assert status["steps"]["first"]["state"] == "succeeded"
        assert status["steps"]["first"]["outputs"] == ["o"]
        assert status["steps"]["skipped"]["state"] == "skipped"
        assert {"state", "started_at", "ended_at", "notes", "outputs"} == status["steps"][
            "held"
        ].keys()
        assert page.json("/outputs") == {"first": {"o": "ok\n"}}
        go(world)
        done = running.wait()
    assert done.code == 0, done.err
    assert json.loads(done.out)["held"] == {"o": {"v": None}}, "the command has ended with the run"
    with pytest.raises(urllib.error.URLError):
        page.ask("/status")


def test_row_79_is_not_broken_by_nan(world):
    text = """
    flow:
      - {name: a, source: {type: process, configuration: {command: [echo, '{"v": NaN}']}},
         output: [{name: o, type: jmespath, value: json}]}
      - {name: b, source: {type: process, configuration: {command: [sh, -c, 'cat go']}}, depends_on: a}
    """
    os.mkfifo(world.folder / "go")
    with Command("run", world.write(text), "-q", "--status-port", "0", cwd=world.folder) as running:
        page = Page(running.until("open http"))
        page.until(lambda one: one.get("running_steps") == ["b"])
        assert page.json("/outputs") == {"a": {"o": {"v": None}}}
        assert page.json("/api/changes")["messages"][0]["event"] == "whole"
        go(world)
        assert running.wait().code == 0


def test_row_80_has_its_page_in_the_wheel(world, files):
    with Command("run", *files, "-q", "--ui", "--status-port", "0", cwd=world.folder) as running:
        page = Page(running.until("open http"))
        status, kind, text = page.ask("/")
        assert (status, kind.partition(";")[0]) == (200, "text/html")
        assert "<main>" in text
        page.until(lambda one: one.get("running_steps") == ["held"])
        go(world)
        assert running.wait().code == 0


def test_row_82_shows_a_run_of_another_process(world, files):
    with Command("run", *files, "-q", "--status-port", "0", cwd=world.folder) as running:
        runner = Page(running.until("open http"))
        address = ("webui", "--port", "0", "--runner", runner.address)
        with Command(*address, cwd=world.folder) as watching:
            page = Page(watching.until("open http"))
            runner.until(lambda one: one.get("running_steps") == ["held"])
            for path in ("/status", "/outputs", "/api/changes"):
                there, here = runner.json(path), page.json(path)
                assert here.keys() == there.keys()
            assert page.json("/status") == runner.json("/status")
            assert page.json("/api/board")["can_run"] is False
            go(world)
            assert running.wait().code == 0
            for path in ("/status", "/outputs", "/api/board", "/api/changes"):
                status, _, text = page.ask(path)
                assert (status, "does not answer" in json.loads(text)["error"]) == (502, True)
            watching.send()
            assert watching.wait().code == 130


def test_row_82_comes_up_after_its_page(world, files, monkeypatch):
    monkeypatch.setenv("PLAIT_TOKEN", "agreed-on-by-both")
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    address = f"http://127.0.0.1:{port}/?token=agreed-on-by-both"
    with Command("webui", "--port", "0", "--runner", address, cwd=world.folder) as watching:
        page = Page(watching.until("open http"))
        assert page.ask("/status")[0] == 502
        arguments = ("run", *files, "-q", "--status-port", str(port))
        with Command(*arguments, cwd=world.folder) as running:
            running.until("open http")
            assert page.until(lambda one: one.get("running_steps") == ["held"])["total_steps"] == 3
            go(world)
            assert running.wait().code == 0


def test_row_83_guards_its_server(world, files):
    with Command("run", *files, "-q", "--ui", "--status-port", "0", cwd=world.folder) as running:
        page = Page(running.until("open http"))
        for path in ("/", "/status", "/outputs", "/api/events", "/api/board"):
            assert 400 <= page.ask(path, Host="evil.example")[0] < 500
            assert 400 <= page.ask(path, token=False)[0] < 500
            assert 400 <= page.ask(f"{path}?token=wrong", token=False)[0] < 500
        page.until(lambda one: one.get("running_steps") == ["held"])
        go(world)
        assert running.wait().code == 0


def test_who_cannot_bind_exits_with_3(world):
    text = "flow: [{name: a, source: {type: process, configuration: {command: [touch, ran]}}}]"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        name = world.write(text)
        for arguments in (("run", name, "--status-port", port), ("webui", name, "--port", port)):
            told = world.command(*arguments)
            assert told.code == 3
            assert f"port {port}" in told.stderr
    assert not world.has("ran")


def test_webui_checks_params_before_anything_runs(world):
    name = world.write("params: {who: str}\nflow: [{name: a, source: {type: env}}]")
    told = world.command("webui", name, "--port", "0")
    assert (told.code, "'who'" in told.stderr) == (2, True)
    told = world.command("webui", name, "--port", "0", "--timeout", "soon")
    assert (told.code, "--timeout" in told.stderr) == (2, True)


def test_a_token_of_your_own_must_be_long_enough(world, monkeypatch):
    monkeypatch.setenv("PLAIT_TOKEN", "short")
    told = world.command("webui", "--runner", "http://127.0.0.1:1")
    assert (told.code, "at least 16" in told.stderr) == (2, True)


def test_webui_needs_something_to_show(world):
    told = world.command("webui")
    assert (told.code, "--journal FILE" in told.stderr) == (2, True)
    told = world.command("webui", "--runner", "nonsense")
    assert (told.code, "http://127.0.0.1:8001" in told.stderr) == (2, True)
    told = world.command("webui", "x.yaml", "--runner", "http://127.0.0.1:1")
    assert (told.code, "leave out" in told.stderr) == (2, True)
