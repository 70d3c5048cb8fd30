"""HTTP by httpx2: connections, redirects, limits. The only module that knows that library.

A connection is made here and not by the library alone, so that the address that is really connected
to is one that was checked. Redirects are followed here too, since each of them is checked as well.
Nothing is tried twice: that is the engine's.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import socket
import ssl
import urllib.request
from collections.abc import AsyncIterator, Generator, Iterable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final, TypeAlias, cast
from urllib.parse import urljoin

import attrs
import httpcore2
import httpx2

from plait._engine.native import Backend
from plait._version import VERSION

from .addresses import BlockedError, check_host, is_loopback, is_private
from .parsing import spell_size
from .provider import SourceRun
from .request import Request, user_parts

#: Seconds of the whole timeout that making a connection may take; of these, each address but the last.
CONNECTING: Final = 10.0
ONE_ADDRESS: Final = 2.0
#: Seconds that closing a connection may take.
CLOSING: Final = 5.0
#: Bytes of the body of a failed request that are kept.
FAILED_BODY: Final = 64 << 10
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
PORTS: Final = {"http": 80, "https": 443}

NO_PROXY: Final = "deny_private cannot hold with a proxy, which looks up the address"

Verify: TypeAlias = bool | str | None
"""Whether certificates are checked; a file of those that are trusted; `None`: there are none."""


class ExchangeError(Exception):
    """A request has had no answer that can be used.

    Attributes:
        kind: The failure's kind.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind: str = kind


@attrs.frozen(eq=False)
class Answer:
    """What came back.

    Attributes:
        status: The HTTP status.
        headers: By name, in lower case.
        body: Decompressed; that of a failed request is cut.
        charset: What the headers say of the body's characters.
        asked: The method and where the answer came from, without user and query.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    charset: str | None
    asked: str

    @property
    def is_success(self) -> bool:
        """Is it one of 200 to 299?"""
        return 200 <= self.status < 300


def shown(url: httpx2.URL) -> str:
    """Write a URL as it may be seen: without user and query."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def origin(url: httpx2.URL) -> str:
    """Write where a URL connects to: `http://HOST:PORT`."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{url.scheme}://{host}:{url.port or PORTS.get(url.scheme, 0)}"


class Clients:
    """The clients of a run: one, with its connections, for each way of checking and of going.

    Args:
        run: Whose they are.
    """

    def __init__(self, run: SourceRun) -> None:
        self._run = run
        self._open: dict[tuple[Verify, str | None], httpx2.AsyncClient] = {}

    async def exchange(self, request: Request) -> Answer:
        """Send a request, follow redirects, and read the answer. A checkpoint.

        Raises:
            ExchangeError: There was none, or one that is too large, or one that leads astray.
        """
        hop = _Hop(request.method, _url(request.url), _headers(request.headers), request.body)
        for left in range(request.hops, -1, -1):
            answer = await self._hop(hop, request)
            location = answer.headers.get("location")
            if answer.status not in REDIRECTS or location is None or request.hops == 0:
                return answer
            if left:
                hop = hop.following(answer.status, location)
        raise ExchangeError("redirect", f"Exceeded {request.hops} redirects.")

    async def aclose(self) -> None:
        """Close all connections. Twice is fine. A checkpoint."""
        await self._run.backend.checkpoint_if_cancelled()
        while self._open:
            await self._open.popitem()[1].aclose()
        await self._run.backend.cancel_shielded_checkpoint()

    async def _hop(self, hop: _Hop, request: Request) -> Answer:
        if hop.url.scheme not in PORTS:
            raise ExchangeError(
                "blocked", f"only http and https are allowed, not {hop.url.scheme!r}"
            )
        proxy = request.proxy or _proxy_of(hop.url)
        try:
            check_host(hop.url.host, self._run.allow_hosts)
        except BlockedError as error:
            raise ExchangeError("blocked", str(error)) from error
        if proxy is not None and self._run.deny_private:
            raise ExchangeError("blocked", NO_PROXY)
        # What is not checked needs no certificates: to read those takes 50 ms.
        client = self._client(request.verify if hop.url.scheme == "https" else None, proxy)
        target = origin(_url(proxy)) if proxy is not None else origin(hop.url)
        with _failures(target, origin(hop.url)):
            response = await client.send(hop.request(), stream=True, auth=None)
            try:
                return await _read(response, hop, request.most)
            finally:
                backend = self._run.backend
                limit = backend.clock()() + CLOSING
                with backend.cancel_scope(shield=True, deadline=limit):
                    await response.aclose()

    def _client(self, verify: Verify, proxy: str | None) -> httpx2.AsyncClient:
        client = self._open.get((verify, proxy))
        if client is None:
            client = httpx2.AsyncClient(
                transport=_Transport(_trust(verify), proxy, _Gate(self._run)),
                trust_env=False,
                timeout=None,
                # No request of ours takes cookies from it; so it shall not collect them either.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            )
            self._open[verify, proxy] = client
        return client


def _url(text: str) -> httpx2.URL:
    try:
        return httpx2.URL(text)
    except httpx2.InvalidURL as error:
        raise ExchangeError("source", f"the url is not valid: {error}") from error


def _headers(given: Mapping[str, str | None]) -> httpx2.Headers:
    """Lay a request's headers over the default ones."""
    headers = httpx2.Headers(
        {
            "Accept": "*/*",
            "Accept-Encoding": _encodings(),
            "Connection": "keep-alive",
            "User-Agent": f"plait/{VERSION}",
        }
    )
    for name, value in given.items():
        if value is not None:
            headers[name] = value
        elif name in headers:
            del headers[name]
    return headers


