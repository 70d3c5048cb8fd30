"""Whose requests are answered: the name, the token, the origin, and what every answer carries."""

from __future__ import annotations

from urllib.parse import urlencode

import anyio
import pytest

import plait.web
from plait.errors import ConfigError
from tests.web.conftest import HOST, TOKEN, Braid, ask

SAFE = ("content-security-policy", "x-content-type-options", "referrer-policy", "x-frame-options")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "",
        None,
        "evil.example@127.0.0.1:8000",
        "127.0.0.1:8000/evil",
        "127.0.0.1#evil",
        "127.0.0.1?evil",
        "127.0.0.1:evil",
        "127.0.0.1:99999",
        "localhost.",
        "[::1",
        "::1",
        "[::1]evil",
    ],
)
async def test_another_name_is_refused(page, host):
    answer = await ask(page, "/status", host=host)
    assert answer.status == 421
    assert "--host" in answer.json["error"]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:9", "localhost:8000", "LOCALHOST", "[::1]:8000"]
)
async def test_the_names_of_this_machine_are_answered(page, host):
    assert (await ask(page, "/status", host=host)).status == 200


async def test_a_second_host_header_counts_as_none(page):
    async def twice(scope, receive, send):
        scope["headers"] = [*scope["headers"], (b"host", b"127.0.0.1")]
        await page(scope, receive, send)

    assert (await ask(twice, "/status")).status == 421


async def test_a_name_that_was_given_is_answered_and_an_address_is_not():
    page = plait.web.app(token=TOKEN, hosts=["ops.example.org"])
    assert (await ask(page, "/status", host="ops.example.org")).status == 200
    assert (await ask(page, "/status", host="10.0.0.1")).status == 421


async def test_at_any_address_an_address_will_do_and_a_foreign_name_will_not(page):
    page._answers_to("0.0.0.0")
    assert (await ask(page, "/status", host="192.0.2.7:8000")).status == 200
    assert (await ask(page, "/status", host="evil.example")).status == 421


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], f"{TOKEN}x", "ü"])
@pytest.mark.parametrize("path", ["/", "/status", "/api/events", "/static/main.js", "/nothing"])
async def test_without_the_token_nothing_is_answered(page, path, token):
    assert (await ask(page, path, token=token)).status == 401
    assert (await ask(page, f"{path}?token={token}", token=None)).status == 401


async def test_the_token_goes_from_the_address_into_a_cookie(page):
    answer = await ask(page, f"/?token={TOKEN}&run=x", token=None)
    assert (answer.status, answer.headers["location"]) == (303, "/?run=x")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    pair = cookie.partition(";")[0]
    assert (await ask(page, "/", token=None, cookie=pair)).status == 200
    other = pair.replace("plait-8000", "plait-8001")
    assert (await ask(page, "/", token=None, cookie=other)).status == 401, "a cookie is for a port"


@pytest.mark.parametrize(
    "jar",
    [
        'prefs={{"a": 1}}; {}',
        "a[b]=1; {}",
        "no cookie; {}",
        "{}; prefs=[1, 2]",
        "plait-8000=of-another-mount; {}",
    ],
)
async def test_what_other_programs_have_put_into_the_jar_locks_nobody_out(page, jar):
    cookie = jar.format(f"plait-8000={TOKEN}")
    assert (await ask(page, "/status", token=None, cookie=cookie)).status == 200
    cookie = jar.format("plait-8000=wrong")
    assert (await ask(page, "/status", token=None, cookie=cookie)).status == 401


async def test_the_cookies_may_come_in_several_headers(page):
    async def twice(scope, receive, send):
        cookie = f"plait-8000={TOKEN}".encode()
        scope["headers"] = [*scope["headers"], (b"cookie", b"a=1"), (b"cookie", cookie)]
        await page(scope, receive, send)

    assert (await ask(twice, "/status", token=None)).status == 200


@pytest.mark.parametrize("token", ["a b; c=d", 'quo"ted, 100 %', "schlüssel-für-alle", "a\r\nb: c"])
async def test_a_token_of_any_characters_goes_through_the_address_and_the_cookie(token):
    page = plait.web.app(token=token)
    answer = await ask(page, f"/?{urlencode({'token': token})}", token=None)
    assert answer.status == 303
    pair, *rest = answer.headers["set-cookie"].split("; ")
    assert rest == ["Path=/", "HttpOnly", "SameSite=Strict"]
    assert pair.isascii()
    assert pair.isprintable()
    assert (await ask(page, "/status", token=None, cookie=pair)).status == 200


