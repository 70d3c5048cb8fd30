"""The server itself: real requests, streams of several windows, lost connections, and the end."""

from __future__ import annotations

import json
import re
import socket
from contextlib import asynccontextmanager

import anyio
import anyio.streams.buffered
import httpx2
import pytest
import trio

import plait.web
from plait import Event, StartEvent, StopEvent, Workflow, step
from plait.errors import PlaitError
from tests.web.conftest import TOKEN, Braid


class Bead(Event):
    text: str


class String(Workflow):
    """Threads a bead whenever it is given one."""

    beads: trio.MemoryReceiveChannel

    @step
    async def begin(self, ev: StartEvent) -> Bead | StopEvent:
        return await self._next()

    @step(num_workers=1)
    async def thread(self, ev: Bead) -> Bead | StopEvent:
        return await self._next()

    async def _next(self):
        text = await self.beads.receive()
        return StopEvent(result="done") if text is None else Bead(text=text)


def string():
    give, workflow = trio.open_memory_channel(0), String()
    workflow.beads = give[1]
    return workflow, give[0]


class Window:
    """A browser's window, as far as the server knows: it reads a stream line by line."""

    def __init__(self, stream, last=None):
        self._stream = anyio.streams.buffered.BufferedByteReceiveStream(stream)
        self.last = last

    async def line(self):
        return (await self._stream.receive_until(b"\n", 2**24)).decode().rstrip("\r")

    async def next(self, *names):
        """The next event of one of these names: its data."""
        fields = {}
        while True:
            line = await self.line()
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
                continue
            self.last = fields.get("id", self.last)
            if fields.get("event") in names:
                return json.loads(fields["data"])
            fields = {}

    async def until(self, wanted):
        """Read changes until one of them is as wanted."""
        while True:
            found = await self.next("whole", "change")
            if wanted(found):
                return found


class Server:
    def __init__(self, address):
        self.base, _, token = address.partition("/?token=")
        self.client = httpx2.AsyncClient(
            base_url=self.base,
            headers={"authorization": f"Bearer {token}"},
            timeout=60,
            trust_env=False,
        )

    @asynccontextmanager
    async def window(self, run="", last=None):
        """Open a window; HTTP 1.0, so that the events come as they are, up to the end."""
        host, port = self.base.removeprefix("http://").split(":")
        lines = [
            f"GET /api/events?run={run} HTTP/1.0",
            f"host: {host}",
            f"authorization: Bearer {TOKEN}",
        ]
        lines += [] if last is None else [f"last-event-id: {last}"]
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send("\r\n".join([*lines, "", ""]).encode())
            window = Window(stream, last)
            assert "200" in await window.line()
            while await window.line():
                pass
            yield window


@pytest.fixture
async def page():
    return plait.web.app(token=TOKEN)


@pytest.fixture
async def server(page, nursery):
    address = await nursery.start(
        lambda task_status: plait.web.serve(page, port=0, task_status=task_status)
    )
    found = Server(address)
    async with found.client:
        yield found


def beads(found):
    return [line for line in found.get("log", ()) if line.get("event") == "Bead"]


async def test_windows_see_a_run_grow_and_catch_up_after_a_lost_connection(page, server, nursery):
    workflow, give = string()
    run = page.watch(workflow.run()).start_soon(nursery)
    async with server.window(run.run_id) as first:
        assert (await first.next("whole"))["run"]["status"] in {"queued", "running"}
        await give.send("red")
        await first.until(beads)
        last = first.last
    # The connection is lost; what happens meanwhile is told when it comes back, and nothing twice.
    await give.send("green")
    async with server.window(run.run_id) as second:
        whole = await second.next("whole")
        while len(beads(whole)) < 2:
            whole["log"] += beads(await second.next("change"))
    async with server.window(run.run_id, last) as back:
        found = await back.next("whole", "change")
        assert "green" in json.dumps(found)
        assert "red" not in json.dumps(found["log"])
        await give.send(None)
        await back.until(lambda one: one.get("run", {}).get("status") == "completed")


