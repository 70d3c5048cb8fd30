"""The rest source against the local origin: requests, answers, failures; and how it checks a step."""

import gzip
import shutil
import socket
import ssl
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from plait._abc import SourceContext
from plait._engine.native import current
from plait._strands._flows.marks import Raw
from plait._strands._flows.sources import transport
from plait._strands._flows.sources.catalog import find
from plait._strands._flows.sources.request import OPTIONS, TIMEOUT
from plait._version import VERSION
from tests.origin import Origin
from tests.strands.flows.sources_world import check, found, sources

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request):
    return (request.param, {})


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def origin():
    with Origin() as origin:
        yield origin


class Server:
    """Answers with what it is given: bytes, as they are."""

    def __init__(self, *answers):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._answers = answers
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.heard = []
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._thread.join()
        self._socket.close()

    def _serve(self):
        for answer in self._answers:
            connection, _ = self._socket.accept()
            with connection:
                self.heard.append(connection.recv(65536))
                connection.sendall(answer)


async def call(configuration, payload=None, *, run=None, **more):
    async with sources(**(run or {})) as source:
        return await source.call("rest", configuration, payload, **more)


# ---------------------------------------------------------------- requests


async def test_a_plain_request(origin):
    result = await call({"url": f"{origin.url}/echo?x=1"})
    assert result.ok
    assert (result.status, result.code) == (200, 200)
    assert result.headers["content-type"] == "application/json"
    seen = result.data
    assert (seen["method"], seen["path"], seen["body"]) == ("GET", "/echo?x=1", "")
    assert seen["headers"]["User-Agent"] == f"plait/{VERSION}"
    assert "Content-Type" not in seen["headers"]


@pytest.mark.parametrize(("given", "sent"), [("post", "POST"), ("BREW", "BREW"), (None, "GET")])
async def test_methods(origin, given, sent):
    assert (await call({"url": f"{origin.url}/echo", "method": given})).data["method"] == sent


async def test_headers_merge_by_name_whatever_their_case(origin):
    result = await call(
        {"url": f"{origin.url}/echo", "headers": {"X-A": "base", "x-b": "base", "Accept": None}},
        options={"headers": {"X-B": "new", "X-C": 5, "x-a": None, "user-agent": "mine"}},
    )
    headers = {name.lower(): value for name, value in result.data["headers"].items()}
    assert (headers["x-b"], headers["x-c"], headers["user-agent"]) == ("new", "5", "mine")
    assert headers.keys().isdisjoint({"x-a", "accept"})


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b"])
async def test_data_cannot_add_headers(origin, value):
    result = await call({"url": f"{origin.url}/echo", "headers": {"X": value}})
    assert not result.ok
    assert "line break" in result.message
    assert origin.requests == []


async def test_a_relative_url(origin):
    base = {"base_url": f"{origin.url}/status/"}
    assert (await call({**base, "url": "/200"})).data == {"code": 200}
    assert (await call({**base, "url": "201"})).status == 201
    assert (await call({**base, "url": f"{origin.url}/digits"})).data == 123
    assert "must begin with http" in (await call({"url": "/users"})).message


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ("abc", "/echo?id=abc"),
        ("a b&c", "/echo?id=a+b%26c"),
        ([1, 2], "/echo?id=1&id=2"),
        (True, "/echo?id=True"),
        ({"a": 1, "b": "x", "c": [1, 2], "d": None}, "/echo?a=1&b=x&c=1&c=2"),
        (None, "/echo"),
    ],
)
async def test_a_parameter(origin, payload, path):
    base = {"url": f"{origin.url}/echo", "input_mode": "parameter"}
    assert (await call(base, payload)).data["path"] == path


async def test_the_name_of_a_parameter(origin):
    base = {"url": f"{origin.url}/echo?x=1", "input_mode": "parameter", "param_name": "userId"}
    assert (await call(base, [1, 2])).data["path"] == "/echo?x=1&userId=1&userId=2"


@pytest.mark.parametrize(
    ("payload", "body"), [({"a": 1}, '{"a": 1}'), ('{"a": 1}', '"{\\"a\\": 1}"'), (False, "false")]
)
async def test_a_body(origin, payload, body):
    base = {"url": f"{origin.url}/echo", "input_mode": "body", "method": "POST"}
    seen = (await call(base, payload)).data
    assert (seen["body"], seen["headers"]["Content-Type"]) == (body, "application/json")
    seen = (await call(base, None)).data
    assert seen["body"] == ""


async def test_what_json_cannot_say(origin):
    result = await call({"url": f"{origin.url}/echo", "json": {"x": float("nan")}})
    assert not result.ok
    assert result.message.startswith("the body is not JSON")


