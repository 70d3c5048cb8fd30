"""A local HTTP origin for flow tests: it answers on 127.0.0.1 only and remembers what it was asked.

In a test::

    with Origin() as origin:
        run_flow_against(origin.url)  # e.g. "http://127.0.0.1:40713"
        assert origin.peak == 3  # most requests in progress at one moment
        assert [r.path for r in origin.requests] == ["/auth", "/users", "/products"]

From a shell it prints its URL on one line and serves until it is interrupted::

    python origin.py [--port N] [--delay SECONDS]

===========================  =======================================================================
path (any method)            answer
===========================  =======================================================================
/echo                        the request as JSON: method, path, query, headers, body
/auth                        {"access_token": "tok-123", "expires": 60}
/users  /users/N             two users, or the user with that id
/products  /orders           one product, one order
/databases  /**/schema       {"id": "db7"}, {"schema": "s1", "path": the path that was asked for}
/secret                      {"password": "hunter2", "token": "T0P-s3cret", "user": "u"}
/status/CODE                 that status and {"code": CODE} (no body for 1xx, 204, 304);
                             ?retry_after=VALUE adds that header
/flaky?key=K&fail=N          CODE (?code=, default 503) for the first N requests of key K, then 200;
                             takes ?retry_after= as well
/redirect?to=URL             302 (?code=) to URL
/loop                        302 to itself, without end
/hang?s=SECONDS              nothing for that long (default 60), or until the origin is closed
/drip?n=N&gap=SECONDS        N bytes of body, one at a time, with a gap before each
/drop                        closes the connection without an answer
/barrier?n=N&timeout=S       waits until N requests are waiting here, then answers all of them;
                             504 when S seconds (default 5) pass first
/big?mb=N                    {"blob": "xx…"} of N MiB; &chunked=1 sends no Content-Length
/text  /text-nocharset       "plain text é\\n" as UTF-8, with and without a charset in Content-Type
/html  /digits  /empty       "<h1>x</h1>" as text/html, "123" as text/plain, 204 without a body
/nan  /badjson               '{"v": NaN}' and '{"v": ' as application/json
/stats                       {"requests", "in_progress", "peak", "connections", "by_path"}
/requests                    the log, oldest first: method, path, headers, body, started, ended
/reset                       forgets log, counters, flaky keys
anything else                404 {"error": "not found"}
===========================  =======================================================================

Every path takes ``?delay=SECONDS``; ``Origin(delay=...)`` sets it for all requests. ``/stats``, ``/requests``
and ``/reset`` are never delayed, counted or logged.

A request is *in progress* from the moment it has been read until its answer has been decided, before the first
byte of the answer is written: a client that sends its next request as soon as it has an answer can therefore
never be counted twice, and ``peak`` is exact.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

TEXT = "plain text é\n"


@dataclass
class Request:
    """One request, as it was read from the wire. Times are seconds since the origin was opened."""

    method: str
    path: str  # with the query string
    headers: dict[str, str]
    body: str
    started: float
    ended: float | None = None
    query: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def route(self) -> str:
        return urlsplit(self.path).path


@dataclass(frozen=True)
class Answer:
    """What to send. ``body`` is bytes, or an iterator of chunks that is sent without a Content-Length."""

    status: int = 200
    body: bytes | Iterator[bytes] = b""
    content_type: str | None = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


def json_answer(value: object, status: int = 200, **headers: str) -> Answer:
    extra = tuple((name.replace("_", "-").title(), text) for name, text in headers.items())
    return Answer(status, json.dumps(value).encode(), headers=extra)


def failure(request: Request, status: int) -> Answer:
    """A status with its small JSON body, and Retry-After when the request asks for one."""
    if status < 200 or status in {204, 304}:
        return Answer(status, content_type=None)
    if "retry_after" in request.query:
        return json_answer({"code": status}, status, retry_after=request.query["retry_after"])
    return json_answer({"code": status}, status)


class Origin:
    """The server. Use it as a context manager: leaving it lets go of every request that still hangs."""

    def __init__(self, *, delay: float = 0.0, port: int = 0) -> None:
        self.delay = delay
        self.peak = 0
        self.in_progress = 0
        self.connections = 0
        self.requests: list[Request] = []
        self._opened = time.monotonic()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._flaky: Counter[str] = Counter()
        self._at_barrier = threading.Condition()
        self._waiting = 0
        self._generation = 0
        self._server = _Server(self, port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        with self._at_barrier:
            self._at_barrier.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reset(self) -> None:
        with self._lock:
            self.requests.clear()
            self._flaky.clear()
            self.peak = self.in_progress
            self.connections = 0

    def stats(self) -> dict[str, Any]:
        with self._lock:
            return {
                "requests": len(self.requests),
                "in_progress": self.in_progress,
                "peak": self.peak,
                "connections": self.connections,
                "by_path": dict(Counter(request.route for request in self.requests)),
            }

    def answer(self, request: Request) -> Answer | None:
        """Decide the answer, taking as long as the request asks for. None closes the connection."""
        if request.route == "/stats":
            return json_answer(self.stats())
        if request.route == "/requests":
            with self._lock:
                return json_answer([asdict(seen) for seen in self.requests])
        if request.route == "/reset":
            self.reset()
            return json_answer({})
        self._enter(request)
        try:
            self._pause(float(request.query.get("delay", self.delay)))
            return self._route(request)
        except ValueError as error:
            return json_answer({"error": str(error)}, 400)
        finally:
            self._leave(request)

    def now(self) -> float:
        return time.monotonic() - self._opened

    def count_connection(self) -> None:
        with self._lock:
            self.connections += 1

    def _enter(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)
            self.in_progress += 1
            self.peak = max(self.peak, self.in_progress)

    def _leave(self, request: Request) -> None:
        with self._lock:
            self.in_progress -= 1
            request.ended = self.now()

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self._closing.wait(seconds)

    def _route(self, request: Request) -> Answer | None:
        route, query = request.route, request.query
        if route in FIXED:
            return FIXED[route](request)
        if route.endswith("/schema"):
            return json_answer({"schema": "s1", "path": route})
        if route.startswith("/users/"):
            return json_answer(
                {"id": int(route.rpartition("/")[2]), "username": "Bret", "email": "b@x"}
            )
        if route.startswith("/status/"):
            return failure(request, int(route.rpartition("/")[2]))
        match route:
            case "/flaky":
                return self._answer_flaky(request)
            case "/barrier":
                return self._answer_at_barrier(
                    int(query.get("n", "2")), float(query.get("timeout", "5"))
                )
            case "/hang":
                self._pause(float(query.get("s", "60")))
                return json_answer({})
            case "/drip":
                return Answer(
                    body=self._drip(int(query.get("n", "10")), float(query.get("gap", "0.1")))
                )
            case "/drop":
                return None
            case _:
                return json_answer({"error": "not found"}, 404)

    def _answer_flaky(self, request: Request) -> Answer:
        key = request.query.get("key", "")
        with self._lock:
            self._flaky[key] += 1
            count = self._flaky[key]
        if count <= int(request.query.get("fail", "1")):
            return failure(request, int(request.query.get("code", "503")))
        return json_answer({"ok": True, "request": count})

    def _answer_at_barrier(self, parties: int, timeout: float) -> Answer:
        with self._at_barrier:
            generation = self._generation
            self._waiting += 1
            if self._waiting >= parties:
                self._waiting, self._generation = 0, generation + 1
                self._at_barrier.notify_all()
                return json_answer({"met": parties})
            self._at_barrier.wait_for(
                lambda: self._generation != generation or self._closing.is_set(), timeout
            )
            if self._generation != generation:
                return json_answer({"met": parties})
            self._waiting -= 1
            return json_answer({"error": f"fewer than {parties} requests"}, 504)

    def _drip(self, count: int, gap: float) -> Iterator[bytes]:
        for _ in range(count):
            self._pause(gap)
            yield b" "


def _echo(request: Request) -> Answer:
    seen = asdict(request)
    return json_answer({key: seen[key] for key in ("method", "path", "query", "headers", "body")})


def _big(request: Request) -> Answer:
    size = int(request.query.get("mb", "10")) * 1024 * 1024
    parts = (b'{"blob": "', b"x" * size, b'"}')
    return Answer(body=iter(parts) if "chunked" in request.query else b"".join(parts))


def _redirect(request: Request) -> Answer:
    target = request.query.get("to", "/users")
    return Answer(
        int(request.query.get("code", "302")), content_type=None, headers=(("Location", target),)
    )


FIXED: dict[str, Callable[[Request], Answer]] = {
    "/echo": _echo,
    "/auth": lambda _: json_answer({"access_token": "tok-123", "expires": 60}),
    "/users": lambda _: json_answer([{"id": 1, "name": "Ann"}, {"id": 2, "name": "Bob"}]),
    "/products": lambda _: json_answer([{"sku": "p1"}]),
    "/orders": lambda _: json_answer([{"oid": 9}]),
    "/databases": lambda _: json_answer({"id": "db7"}),
    "/secret": lambda _: json_answer({"password": "hunter2", "token": "T0P-s3cret", "user": "u"}),
    "/redirect": _redirect,
    "/loop": lambda _: Answer(302, content_type=None, headers=(("Location", "/loop"),)),
    "/big": _big,
    "/text": lambda _: Answer(200, TEXT.encode(), "text/plain; charset=utf-8"),
    "/text-nocharset": lambda _: Answer(200, TEXT.encode(), "text/plain"),
    "/html": lambda _: Answer(200, b"<h1>x</h1>", "text/html"),
    "/digits": lambda _: Answer(200, b"123", "text/plain"),
    "/empty": lambda _: Answer(204, content_type=None),
    "/nan": lambda _: Answer(200, b'{"v": NaN}'),
    "/badjson": lambda _: Answer(200, b'{"v": '),
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, origin: Origin, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.origin = origin

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is an ordinary event in these tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def setup(self) -> None:
        super().setup()
        self.server.origin.count_connection()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: the log is kept in memory."""

    def handle_one_request(self) -> None:
        """Read one request, whatever its method, and answer it."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
            return
        if not self.parse_request():
            return
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._send(json_answer({"error": "send a Content-Length"}, 411))
            return
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(
            method=self.command,
            path=self.path,
            headers=dict(self.headers.items()),
            body=self.rfile.read(length).decode("utf-8", "replace"),
            started=self.server.origin.now(),
            query=dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True)),
        )
        answer = self.server.origin.answer(request)
        if answer is None:
            self.close_connection = True
            return
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        if answer.content_type is not None:
            self.send_header("Content-Type", answer.content_type)
        for name, text in answer.headers:
            self.send_header(name, text)
        if isinstance(answer.body, bytes):
            if answer.status >= 200 and answer.status not in {204, 304}:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.command == "HEAD":
            return
        for chunk in answer.body:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve the test origin on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free port")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before every answer")
    options = parser.parse_args()
    with Origin(delay=options.delay, port=options.port) as origin:
        print(origin.url, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