async def test_a_place_of_another_server_brings_the_whole(page, server, nursery):
    await page.watch(Braid().run())
    async with server.window(last="7-3-elsewhere") as window:
        assert (await window.next("whole", "change"))["run"]["status"] == "completed"


async def test_a_window_that_reads_nothing_holds_nobody_up(page, server, nursery):
    workflow, give = string()
    run = page.watch(workflow.run()).start_soon(nursery)
    async with server.window(run.run_id):  # and never reads
        for number in range(300):
            await give.send("x" * 3_000 + str(number))
        await give.send(None)
        assert await run.result() == "done"
        status = await server.client.get("/status")
        assert status.json()["state"] == "completed"


async def test_a_window_without_a_run_hears_of_the_first(page, server):
    async with server.window() as window:
        assert (await window.next("board"))["runs"] == []
        run = Braid().run()
        await page.watch(run)
        assert [one["id"] for one in (await window.next("board"))["runs"]] == [run.run_id]


async def test_at_the_end_windows_are_told_how_it_ended_and_then_goodbye(page):
    async with trio.open_nursery() as nursery:
        address = await nursery.start(
            lambda task_status: plait.web.serve(page, port=0, task_status=task_status)
        )
        server = Server(address)
        run = page.watch(Braid().run())
        async with server.client, server.window(run.run_id) as window:
            await window.next("whole")
            await run
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                found = await window.until(
                    lambda one: one.get("run", {}).get("status") == "completed"
                )
                assert found["run"]["id"] == run.run_id
                assert await window.next("bye") == {}
    with pytest.raises(httpx2.ConnectError):
        async with httpx2.AsyncClient(trust_env=False) as client:
            await client.get(server.base)


async def test_files_come_with_their_types_and_name_nothing_outside(server):
    names = ["/", "/static/page.css", "/static/icon.svg"]
    index = (await server.client.get("/")).text
    names += [f"/{name}" for name in re.findall(r'src="([^"]+)"', index)]
    for name in names:
        answer = await server.client.get(name)
        assert answer.status_code == 200
        assert answer.headers["x-content-type-options"] == "nosniff"
        outside = re.findall(r"https?://(?!www\.w3\.org/)[\w.]+", answer.text)
        assert outside == [], name


async def test_every_file_of_the_page_is_served(server):
    from importlib.resources import files

    from plait._web.routes import FILES

    there = {one.name for one in files("plait._web").joinpath("static").iterdir()}
    assert there == {*FILES, "index.html"}
    for name in FILES:
        assert (await server.client.get(f"/static/{name}")).status_code == 200


async def test_who_serves_there_already_is_said(page):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(plait.web.CannotServe, match=f"port {port}.*--port"):
            await plait.web.serve(page, port=port)
    with pytest.raises(PlaitError, match="cannot listen"):
        await plait.web.serve(page, host="no-such-name.invalid", port=0)


@pytest.mark.parametrize("port", [-1, 65536, 99999])
async def test_what_is_no_port_is_refused_and_no_other_one_taken(page, port):
    with pytest.raises(plait.web.CannotServe, match=f"port {port}: ports are 0 to 65535"):
        await plait.web.serve(page, port=port)


async def test_paths_that_lead_out_are_refused_over_the_wire(server):
    host, port = server.base.removeprefix("http://").split(":")
    for path in (
        "/static/../../../../../../etc/passwd",
        "/static/..%2f..%2fpage.py",
        "//etc/passwd",
    ):
        async with await anyio.connect_tcp(host, int(port)) as stream:
            ask = f"GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\r\n"
            await stream.send(ask.encode())
            answer = b""
            try:
                while True:
                    answer += await stream.receive()
            except anyio.EndOfStream:
                pass
            assert answer.startswith(b"HTTP/1.1 404"), path
            assert b"root:" not in answer
