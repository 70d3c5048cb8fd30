"""Where and with what a table was measured: it means nothing without."""

import platform
import re
from importlib import metadata
from pathlib import Path

from benchmarks.contenders import Contender


def processor() -> str:
    """The name of the processor."""
    try:
        found = re.search(
            r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE
        )
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def interpreter() -> str:
    """The name and version of the interpreter, and of the system it runs on."""
    implementation = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{implementation} on {platform.system()} {platform.machine()}"


def versions(contenders: list[Contender]) -> dict[str, str]:
    """The versions of all distributions that took part."""
    found: dict[str, str] = {}
    for contender in contenders:
        for distribution in contender.distributions:
            try:
                found[distribution] = metadata.version(distribution)
            except metadata.PackageNotFoundError:
                found[distribution] = "not installed"
    return found