@functools.cache
def _encodings() -> str:
    """Ask the library what it can decompress, as it is installed here."""
    return httpx2.AsyncClient(trust_env=False, transport=_Nowhere()).headers["accept-encoding"]


class _Nowhere(httpx2.AsyncBaseTransport):
    """For a client that sends nothing: it makes no connections ready."""


@attrs.frozen(eq=False)
class _Hop:
    """One request on the way to an answer."""

    method: str
    url: httpx2.URL
    headers: httpx2.Headers
    body: bytes | None

    def request(self) -> httpx2.Request:
        """Make the library's request."""
        timeouts = {"connect": CONNECTING, "read": None, "write": None, "pool": None}
        return httpx2.Request(
            self.method,
            self.url,
            headers=self.headers,
            content=self.body,
            extensions={"timeout": timeouts},
        )

    def following(self, status: int, location: str) -> _Hop:
        """Make the request that a redirect asks for."""
        url = _url(urljoin(str(self.url), location))
        url = url.copy_with(userinfo=b"", fragment=None)
        headers, method, body = self.headers.copy(), self.method, self.body
        if (status == 303 and method != "HEAD") or (status in {301, 302} and method == "POST"):
            method, body = "GET", None
            for name in ("Content-Type", "Content-Length", "Transfer-Encoding", "Content-Encoding"):
                headers.pop(name, None)
        if url.scheme in PORTS and origin(url) != origin(self.url):
            for name in ("Authorization", "Cookie", "Host"):
                headers.pop(name, None)
        return _Hop(method, url, headers, body)


async def _read(response: httpx2.Response, hop: _Hop, most: int) -> Answer:
    """Read an answer, as much of it as is wanted."""
    success = 200 <= response.status_code < 300
    limit = most if success else FAILED_BODY
    told = response.headers.get("content-length", "")
    plain = "content-encoding" not in response.headers
    body = bytearray()
    too_large = success and plain and told.isdecimal() and int(told) > most
    if not too_large:
        async with contextlib.aclosing(response.aiter_bytes()) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > limit:
                    too_large = success
                    break
    if too_large:
        raise ExchangeError("too_large", f"body is larger than {spell_size(most)} (max_body)")
    return Answer(  # noqa: ASYNC910 - the headers have been waited for
        response.status_code,
        dict(response.headers.items()),
        bytes(body[:limit]),
        response.charset_encoding,
        f"{hop.method} {shown(hop.url)}",
    )


# ---------------------------------------------------------------- connections


class _Transport(httpx2.AsyncBaseTransport):
    """Between the library's client and its pool of connections, which takes our gate."""

    def __init__(self, trust: ssl.SSLContext, proxy: str | None, gate: _Gate) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=trust,
            proxy=None if proxy is None else _proxy(proxy),
            max_connections=None,
            max_keepalive_connections=100,
            keepalive_expiry=5.0,
            network_backend=gate,
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request."""
        url = request.url
        answer = await self._pool.handle_async_request(
            httpcore2.Request(
                method=request.method,
                url=httpcore2.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx2.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream),
            extensions=cast("Any", answer).extensions,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()


class _Body(httpx2.AsyncByteStream):
    """The body of an answer, on its way."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    # The library iterates over it, and closes what it has begun.
    async def __aiter__(self) -> AsyncIterator[bytes]:  # noqa: ASYNC900
        async with contextlib.aclosing(self._stream.__aiter__()) as pieces:
            async for piece in pieces:
                yield piece  # noqa: ASYNC119

    async def aclose(self) -> None:
        """Give the connection back, or close it if there is more to come."""
        await self._stream.aclose()