async def test_a_header_may_bring_any_token():
    page = plait.web.app(token="schlüssel-für-alle")
    assert (await ask(page, "/status", token="schlüssel-für-alle")).status == 200


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ("ops.example.org", r"write hosts=\['ops.example.org'\]"),
        (["ops.example.org:8443"], "without a port"),
        (["https://ops.example.org"], "without http://"),
        ([""], "no name"),
        ([7], "no name"),
    ],
)
def test_hosts_that_no_request_could_have_are_refused(hosts, said):
    with pytest.raises(ConfigError, match=said):
        plait.web.app(hosts=hosts)


@pytest.mark.parametrize("host", ["::1", "[::1]", "OPS.example.org", "10.0.0.1"])
async def test_hosts_are_names_or_addresses(host):
    page = plait.web.app(token=TOKEN, hosts=[host])
    called = f"[{host.strip('[]')}]" if ":" in host else host
    assert (await ask(page, "/status", host=f"{called.lower()}:8443")).status == 200


async def test_mounted_the_cookie_and_the_address_are_those_of_the_mount(page):
    answer = await ask(page, f"/?token={TOKEN}", token=None, root="/plait")
    assert answer.headers["location"] == "/plait/"
    assert "Path=/plait;" in answer.headers["set-cookie"]


async def test_a_program_may_name_the_token_in_the_address_to_read(page):
    assert (await ask(page, f"/status?token={TOKEN}", token=None)).status == 200
    answer = await ask(page, f"/api/run?token={TOKEN}", "POST", token=None, body={})
    assert answer.status == 401, "and not to change anything"


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "http://evil.example",
        "http://127.0.0.1:8001",
        f"http://{HOST}.evil.example",
        "http://[",
    ],
)
async def test_a_post_with_the_cookie_must_come_from_the_page(origin):
    page = plait.web.app(Braid(), token=TOKEN)
    headers = {"cookie": f"plait-8000={TOKEN}"} | ({"origin": origin} if origin else {})
    answer = await ask(page, "/api/run", "POST", token=None, body={}, **headers)
    assert answer.status == 403


async def test_a_post_from_the_page_reaches_its_button():
    page = plait.web.app(Braid(), token=TOKEN)
    cookie = f"plait-8000={TOKEN}"
    answer = await ask(
        page, "/api/run", "POST", token=None, body={}, cookie=cookie, origin=f"http://{HOST}"
    )
    assert answer.status == 409
    assert "nothing can be begun" in answer.json["error"]


@pytest.mark.parametrize(
    "path",
    ["/", "/status", "/static/main.js", "/nothing", "/?token=wrong", "/api/changes?run=none"],
)
async def test_every_answer_has_its_shields(page, path):
    for token in (TOKEN, None):
        answer = await ask(page, path, token=token)
        assert all(name in answer.headers for name in SAFE)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "name",
    [
        "../__init__.py",
        "..%2f__init__.py",
        "%2e%2e/guard.py",
        "/etc/passwd",
        "index.html/../../page.py",
        "",
    ],
)
async def test_no_path_leads_out_of_the_files(page, name):
    answer = await ask(page, f"/static/{name}")
    assert answer.status == 404
    assert b"import" not in answer.body


async def test_a_websocket_is_closed(page):
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    await page({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "text/plain", 415),
        (b"[", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"{}", "application/json", 400),
        (b'{"run": 1}', "application/json", 400),
        (b'{"run": "' + b"x" * 70_000 + b'"}', "application/json", 413),
        (b'{"run": "nobody"}', "application/json", 409),
    ],
)
async def test_what_a_button_sends_is_checked(page, body, kind, status):
    answer = await ask(page, "/api/cancel", "POST", body=body, content_type=kind)
    assert answer.status == status
    assert answer.json["error"]


async def test_a_get_changes_nothing(page):
    assert (await ask(page, "/api/cancel")).status == 405


async def test_who_goes_in_the_middle_of_a_request_is_no_error_of_the_server(page):
    async def gone(scope, receive, send):
        async def leave():
            return {"type": "http.disconnect"}

        await page(scope, leave, send)

    answer = await ask(gone, "/api/cancel", "POST", body={"run": "x"})
    assert answer.status == 400


async def test_a_head_of_the_events_ends():
    page = plait.web.app(Braid(), token=TOKEN)

    async def waiting(scope, receive, send):
        async def stay():
            await anyio.sleep_forever()

        await page(scope, stay, send)

    with anyio.fail_after(10):
        answer = await ask(waiting, "/api/events", "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")
