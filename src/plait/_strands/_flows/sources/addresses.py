"""Which hosts and addresses may be connected to: `runner.allow_hosts` and `runner.deny_private`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Addresses of IPv6 that stand for one of IPv4, in their last four bytes.
TRANSLATED: Final = (
    ipaddress.IPv6Network("64:ff9b::/96"),
    ipaddress.IPv6Network("64:ff9b:1::/48"),
    ipaddress.IPv6Network("::/96"),
)


class BlockedError(Exception):
    """A host or an address may not be connected to."""


def check_host(host: str, allowed: Sequence[str] | None) -> None:
    """Refuse a host that is not in the list.

    Args:
        host: As it stands in the URL.
        allowed: Names; one that begins with a dot stands for all below it. `None`: all are allowed.

    Raises:
        BlockedError: It is not.
    """
    if allowed is None:
        return
    name = _plain(host)
    for one in map(_plain, allowed):
        if name == one or (one.startswith(".") and name.endswith(one)):
            return
    raise BlockedError(f"host {host!r} is not in allow_hosts")


def _plain(host: str) -> str:
    return host.lower().strip("[]").rstrip(".")


def is_private(text: str) -> bool:
    """Say whether an address is not one of the public internet, however it is written."""
    address = ipaddress.ip_address(text)
    return any(not one.is_global or one.is_multicast for one in _forms(address))


def _forms(address: Address) -> Iterator[Address]:
    """Give an address, and those of IPv4 that it may stand for."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    if address.ipv4_mapped is not None:  # nothing but a spelling, and so not global itself
        yield address.ipv4_mapped
        return
    yield address
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if any(address in network for network in TRANSLATED):
        yield ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)


def is_loopback(host: str) -> bool:
    """Say whether a URL's host is this machine, without asking anybody."""
    name = _plain(host)
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