class _Gate(httpcore2.AsyncNetworkBackend):
    """Makes connections, to addresses that are allowed."""

    def __init__(self, run: SourceRun) -> None:
        self._backend: Backend = run.backend
        self._deny_private = run.deny_private
        trio_runs = run.backend.name == "trio"
        makes: Any = httpcore2.TrioBackend if trio_runs else httpcore2.AnyIOBackend
        self._makes: httpcore2.AsyncNetworkBackend = makes()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to a host."""
        del socket_options, local_address
        if not self._deny_private:
            return await self._makes.connect_tcp(host, port, timeout)
        clock = self._backend.clock()
        deadline = clock() + (math.inf if timeout is None else timeout)
        with self._backend.cancel_scope(deadline=deadline):
            addresses = await self._addresses(host, port)
            for address in addresses[:-1]:
                share = min(ONE_ADDRESS, deadline - clock())
                with contextlib.suppress(httpcore2.ConnectError, httpcore2.ConnectTimeout):
                    return await self._makes.connect_tcp(address, port, share)
            return await self._makes.connect_tcp(addresses[-1], port, deadline - clock())
        raise httpcore2.ConnectTimeout

    async def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = await self._backend.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore2.ConnectError(error) from error
        addresses = [str(one[4][0]) for one in found]
        public = [one for one in dict.fromkeys(addresses) if not is_private(one)]
        if not public:
            raise BlockedError(f"address {addresses[0]} of {host!r} is private (deny_private)")
        return public

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Refuse: no URL leads to one."""
        raise NotImplementedError(path)

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        await self._backend.sleep_until(self._backend.clock()() + seconds)


def _trust(verify: Verify) -> ssl.SSLContext:
    if verify is None:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if isinstance(verify, str):
        try:
            return ssl.create_default_context(cafile=verify)
        except OSError as error:  # no such file, or one without certificates
            reason = error if isinstance(error, ssl.SSLError) else error.strerror
            raise ExchangeError("source", f"verify: {verify}: {reason}") from error
    return httpx2.create_ssl_context(verify=verify, trust_env=False)


def _proxy(text: str) -> httpcore2.Proxy:
    url = _url(text)
    if url.scheme not in PORTS:
        raise ExchangeError("source", "the proxy must be an http or https URL")
    user = url.userinfo.decode()
    return httpcore2.Proxy(
        httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=b"/"),
        auth=user_parts(user) if user else None,
    )


def _bypasses(url: httpx2.URL, proxies: dict[str, str]) -> bool:
    """Say whether `NO_PROXY` has this host: itself, or a domain that it is in."""
    host, names = url.host.lower(), proxies.get("no", "").lower().split(",")
    places = (host, f"{host}:{url.port or PORTS.get(url.scheme)}")
    for name in filter(None, (one.strip().lstrip(".") for one in names)):
        if name == "*" or any(place == name or place.endswith(f".{name}") for place in places):
            return True
    return False


def _proxy_of(url: httpx2.URL) -> str | None:
    """Say which proxy the environment names for a URL."""
    if is_loopback(url.host):
        return None
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get(url.scheme)
    if not proxy or _bypasses(url, proxies):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


# ---------------------------------------------------------------- failures


@contextlib.contextmanager
def _failures(connects: str, asks: str) -> Generator[None]:
    """Turn the libraries' errors into ours, in words that show neither path, query nor user.

    Args:
        connects: Where the connection goes: to the origin, or to the proxy.
        asks: The origin.
    """
    try:
        yield
    except BlockedError as error:
        raise ExchangeError("blocked", str(error)) from error
    except (httpcore2.TimeoutException, httpx2.TimeoutException) as error:
        raise ExchangeError("timeout", "timeout") from error
    except (httpcore2.ConnectError, httpcore2.ProxyError) as error:
        raise ExchangeError("connect", f"cannot connect to {connects}: {_reason(error)}") from error
    except (httpcore2.NetworkError, httpcore2.RemoteProtocolError) as error:
        reason = _reason(error)
        raise ExchangeError("connect", f"connection to {asks} was lost: {reason}") from error
    except httpcore2.LocalProtocolError as error:
        raise ExchangeError("source", f"the request is not valid: {error}") from error
    except httpx2.DecodingError as error:
        raise ExchangeError("source", f"the body cannot be decompressed: {error}") from error
    except UnicodeError as error:
        raise ExchangeError("source", f"the request is not valid: {error}") from error


def _reason(error: BaseException) -> str:
    """Find what the operating system said, below all that was made of it."""
    found, queue = {id(error)}, [error]
    while queue:
        one = queue.pop(0)
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"certificate verify failed: {one.verify_message}"
        if isinstance(one, ssl.SSLError | socket.gaierror):
            return one.strerror or str(one)
        if isinstance(one, OSError) and one.errno is not None:
            return os.strerror(one.errno)
        below: list[object] = [*one.args, one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            below += one.exceptions  # pyright: ignore[reportUnknownMemberType]
        for other in below:
            if isinstance(other, BaseException) and id(other) not in found:
                found.add(id(other))
                queue.append(other)
    return str(error) or type(error).__name__
