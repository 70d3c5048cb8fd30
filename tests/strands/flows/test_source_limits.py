"""Where requests may go: `allow_hosts` and `deny_private`, at every hop, on the address connected to."""

import socket

import pytest

from plait._engine.native import current
from plait._strands._flows.sources.addresses import BlockedError, check_host, is_private
from tests.origin import Origin
from tests.strands.flows.sources_world import sources

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


async def ask(url, *, names=None, monkeypatch=None, **run):
    """Ask for a URL; `names`: what each host is looked up as, one answer after the other."""
    if names is not None:
        backend = current()

        async def looked_up(host, port, **_):
            addresses = names[host]
            found = addresses.pop(0) if len(addresses) > 1 else addresses[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

        monkeypatch.setattr(backend, "getaddrinfo", looked_up)
    async with sources(**run) as source:
        return await source.call("rest", {"url": url})


@pytest.mark.parametrize(
    ("host", "allowed", "fine"),
    [
        ("api.example.org", None, True),
        ("api.example.org", ["api.example.org"], True),
        ("API.Example.org.", ["api.example.ORG"], True),
        ("api.example.org", [".example.org"], True),
        ("a.b.example.org", [".example.org"], True),
        ("example.org", [".example.org"], False),
        ("evilexample.org", [".example.org", "example.org"], False),
        ("api.example.org.evil", ["api.example.org"], False),
        ("api.example.org", [], False),
        ("[::1]", ["::1"], True),
    ],
)
def test_hosts(host, allowed, fine):
    if fine:
        check_host(host, allowed)
    else:
        with pytest.raises(BlockedError, match="is not in allow_hosts"):
            check_host(host, allowed)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "239.1.1.1",
        "255.255.255.255",
        "240.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd12:3456::1",
        "ff02::1",
        "ff0e::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::10.0.0.1",
        "2002:0a00:0001::1",
        "2002:7f00:0001::",
        "::127.0.0.1",
        "2001:0:4136:e378:8000:63bf:f5ff:fffe",  # Teredo: its client is 10.0.0.1
    ],
)
def test_private_addresses(address):
    assert is_private(address)


@pytest.mark.parametrize(
    "address",
    ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"],
)
def test_public_addresses(address):
    assert not is_private(address)


async def test_a_host_that_is_not_allowed(origin):
    result = await ask(f"{origin.url}/users", allow_hosts=("example.org",))
    assert (result.ok, result.kind) == (False, "blocked")
    assert result.message == "host '127.0.0.1' is not in allow_hosts"
    assert origin.connections == 0
    assert (await ask(f"{origin.url}/users", allow_hosts=("127.0.0.1",))).ok


async def test_a_redirect_to_a_host_that_is_not_allowed(origin):
    with Origin() as other:
        there = other.url.replace("127.0.0.1", "localhost")
        result = await ask(f"{origin.url}/redirect?to={there}/echo", allow_hosts=("127.0.0.1",))
        assert result.message == "host 'localhost' is not in allow_hosts"
        assert other.connections == 0


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]"]
)
async def test_private_addresses_however_they_are_written(origin, host):
    result = await ask(f"http://{host}:{origin.port}/users", deny_private=True)
    assert (result.ok, result.kind) == (False, "blocked")
    assert result.message.endswith("is private (deny_private)")
    assert origin.connections == 0


async def test_a_name_of_a_private_address(origin, monkeypatch):
    names = {"public.example": [["10.0.0.1"]]}
    url = f"http://public.example:{origin.port}/users"
    result = await ask(url, names=names, monkeypatch=monkeypatch, deny_private=True)
    assert result.message == "address 10.0.0.1 of 'public.example' is private (deny_private)"


async def test_what_is_connected_to_is_what_was_looked_at(origin, monkeypatch):
    """A name that is public first and private when it is looked up again gains nothing."""
    monkeypatch.setattr(
        "plait._strands._flows.sources.transport.is_private", lambda text: text != "127.0.0.1"
    )
    # Here 127.0.0.1 stands for a public address: the next one is never asked for.
    names = {"rebinding.example": [["127.0.0.1"], ["10.9.9.9"]]}
    url = f"http://rebinding.example:{origin.port}/echo"
    result = await ask(url, names=names, monkeypatch=monkeypatch, deny_private=True)
    assert result.ok, result.message
    assert result.data["headers"]["Host"] == f"rebinding.example:{origin.port}"
    assert names == {"rebinding.example": [["10.9.9.9"]]}


async def test_of_several_addresses_the_private_ones_are_left_out(origin, monkeypatch):
    monkeypatch.setattr(
        "plait._strands._flows.sources.transport.is_private", lambda text: text != "127.0.0.1"
    )
    names = {"both.example": [["10.0.0.1", "127.0.0.1"]]}
    url = f"http://both.example:{origin.port}/echo"
    assert (await ask(url, names=names, monkeypatch=monkeypatch, deny_private=True)).ok


async def test_the_next_address_when_one_does_not_answer(origin, monkeypatch):
    monkeypatch.setattr("plait._strands._flows.sources.transport.is_private", lambda _: False)
    names = {"two.example": [["127.0.0.2", "127.0.0.1"]]}
    url = f"http://two.example:{origin.port}/echo"
    assert (await ask(url, names=names, monkeypatch=monkeypatch, deny_private=True)).ok


async def test_a_redirect_to_a_private_address(origin, monkeypatch):
    with Origin() as other:
        here = {"127.0.0.1"}
        monkeypatch.setattr(
            "plait._strands._flows.sources.transport.is_private", lambda text: text not in here
        )
        names = {"start.example": [["127.0.0.1"]], "inside.example": [["10.0.0.1"]]}
        to = f"http://inside.example:{other.port}/echo"
        url = f"http://start.example:{origin.port}/redirect?to={to}"
        result = await ask(url, names=names, monkeypatch=monkeypatch, deny_private=True)
        assert result.message == "address 10.0.0.1 of 'inside.example' is private (deny_private)"
        assert origin.connections == 1


async def test_the_environments_proxy_does_not_go_with_deny_private(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    result = await ask("http://example.invalid/", deny_private=True)
    assert (result.ok, result.kind) == (False, "blocked")
    assert "proxy" in result.message
