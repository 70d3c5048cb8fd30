"""How a page of the documentation is run: its Python blocks, top to bottom, as if they were one script.

What a page may say:

    ```python           runs, in the page's one namespace, as `__main__`
    <!-- output -->     the ```text block below it is what the block above it printed, line by line
    <!-- skip: next --> the next Python block is not run; `skip: start` ... `skip: end` for several
    <!-- file: NAME --> the block below it, of whatever language, is a file in the page's folder
    ```console          is typed in that folder, and prints what it says; see consoles.py

`trio.run` runs on a clock that jumps, so a page may sleep for a week. A page with files is at home in its
folder: its Python blocks find them.
"""

from __future__ import annotations

import difflib
import functools
import io
import linecache
import math
import re
import sys
import tempfile
import types
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path

import pytest
import trio
from sybil import Document, Region
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.myst import CodeBlockParser, SkipParser
from trio.testing import MockClock

from plait.durable import SqliteJournal
from tests.docs.consoles import FILE, Desk

MARK = re.compile(r"^<!--+\s*output\b.*$", re.MULTILINE)
BLOCK = re.compile(
    r"^<!--+\s*output\s*--+>\s*^```text\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Page:
    """One document, and what its last block printed."""

    def __init__(self, path, desk: Desk) -> None:
        self.printed: str | None = None
        self._desk = desk
        self._python = PythonEvaluator()
        self._blocks = CodeBlockParser("python", self._run)
        self.document = Document.parse(
            str(path), self._programs, SkipParser(), self._outputs, desk.parse
        )

    def _programs(self, document):
        """The Python blocks that are no files."""
        files = [range(match.start(), match.end()) for match in FILE.finditer(document.text)]
        for region in self._blocks(document):
            if not any(region.start in file for file in files):
                yield region

    def check(self) -> None:
        """Run the blocks and compare the outputs; the first that fails ends the page."""
        module = types.ModuleType("__main__")
        module.__file__ = self.document.path
        self.document.namespace = module.__dict__
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "__main__", module)
            patch.setitem(linecache.cache, self.document.path, self._as_python())
            patch.setattr(trio, "run", functools.partial(run_on_a_mock_clock, trio.run))
            if FILE.search(self.document.text):
                patch.chdir(self._desk.folder)
            for example in self.document:
                example.evaluate()

    def _run(self, example) -> None:
        __tracebackhide__ = True
        printed = io.StringIO()
        try:
            with redirect_stdout(printed):
                self._python(example)
        finally:
            self.printed = printed.getvalue()
            print(self.printed, end="")

    def _outputs(self, document):
        blocks = {match.start(): match for match in BLOCK.finditer(document.text)}
        for mark in MARK.finditer(document.text):
            if mark.start() not in blocks:
                line = document.line_column(mark.start())
                raise ValueError(f"{document.path}, {line}: no ```text block follows {mark[0]}")
        for start, match in blocks.items():
            yield Region(start, match.end(), match["text"], self._compare)

    def _compare(self, example) -> None:
        where = f"{example.path}:{example.line}"
        if self.printed is None:
            pytest.fail(f"{where}: no Python block before this output", pytrace=False)
        says, prints = lines_of(example.parsed), lines_of(self.printed)
        if says != prints:
            diff = difflib.unified_diff(says, prints, "the page says", "it prints", lineterm="")
            pytest.fail(
                "\n".join([f"{where}: this is not what the block prints", *diff]), pytrace=False
            )

    def _as_python(self):
        """Let `inspect.getsource` and tracebacks see a Python file, with each block in its lines."""
        lines = ["\n"] * (self.document.text.count("\n") + 1)
        for example in self.document:
            if example.region.evaluator == self._run:
                start = example.line + example.parsed.line_offset
                for number, line in enumerate(example.parsed.splitlines(keepends=True), start):
                    lines[number] = line
        return sum(map(len, lines)), None, lines, self.document.path


def run_on_a_mock_clock(run, async_fn, *args, clock=None, **options):
    if clock is not None:
        return run(async_fn, *args, clock=clock, **options)
    jumping = MockClock(autojump_threshold=0)
    with standing_still_for_files(jumping):
        return run(async_fn, *args, clock=jumping, **options)


@contextmanager
def standing_still_for_files(clock):
    """Have time stand still while a journal is at work: Trio's clock does not know of its thread.

    Otherwise a second is over before a step has begun that waits for the disk.
    """
    write, waiting = SqliteJournal.append, 0

    def count(more):
        nonlocal waiting
        waiting += more
        clock.autojump_threshold = math.inf if waiting else 0

    def append(journal, entries, done):
        def told(error):
            count(-1)
            done(error)

        count(1)
        try:
            write(journal, entries, told)
        except BaseException:
            count(-1)
            raise

    def counted(own):
        async def counting(*args, **options):
            count(1)
            try:
                return await own(*args, **options)
            finally:
                count(-1)

        return counting

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteJournal, "append", append)
        for name in ("open", "aclose", "read", "streams", "prune"):
            patch.setattr(SqliteJournal, name, counted(getattr(SqliteJournal, name)))
        yield


def lines_of(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines()]


@pytest.fixture
def check_page():
    """Run one document."""

    def check(path):
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            Page(path, Desk(Path(folder), stack)).check()

    return check
