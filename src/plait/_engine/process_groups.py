"""Groups of processes: who is in one, how it is told to end, and who has left all of them."""

from __future__ import annotations

import contextlib
import logging
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Final

import attrs

from .native import Backend

log = logging.getLogger("plait")

#: Seconds between two looks at processes that have been told to end: the first one, and the longest.
FIRST_LOOK: Final = 0.001
LAST_LOOK: Final = 0.05
#: Seconds that killed processes may take to go. Longer takes only what hangs in the kernel.
PATIENCE: Final = 5.0

#: Whether this system has groups of processes. Windows has none.
HAS_GROUPS: Final = hasattr(os, "killpg")

#: The children that some call waits for, and will reap.
awaited: Final[set[int]] = set()
#: Those that were there before plait: whoever was replaced by it, as by `exec`, has started them.
_inherited: Final[set[int]] = set()


def group_lives(group: int) -> bool:
    """Say whether a process group has a member that is no zombie."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # all are somebody else's, or on macOS zombies
        pass
    members = _members(group)
    return True if members is None else bool(members)


def signal_group(group: int, leader: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a group, if there is one."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        log.warning("Process group %d may not be sent %s.", group, number.name)
        leader.send_signal(number)


def _members(group: int) -> list[int] | None:
    """List the members of a group that are no zombies; `None` if that cannot be known here."""
    if sys.platform == "linux":
        return [one.pid for one in _processes() if one.group == group and not one.is_zombie]
    try:
        listed = subprocess.run(
            ["/bin/ps", "-A", "-o", "pid=,pgid=,stat="], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    rows = [line.split() for line in listed.splitlines()]
    return [int(row[0]) for row in rows if row[1] == str(group) and not row[2].startswith("Z")]


@attrs.frozen
class _Process:
    pid: int
    parent: int
    group: int
    is_zombie: bool


def _processes() -> Iterable[_Process]:
    """Look at every process of this machine (Linux)."""
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):  # it has gone meanwhile
                stat = (folder / "stat").read_bytes()
                # After the program's name, which may hold anything, a closing bracket too.
                state, parent, group, *_ = stat.rpartition(b")")[2].split()
                yield _Process(int(folder.name), int(parent), int(group), state in b"ZX")


def become_subreaper() -> bool:
    """Have processes that lose their parent become plait's children (Linux); could it be done?

    For a program that is plait's alone: whoever else starts processes here does not expect it.
    """
    if sys.platform != "linux":
        return False
    import ctypes  # noqa: PLC0415 - 5 ms, for the command only

    pr_set_child_subreaper = 36
    _inherited.update(_children())
    refused: int = ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)
    return refused == 0


async def end_orphans(backend: Backend, grace: Callable[[], float]) -> None:
    """End all children of plait that no call waits for: those that left their group. A checkpoint.

    They are there after `become_subreaper`. TERM, the grace, KILL, under a shield; then they are
    reaped.
    """
    await backend.checkpoint()
    with backend.cancel_scope(shield=True):
        for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, lambda: PATIENCE)):
            for pid in _orphans():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
            begun, pause = backend.clock()(), FIRST_LOOK
            while _orphans() and backend.clock()() - begun < patience():
                await backend.sleep_until(backend.clock()() + pause)
                pause = min(2 * pause, LAST_LOOK)


def _children() -> dict[int, _Process]:
    """Look at plait's own children (Linux)."""
    if sys.platform != "linux":
        return {}
    me = os.getpid()
    return {one.pid: one for one in _processes() if one.parent == me}


def _orphans() -> list[int]:
    """List plait's children that nobody waits for, and reap those that have ended."""
    left: list[int] = []
    for pid, one in _children().items():
        if pid in awaited or pid in _inherited:
            continue
        if one.is_zombie:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(one.pid, os.WNOHANG)
        else:
            left.append(one.pid)
    return left