@pytest.mark.parametrize(
    ("options", "body", "kind"),
    [
        ({"json": {"y": [2]}}, '{"y": [2]}', "application/json"),
        (
            {"form": {"a": "x y", "b": [1, 2], "c": True}},
            "a=x+y&b=1&b=2&c=true",
            "application/x-www-form-urlencoded",
        ),
        ({"data": {"a": 1}}, "a=1", "application/x-www-form-urlencoded"),
        ({"data": "as it is"}, "as it is", None),
        ({"body": "é"}, "é", None),
        ({"json": 1, "headers": {"Content-Type": "x/y"}}, "1", "x/y"),
    ],
)
async def test_bodies(origin, options, body, kind):
    for configuration, inputs in ((options, {}), ({}, options)):
        base = {"url": f"{origin.url}/echo", "method": "PUT", **configuration}
        seen = (await call(base, options=inputs)).data
        assert (seen["body"], seen["headers"].get("Content-Type")) == (body, kind)


async def test_params_merge_by_name(origin):
    result = await call(
        {"url": f"{origin.url}/echo?z=0", "params": [["x", "1"], ["y", "1"]]},
        options={"params": {"y": [True, 3], "n": None}},
    )
    assert result.data["path"] == "/echo?z=0&x=1&y=true&y=3"


@pytest.mark.parametrize(
    ("auth", "header", "secret"),
    [
        (["u", "pw9x"], "Basic dTpwdzl4", "pw9x"),
        ({"basic": ["u", "pw9x"]}, "Basic dTpwdzl4", "pw9x"),
        ({"bearer": "tok-1"}, "Bearer tok-1", "tok-1"),
    ],
)
async def test_auth(origin, auth, header, secret):
    async with sources() as source:
        result = await source.call("rest", {"url": f"{origin.url}/echo", "auth": auth})
        assert result.data["headers"]["Authorization"] == header
        assert secret in {value for value, _ in source.hidden.values}


async def test_the_user_part_of_a_url(origin):
    async with sources() as source:
        url = origin.url.replace("//", "//u:p%40w@")
        result = await source.call("rest", {"url": f"{url}/echo"})
        assert result.data["headers"]["Authorization"] == "Basic dTpwQHc="
        assert {"u:p%40w", "p@w"} <= {value for value, _ in source.hidden.values}


async def test_the_key_of_an_attempt(origin):
    context = SourceContext("r", "a", key="k-1")
    base = {"url": f"{origin.url}/echo", "idempotency_key": True}
    headers = (await call(base, context=context)).data["headers"]
    assert headers["Idempotency-Key"] == "k-1"


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/text", "plain text é\n"),
        ("/text-nocharset", "plain text é\n"),
        ("/status/204", ""),
        ("/empty", ""),
        ("/digits", 123),
        ("/badjson", '{"v": '),
        ("/html", "<h1>x</h1>"),
    ],
)
async def test_data(origin, path, data):
    assert (await call({"url": origin.url + path})).data == data


async def test_what_is_no_number_is_data_all_the_same(origin):
    data = (await call({"url": f"{origin.url}/nan"})).data
    assert data["v"] != data["v"]


@pytest.mark.parametrize(
    ("charset", "body", "data"),
    [
        ("latin-1", "é".encode("latin-1"), "é"),
        ("no-such-charset", "é".encode(), "é"),
        ("utf-8", b"a\xff", "a�"),
    ],
)
async def test_characters(charset, body, data):
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset={charset}\r\nContent-Length: {len(body)}\r\n\r\n"
    with Server(head.encode() + body) as server:
        assert (await call({"url": server.url})).data == data


async def test_a_deep_answer_is_text():
    body = b"[" * 100_000 + b"]" * 100_000
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
    with Server(head.encode() + body) as server:
        assert (await call({"url": server.url})).data == body.decode()


@pytest.mark.parametrize("chunked", ["", "&chunked=1"])
async def test_a_cap_for_bodies(origin, chunked):
    url = f"{origin.url}/big?mb=3{chunked}"
    assert len((await call({"url": url})).data["blob"]) == 3 << 20
    result = await call({"url": url, "max_body": "1MiB"})
    assert (result.ok, result.kind) == (False, "too_large")
    assert result.message == "body is larger than 1 MiB (max_body)"


async def test_the_cap_holds_after_decompression():
    body = gzip.compress(b"x" * (4 << 20))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    with Server(head.encode() + body, head.encode() + body) as server:
        result = await call({"url": server.url, "max_body": "1MiB"})
        assert result.message == "body is larger than 1 MiB (max_body)"
        assert len((await call({"url": server.url})).data) == 4 << 20


