"""The files and the console blocks of a page: they are written into a folder, and typed there.

A block below `<!-- file: NAME -->` is a file in the page's folder. Each line of a `console` block that
begins with `$ ` is typed there, and prints the lines below it:

    $ plait run flow.yaml -q
    step  output  value
    ...

A line `...` stands for any lines. What differs from run to run is not compared: seconds, the names of
runs, times of day. `export NAME=VALUE` holds for the rest of the page, and `$?` is the exit code of the
line before. `plait` and `python` are those of the tests. PLAIT_ORIGIN is the address of `tests/origin.py`,
on the page http://127.0.0.1:8777.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from sybil import Document, Region

from tests.origin import Origin

FILE = re.compile(
    r"^<!--+\s*file:\s*(?P<name>\S+)\s*--+>\s*^```\w+\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
FILE_MARK = re.compile(r"^<!--+\s*file\b.*$", re.MULTILINE)
CONSOLE = re.compile(r"^```console\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SKIPPED = re.compile(r"^<!--+\s*not typed\s*--+>\s*\Z", re.MULTILINE)

#: The origin, as pages write it.
SHOWN_ORIGIN = "http://127.0.0.1:8777"
#: What no two runs have in common.
VARYING = (
    (re.compile(r"\b\d+(\.\d+)? s\b"), "0 s"),
    (re.compile(r"\b\d\d\d\d-\d\d-\d\d \d\d:\d\d:\d\d\b"), "2026-01-01 00:00:00"),
    (re.compile(r"(?<=\brun )[0-9a-hjkmnp-tv-z]{6,10}(?= of )"), "a-run"),
    (re.compile(r"^[0-9a-hjkmnp-tv-z]{6}(?=  )"), "a-run"),
    (re.compile(r"[ \t]+"), " "),
)


class Desk:
    """A page's folder, and what is typed in it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self._env: dict[str, str] | None = None
        self._origin: Origin | None = None
        self._code = 0

    def parse(self, document: Document):
        """Find the files and the console blocks of a page."""
        files = {match.start(): match for match in FILE.finditer(document.text)}
        for mark in FILE_MARK.finditer(document.text):
            if mark.start() not in files:
                line = document.line_column(mark.start())
                raise ValueError(f"{document.path}, {line}: no block follows {mark[0]}")
        for match in files.values():
            yield Region(match.start(), match.end(), (match["name"], match["text"]), self._write)
        for match in CONSOLE.finditer(document.text):
            if not SKIPPED.search(document.text[: match.start()]):
                yield Region(match.start(), match.end(), match["text"], self._type)

    def _write(self, example) -> None:
        name, text = example.parsed
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def _type(self, example) -> None:
        line = example.line + 1
        for typed, says in dialogue(example.parsed):
            prints = self.answer(typed)
            if difference := compare(says, prints):
                pytest.fail(
                    "\n".join([f"{example.path}:{line}: $ {typed}", *difference]), pytrace=False
                )
            line += 1 + typed.count("\n") + len(says)

    def answer(self, typed: str) -> list[str]:
        """Type one command; the lines it prints, stdout and stderr as they come."""
        if typed.startswith("export "):
            for word in shlex.split(typed)[1:]:
                name, _, value = word.partition("=")
                self.environment()[name] = value.replace(SHOWN_ORIGIN, self._origin_url())
            return []
        done = subprocess.run(
            ["/bin/sh", "-c", f"(exit {self._code})\n{typed}"],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            encoding="utf-8",
        )
        self._code = done.returncode
        text = done.stdout
        if self._origin is not None:
            text = text.replace(self._origin.url, SHOWN_ORIGIN)
        return text.splitlines()

    def environment(self) -> dict[str, str]:
        """What a command is told: `plait` and `python` come first on the path."""
        if self._env is None:
            shims = self.folder / ".bin"
            shims.mkdir()
            for name, words in (("plait", "-m plait "), ("python", "")):
                shim = shims / name
                shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words}"$@"\n')
                shim.chmod(0o755)
            left = {"http_proxy", "https_proxy", "all_proxy", "plait_journal", "plait_origin"}
            kept = {name: one for name, one in os.environ.items() if name.lower() not in left}
            self._env = kept | {
                "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                "PYTHONWARNINGS": "error",
                "COLUMNS": "120",
                "NO_COLOR": "1",
                "TZ": "UTC",
            }
        return self._env

    def _origin_url(self) -> str:
        if self._origin is None:
            self._origin = self._stack.enter_context(Origin())
        return self._origin.url


def dialogue(text: str) -> list[tuple[str, list[str]]]:
    """Split a console block into what is typed and what is printed then."""
    told: list[tuple[str, list[str]]] = []
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("$ "):
            typed = line[2:]
            while typed.endswith("\\"):
                typed += "\n" + next(lines)
            told.append((typed.partition("  # ")[0].rstrip(), []))
        elif told:
            told[-1][1].append(line)
        else:
            raise ValueError(f"a console block begins with `$ `, not with {line!r}")
    return told


def compare(says: list[str], prints: list[str]) -> list[str]:
    """Say what differs; nothing, if it is the same but for what varies."""
    wanted, found = [same(line) for line in says], [same(line) for line in prints]
    # What the page leaves empty at the end of a block is not compared.
    while wanted and not wanted[-1]:
        wanted.pop()
    while found and not found[-1]:
        found.pop()
    if matches(wanted, found):
        return []
    return [*difflib.unified_diff(says, prints, "the page says", "it prints", lineterm="")]


def matches(wanted: list[str], found: list[str]) -> bool:
    """Is each line there, in order, and no other but where `...` stands?"""
    rows = {0}
    for line in wanted:
        if line == "...":
            rows = set(range(min(rows), len(found) + 1)) if rows else rows
        else:
            rows = {at + 1 for at in rows if at < len(found) and found[at] == line}
    return len(found) in rows


def same(line: str) -> str:
    """Take out what no two runs have in common."""
    for pattern, instead in VARYING:
        line = pattern.sub(instead, line)
    return line.rstrip()
