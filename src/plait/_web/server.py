"""Serving a page over HTTP, in the event loop that its runs are in."""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import trio

from plait._errors import MissingExtra, PlaitError
from plait._naming import publish

from .page import LivePage

if TYPE_CHECKING:
    from hypercorn.config import Config

#: Seconds that windows have to take their last message.
GRACE: Final = 1.0
HOST: Final = "127.0.0.1"
PORT: Final = 8000
LAST_PORT: Final = 65535

log: Final = logging.getLogger("plait.web")


class CannotServe(PlaitError, OSError):  # noqa: N818 - says what has happened
    """A server could not be opened at the address that was asked for."""


async def serve(
    page: LivePage,
    *,
    host: str = HOST,
    port: int = PORT,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve a page until cancelled. A checkpoint; for Trio.

    On asyncio, or behind a server of yours, mount the page instead: it is an ASGI application.

    Args:
        page: The page.
        host: The address to listen at. Any other than this machine's own lets others in: they need the
            token, and everything is sent unencrypted.
        port: The port; 0: any that is free.
        task_status: `await nursery.start(plait.web.serve, page)` gives the address, with the token.

    Cancelled, it ends the streams of all windows, waits a second for them at most, and closes.

    Raises:
        CannotServe: The address is in use, or is none of this machine.
        MissingExtra: Hypercorn is not installed.

    Example:
        ```python
        async with trio.open_nursery() as nursery:
            address = await nursery.start(plait.web.serve, page)
            print(address)
        ```
    """
    try:
        from hypercorn import trio as hypercorn_trio  # noqa: PLC0415
        from hypercorn.config import Config  # noqa: PLC0415 - an extra begins here
    except ModuleNotFoundError as error:
        text = "the live page needs hypercorn. Type: pip install 'plait[ui]'"
        raise MissingExtra(text) from error
    listener = listening(host, port)
    bound: int = listener.getsockname()[1]
    page._answers_to(host)
    stop = trio.Event()
    over = trio.Event()
    shelter = trio.CancelScope(shield=True)

    async def serving(  # noqa: ASYNC114, ASYNC128 - Hypercorn says when it has started
        task_status: trio.TaskStatus[Any],
    ) -> None:
        config = _configured(Config(), listener)
        with shelter:
            served: Any = page
            await hypercorn_trio.serve(  # pyright: ignore[reportUnknownMemberType]
                served, config, shutdown_trigger=stop.wait, task_status=task_status
            )
        over.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(serving)
        task_status.started(address(page, host, bound))
        try:
            await trio.sleep_forever()
        finally:
            page.close()
            stop.set()
            shelter.deadline = trio.current_time() + GRACE + 1.0
            with trio.CancelScope(shield=True):
                await over.wait()


def listening(host: str, port: int) -> socket.socket:
    """Open the socket: it is known before anything runs whether that can be.

    Raises:
        CannotServe: It cannot.
    """
    if not 0 <= port <= LAST_PORT:  # a socket would take it, and listen at another one
        raise CannotServe(f"cannot listen at {host}, port {port}: ports are 0 to {LAST_PORT}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, place = found[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, OverflowError, UnicodeError) as error:
        raise CannotServe(f"cannot listen at {host}, port {port}: {error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(place)
        listener.listen()
    except OSError as error:
        listener.close()
        cure = ": choose another one with --port" if error.errno == errno.EADDRINUSE else ""
        text = f"cannot listen at {host}, port {port}: {error.strerror or error}{cure}"
        raise CannotServe(text) from error
    return listener


def _configured(config: Config, listener: socket.socket) -> Config:
    config.bind = [f"fd://{listener.detach()}"]
    config.accesslog = None
    config.errorlog = log
    config.graceful_timeout = GRACE
    config.include_server_header = False
    return config


def address(page: LivePage, host: str, port: int) -> str:
    """Write the address of a page, with its token."""
    if _is_any(host):
        host = HOST  # it is listened at everywhere, and people want one that they can open
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/?{urlencode({'token': page.token})}"


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == ""


publish("plait.web", CannotServe)