async def test_a_large_body_is_read_in_a_thread(origin, monkeypatch):
    """And a small one is not: so other steps go on, and no time is lost."""
    backend = current()
    threads = []
    run_in_thread = backend.run_in_thread

    async def watched(fn, *args):
        threads.append(fn)
        return await run_in_thread(fn, *args)

    monkeypatch.setattr(backend, "run_in_thread", watched)
    await call({"url": f"{origin.url}/users"})
    assert threads == []
    await call({"url": f"{origin.url}/big?mb=2"})
    assert len(threads) == 1


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize("status", [500, 404, 304, 302])
async def test_a_failed_answer_is_kept(origin, status):
    result = await call({"url": f"{origin.url}/status/{status}?key=SECRET99"})
    assert (result.ok, result.kind, result.code) == (False, "http_status", status)
    assert result.message == f"HTTP status {status}"
    assert result.response["status"] == status
    assert result.response["body"] == ("" if status == 304 else f'{{"code": {status}}}')
    assert result.detail == f"GET {origin.url}/status/{status}"


async def test_the_body_of_a_failure_is_cut():
    head = b"HTTP/1.1 500 No\r\nContent-Length: 200000\r\n\r\n"
    with Server(head + b"x" * 200_000) as server:
        result = await call({"url": server.url, "max_body": 100})
        assert result.response["body"] == "x" * (64 << 10)


async def test_retry_after(origin):
    result = await call({"url": f"{origin.url}/status/429?retry_after=7"})
    assert result.retry_after == 7.0
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    result = await call({"url": f"{origin.url}/status/503", "params": {"retry_after": moment}})
    assert 90 < result.retry_after <= 100
    result = await call({"url": f"{origin.url}/status/503?retry_after=soon"})
    assert result.retry_after is None


@pytest.mark.parametrize("path", ["/hang", "/drip?n=100&gap=0.1"])
async def test_the_whole_exchange_has_a_time(origin, path):
    result = await call({"url": origin.url + path, "timeout": 0.3})
    assert (result.ok, result.kind, result.message) == (False, "timeout", "timeout")
    assert "0.3 s" in result.detail


def test_without_a_word_it_is_half_a_minute():
    assert TIMEOUT == 30.0
    assert transport.CONNECTING == 10.0
    assert OPTIONS["timeout"].where == {"C", "I"}


async def test_no_connection():
    async with sources() as source:
        url = "http://u:pw9x@127.0.0.1:1/x?api_key=SECRET99"
        result = await source.call("rest", {"url": url})
    assert (result.ok, result.kind) == (False, "connect")
    assert result.message == "cannot connect to http://127.0.0.1:1: Connection refused"
    assert result.detail == "GET http://127.0.0.1:1/x"


async def test_no_such_host():
    result = await call({"url": "http://no-such-host.invalid/x"})
    assert result.kind == "connect"
    assert result.message.startswith("cannot connect to http://no-such-host.invalid:80: ")


async def test_a_lost_connection(origin):
    result = await call({"url": f"{origin.url}/drop?k=SECRET99"})
    assert (result.ok, result.kind) == (False, "connect")
    assert result.message.startswith(f"connection to {origin.url} was lost: ")
    assert "SECRET99" not in result.message


async def test_a_body_that_breaks_off():
    with Server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf") as server:
        result = await call({"url": server.url})
    assert (result.ok, result.kind) == (False, "connect")


async def test_what_is_no_http():
    with Server(b"SSH-2.0-OpenSSH\r\n\r\n") as server:
        assert (await call({"url": server.url})).kind == "connect"


async def test_a_body_that_cannot_be_decompressed():
    with Server(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nhalf"
    ) as server:
        result = await call({"url": server.url})
    assert result.message.startswith("the body cannot be decompressed")


async def test_a_certificate_file_that_is_not_there(tmp_path):
    base = {"url": "https://127.0.0.1:1/", "verify": "ca.pem"}
    result = await call(base, folders={"verify": str(tmp_path)})
    assert result.message == f"verify: {tmp_path}/ca.pem: No such file or directory"


# ---------------------------------------------------------------- redirects


@pytest.mark.parametrize(
    ("method", "code", "then"),
    [
        ("POST", 301, "GET"),
        ("POST", 302, "GET"),
        ("POST", 303, "GET"),
        ("POST", 307, "POST"),
        ("POST", 308, "POST"),
        ("PUT", 302, "PUT"),
        ("PUT", 303, "GET"),
        ("GET", 302, "GET"),
    ],
)
async def test_redirects(origin, method, code, then):
    seen = (
        await call(
            {
                "url": f"{origin.url}/redirect?to=/echo&code={code}",
                "method": method,
                "json": {"a": 1},
            }
        )
    ).data
    assert (seen["method"], seen["path"]) == (then, "/echo")
    kept = then == method
    assert seen["body"] == ('{"a": 1}' if kept else "")
    assert ("Content-Type" in seen["headers"]) == kept


async def test_redirects_without_end(origin):
    result = await call({"url": f"{origin.url}/loop"})
    assert (result.ok, result.kind, result.message) == (False, "redirect", "Exceeded 30 redirects.")
    assert len(origin.requests) == 31
    origin.reset()
    result = await call({"url": f"{origin.url}/loop", "follow_redirects": 2})
    assert result.message == "Exceeded 2 redirects."
    assert len(origin.requests) == 3


async def test_no_redirects(origin):
    for no in (False, 0, "false"):
        result = await call({"url": f"{origin.url}/redirect", "follow_redirects": no})
        assert result.message == "HTTP status 302"
        assert result.response["headers"]["location"] == "/users"


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1:1/"])
async def test_only_http_after_a_redirect(origin, to):
    result = await call({"url": f"{origin.url}/redirect", "params": {"to": to}})
    assert (result.ok, result.kind) == (False, "blocked")
    assert result.message.startswith("only http and https are allowed")


async def test_who_one_is_stays_within_an_origin(origin):
    base = {"headers": {"Cookie": "c=1", "X-Mine": "m"}, "auth": ["u", "p"]}
    with Origin() as other:
        away = {**base, "url": f"{origin.url}/redirect?to={other.url}/echo"}
        headers = (await call(away)).data["headers"]
        assert headers.keys().isdisjoint({"Authorization", "Cookie"})
        assert headers["X-Mine"] == "m"
        assert headers["Host"] == other.url.removeprefix("http://")
    near = {**base, "url": f"{origin.url}/redirect?to=/echo"}
    headers = (await call(near)).data["headers"]
    assert headers.keys() >= {"Authorization", "Cookie"}


# ---------------------------------------------------------------- clients


async def test_connections_are_used_again(origin):
    async with sources() as source:
        for path in ("/users", "/orders", "/status/500", "/redirect"):
            await source.call("rest", {"url": origin.url + path})
    assert origin.connections == 1


async def test_no_cookies_are_kept():
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: c=1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with Server(answer, answer) as server:
        async with sources() as source:
            for _ in range(2):
                await source.call("rest", {"url": server.url})
    assert b"Cookie" not in server.heard[1]


async def test_the_environment_names_proxies(monkeypatch, origin):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n42"
    with Server(answer) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert (await call({"url": "http://example.invalid/x"})).data == 42
        assert proxy.heard[0].startswith(b"GET http://example.invalid/x HTTP/1.1\r\n")
        monkeypatch.setenv("NO_PROXY", "example.invalid")
        assert (await call({"url": "http://sub.example.invalid/x"})).kind == "connect"
        assert (await call({"url": f"{origin.url}/digits"})).data == 123  # loopback never


async def test_a_proxy_of_its_own(monkeypatch):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n42"
    with Server(answer) as proxy:
        url = proxy.url.replace("//", "//u:p@")
        async with sources() as source:
            result = await source.call("rest", {"url": "http://127.0.0.1:1/x", "proxy": url})
            assert result.data == 42
            assert "u:p" in {value for value, _ in source.hidden.values}
        assert b"Proxy-Authorization: Basic dTpw\r\n" in proxy.heard[0]


async def test_a_cancelled_request_closes_its_connection(origin):
    backend = current()
    async with sources() as source:
        with backend.cancel_scope(deadline=backend.clock()() + 0.2) as scope:
            await source.call("rest", {"url": f"{origin.url}/hang"})
        assert scope.cancelled_caught
        assert (await source.call("rest", {"url": f"{origin.url}/digits"})).data == 123
    assert origin.connections == 2


async def test_requests_do_not_wait_for_each_other(origin):
    backend = current()
    results = []
    async with sources() as source, backend.open_nursery() as nursery:

        async def one():
            results.append(await source.call("rest", {"url": f"{origin.url}/barrier?n=20"}))

        for _ in range(20):
            nursery.start_soon(one)
    assert [result.data for result in results] == [{"met": 20}] * 20


# ---------------------------------------------------------------- checking


def test_which_inputs_are_options():
    takes = find("rest").takes_options
    assert takes({"a": 1}, {})
    assert takes(Raw({}), {})
    assert not takes({"a": 1}, {"input_mode": "body"})
    assert not takes("abc", {})


def test_what_is_wrong():
    url = {"url": "http://x/"}
    needs = ["step 'a': rest needs a url in input or in configuration"]
    assert found("rest", {}) == needs
    assert found("rest", {"url": None}, {"method": "x"}) == needs
    assert found("rest", {}, url) == []
    assert found("rest", url, {"a": 1}) == ["unknown key 'a' in input of step 'a'"]
    assert found("rest", url, "abc") == [
        "input needs input_mode: parameter or body in the source, or write request options"
    ]
    assert found("rest", url, [1]) != []
    assert found("rest", {**url, "headers": {"X": 5}}) == [
        "configuration.headers.X: expected text, got int 5; quote it to make it text"
    ]
    assert found("rest", {**url, "json": 1, "form": {}}) == [
        "at most one of json, form, data and body: here are json and form"
    ]
    assert found("rest", {**url, "json": 1}, {"form": {}}) != []
    assert found("rest", {**url, "json": 1}, {"json": 2}) == []
    assert found("rest", {**url, "auth": ["u", "p"]}, {"headers": {"authorization": "x"}}) == [
        "auth and an Authorization header exclude each other"
    ]
    assert found("rest", {**url, "proxy": "http://p"}, deny_private=True) != []
    assert found("rest", {"url": "file:///x"}) == ["url must begin with http:// or https://"]
    assert found("rest", {"url": "users"}) == [
        "url must begin with http:// or https://, or add a base_url"
    ]
    assert found("rest", {"url": "users", "base_url": "http://x"}) == []
    assert found("rest", {"url": "{{ env.X }}/users"}) == []
    assert found("rest", {**url, "input_mode": "{{ x }}"}) != []
    assert found("rest", {**url, "timeout": -1, "max_body": "1 MB", "verify": 3}) != []
    assert found("rest", {**url, "input_mode": "body", "json": {}}, {"a": 1}) != []


def test_the_old_grammar():
    url = {"url": "http://x/"}
    for word, mode in (("value", "parameter"), ("filter", "body")):
        reading, problems = check("rest", url, {"type": word, "value": "v"})
        assert (reading.input, reading.configuration["input_mode"]) == ("v", mode)
        assert len(problems.warnings) == 1
        assert problems.errors == ()
    given = {"type": "value", "value": "v"}
    reading, problems = check("rest", {**url, "input_mode": "body"}, given)
    assert reading.input == given
    assert problems.warnings == ()
    reading, _ = check("rest", {**url, "input_mode": "body"}, given, compat=True)
    assert reading.input == "v"


def test_compat_lets_unknown_keys_pass():
    _, problems = check("rest", {"url": "http://x/", "zzz": 1}, compat=True)
    assert problems.errors == ()
    assert [one.message for one in problems.warnings] == ["unknown key 'zzz' in configuration"]


def test_styles():
    style = find("rest").style
    assert style(("input",)) == "text"
    assert style(("input", "url")) == "native"
    assert style(("configuration", "headers", "X")) == "text"
    assert style(("configuration", "json", "x")) == "native"


# ---------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that nobody has signed, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key.pem -out ca.pem -subj /CN=test"
    command = ["openssl", *words.split(), "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def secure(certificate):
    """An origin that speaks TLS."""
    with Origin() as origin:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "ca.pem", certificate / "key.pem")
        origin._server.socket = context.wrap_socket(origin._server.socket, server_side=True)
        yield origin.url.replace("http:", "https:")


async def test_certificates(secure, certificate):
    result = await call({"url": f"{secure}/digits"})
    assert (result.ok, result.kind) == (False, "connect")
    assert result.message.startswith(f"cannot connect to {secure}: certificate verify failed: self")
    assert (await call({"url": f"{secure}/digits", "verify": False})).data == 123
    folders = {"verify": str(certificate)}
    result = await call({"url": f"{secure}/digits", "verify": "ca.pem"}, folders=folders)
    assert result.data == 123


async def test_a_redirect_to_a_secure_origin(origin, secure):
    async with sources() as source:
        url = f"{origin.url}/redirect?to={secure}/echo"
        configuration = {"url": url, "auth": ["u", "p"], "verify": False}
        result = await source.call("rest", configuration)
    assert result.data["path"] == "/echo"
    assert "Authorization" not in result.data["headers"]


async def test_what_is_no_tls(origin):
    result = await call({"url": origin.url.replace("http:", "https:"), "verify": False})
    assert (result.ok, result.kind) == (False, "connect")
    assert result.message.startswith("cannot connect to https://127.0.0.1:")
