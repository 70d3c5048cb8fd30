"""Audit a tree of Python source: what is long, what is written twice, what is swallowed or unfinished.

    python examples/audit.py                  this Python's own library, 400 files of it
    python examples/audit.py PATH             every Python file below PATH
    python examples/audit.py --help           how many workers, which event loop, how long at most

The workflow has four steps. `find` walks the tree. `fan_out` sends one event for each file. `examine`
reads and parses a file; it is the slow one, and as a plain `def` it runs in worker threads, at most
`num_workers` at a time. `combine` collects one report for each file and makes one of them all.

             Found            SourceFile, n times     FileReport, n times      Audited
    find ─────────────▶ fan_out ─────────────▶ examine ─────────────▶ combine ─────────────▶ result

`Found` and `FileReport` are observable: they also appear on the run's stream, where the progress is
read from. The time line at the end is drawn from the run's records.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import io
import math
import os
import re
import shutil
import sys
import sysconfig
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Final, TextIO

import anyio

from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowTimeoutError
from plait.lowlevel import Completed, Failed, Interrupted, Record, Started

LIBRARY: Final = Path(sysconfig.get_path("stdlib"))
SAMPLE: Final = 400  # files of the library: enough to be worth reading, done in a few seconds
SKIPPED: Final = {"__pycache__", "node_modules", "site-packages"}
DULL: Final = {"encodings", "idle_test", "test", "tests"}  # tables and tests: half of the library

MARK: Final = re.compile(r"#.*?\b(?P<word>TODO|FIXME|XXX|HACK)\b\W*(?P<text>.*)")
WORTH_SHARING: Final = 8  # lines of a function that should not be written twice


# -- what moves from step to step ----------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    path: Path
    line: int
    what: str = ""


@dataclass(frozen=True)
class Function:
    place: Place
    lines: int
    digest: bytes


class AuditTree(StartEvent):
    root: Path
    at_most: int | None = None
    without: frozenset[str] = frozenset()


class Found(Event, observable=True):
    paths: tuple[Path, ...]


class SourceFile(Event):
    path: Path


class FileReport(Event, observable=True):
    path: Path
    lines: int = 0
    classes: int = 0
    functions: tuple[Function, ...] = ()
    imports: frozenset[str] = frozenset()
    broad_excepts: tuple[Place, ...] = ()
    marks: tuple[Place, ...] = ()
    fault: str | None = None


class Audited(StopEvent):
    files: tuple[FileReport, ...]


class NothingToAudit(Exception):  # noqa: N818 - it is no error of this program
    pass


# -- the workflow --------------------------------------------------------------------------------------


class Audit(Workflow[Audited]):
    @step
    def find(self, ev: AuditTree) -> Found:
        paths = [*python_files(ev.root, SKIPPED | ev.without)]
        if not paths:
            raise NothingToAudit(f"no Python files in {ev.root}")
        # The nearest to the root come first, and of those in one folder the first by name.
        paths.sort(key=lambda path: (len(path.parts), path))
        return Found(paths=tuple(paths[: ev.at_most]))

    @step
    async def fan_out(self, ctx: Context, ev: Found) -> SourceFile | None:
        await ctx.store.set("files", len(ev.paths))
        for path in ev.paths:
            ctx.send_event(SourceFile(path=path))
        return None

    @step(num_workers=4)
    def examine(self, ev: SourceFile) -> FileReport:
        try:
            return examine(ev.path)
        except SyntaxError as error:
            fault = f"line {error.lineno}: {error.msg}" if error.lineno else str(error.msg)
        except OSError as error:
            fault = error.strerror or str(error)
        except (ValueError, RecursionError, MemoryError) as error:
            fault = str(error) or type(error).__name__  # null bytes, or nested too deeply
        return FileReport(path=ev.path, fault=fault)

    @step(num_workers=1)
    async def combine(self, ctx: Context, ev: FileReport) -> Audited | None:
        files = ctx.collect_events(ev, {FileReport: await ctx.store.get("files")})
        if files is None:
            return None
        return Audited(files=tuple(sorted(files, key=attrgetter("path"))))


def audit_with(workers: int) -> type[Audit]:
    """The same workflow with another bound: a step's `num_workers` is part of the step."""

    class AuditWithWorkers(Audit):
        @step(num_workers=workers)
        def examine(self, ev: SourceFile) -> FileReport:
            return super().examine(ev)

    return AuditWithWorkers


# -- looking at files ----------------------------------------------------------------------------------


def python_files(root: Path, skipped: Iterable[str]) -> Iterator[Path]:
    """Each Python file below `root`, but for hidden folders and other people's code."""
    locked: list[Path] = []
    for folder, folders, names in os.walk(root, onerror=lambda e: locked.append(Path(e.filename))):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name not in skipped
            and not Path(folder, name, "pyvenv.cfg").exists()
        ]
        yield from (Path(folder, name) for name in names if name.endswith(".py"))
    yield from locked  # which cannot be read, and `examine` says so


def examine(path: Path) -> FileReport:
    if path.is_fifo():
        raise OSError("a pipe, which would be waited for")
    source = path.read_bytes()
    tree = ast.parse(source, path.name)
    lines = [*io.TextIOWrapper(io.BytesIO(source), "utf-8", "replace")]  # as Python counts them

    functions: list[Function] = []
    classes = 0
    imports: set[str] = set()
    broad: list[Place] = []
    for node, owner in nodes(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                body = lines[node.lineno - 1 : node.end_lineno]
                place = Place(path, node.lineno, owner + node.name)
                functions.append(Function(place, len(body), digest(body)))
            case ast.ClassDef():
                classes += 1
            case ast.Import(names=names):
                imports.update(alias.name.partition(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                imports.add(module.partition(".")[0])
            case ast.ExceptHandler() if swallows(node):
                broad.append(Place(path, node.lineno))
            case _:
                pass
    found = ((number, MARK.search(line)) for number, line in enumerate(lines, 1) if "#" in line)
    return FileReport(
        path=path,
        lines=len(lines),
        classes=classes,
        functions=tuple(functions),
        imports=frozenset(imports),
        broad_excepts=tuple(broad),
        marks=tuple(Place(path, n, f"{m['word']} {m['text']}".strip()) for n, m in found if m),
    )


def nodes(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Each node of a tree, with what its name begins with: `Class.method.` in a method."""
    todo = deque([(tree, "")])
    while todo:
        node, owner = todo.popleft()
        yield node, owner
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            owner = f"{owner}{node.name}."
        todo.extend((child, owner) for child in ast.iter_child_nodes(node))


def swallows(handler: ast.ExceptHandler) -> bool:
    """Does it catch everything, and raise nothing?"""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {kind.id if isinstance(kind, ast.Name) else kind for kind in kinds}
    broad = not names.isdisjoint({None, "BaseException", "Exception"})
    return broad and not any(isinstance(node, ast.Raise) for node in ast.walk(handler))


def digest(lines: Iterable[str]) -> bytes:
    """The same for the same code, wherever it stands and however far it is indented."""
    text = "\n".join(line.strip() for line in lines)
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=16).digest()


# -- the report ----------------------------------------------------------------------------------------


def report(audited: Audited, root: Path) -> Iterator[str]:
    files = audited.files
    functions = [function for file in files for function in file.functions]
    yield (
        f"{root}: {count(len(files), 'file')}, {count(sum(f.lines for f in files), 'line')}, "
        f"{count(len(functions), 'function')}, {count(sum(f.classes for f in files), 'class', 'es')}"
    )

    def at(place: Place) -> str:
        line = f":{place.line}" if place.line else ""
        return f"{place.path.relative_to(root)}{line}  {place.what}".rstrip()

    yield from part(
        "Longest functions",
        [
            f"{function.lines:5} lines  {at(function.place)}"
            for function in sorted(functions, key=attrgetter("lines"), reverse=True)[:5]
        ],
    )
    copies: dict[bytes, list[Function]] = {}
    for function in functions:
        if function.lines >= WORTH_SHARING:
            copies.setdefault(function.digest, []).append(function)
    twice = sorted(
        (same for same in copies.values() if len(same) > 1),
        key=lambda same: same[0].lines * (len(same) - 1),
        reverse=True,
    )
    yield from part(
        f"Functions written more than once: {len(twice)}",
        [f"{same[0].lines:5} lines  {at(each.place)}" for same in twice[:3] for each in same[:3]],
    )
    imported = Counter(name for file in files for name in file.imports).most_common(8)
    yield from part(
        "Imported by most files",
        [f"  {', '.join(f'{name} {number}' for name, number in imported) or 'nothing'}"],
    )
    broad = [place for file in files for place in file.broad_excepts]
    worst = Counter(place.path for place in broad).most_common(5)
    yield from part(
        f"Broad excepts that raise nothing: {len(broad)}",
        [f"{number:5} times  {path.relative_to(root)}" for path, number in worst],
    )
    marks = [place for file in files for place in file.marks]
    words = Counter(place.what.split()[0] for place in marks)
    yield from part(
        f"Marks: {', '.join(f'{n} {word}' for word, n in words.most_common()) or 0}",
        [f"  {cut(at(place), 76)}" for place in marks[:5]],
    )
    faults = [Place(file.path, 0, file.fault) for file in files if file.fault]
    yield from part(
        f"Files that cannot be examined: {len(faults)}", [f"  {at(fault)}" for fault in faults]
    )


def part(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield ""
    yield title
    yield from (f"  {line}" for line in lines)


def count(number: int, what: str, plural: str = "s") -> str:
    return f"{number:,} {what}{plural * (number != 1)}"


def cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


# -- which step ran when -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bar:
    step: str
    worker: int
    begin: float
    end: float


class TimeLine:
    """An observer: it is called with each record of the run, and keeps who was busy from when to when."""

    def __init__(self) -> None:
        self.bars: list[Bar] = []
        self._running: dict[int, Started] = {}

    def __call__(self, record: Record) -> None:
        match record:
            case Started():
                self._running[record.delivery] = record
            case Completed() | Failed() | Interrupted():
                began = self._running.pop(record.delivery)
                self.bars.append(Bar(began.step, began.worker, began.at, record.at))
            case _:
                pass

    def draw(self, shades: str, width: int = 56) -> Iterator[str]:
        """One row for each worker of each step. The darker a column, the longer it was busy in it."""
        first = min(bar.begin for bar in self.bars)
        total = max(bar.end for bar in self.bars) - first
        column = total / width or 1.0
        rows: dict[str, dict[int, list[Bar]]] = {}  # the steps in the order in which they began
        for bar in sorted(self.bars, key=attrgetter("begin")):
            rows.setdefault(bar.step, {}).setdefault(bar.worker, []).append(bar)
        yield f"{'step, worker':14}0 s{f'{total:.2f} s':>{width - 1}}  events"
        for name, workers in rows.items():
            for worker, bars in sorted(workers.items()):
                busy = [0.0] * width
                for bar in bars:
                    begin, end = (bar.begin - first) / column, (bar.end - first) / column
                    for i in range(int(begin), min(math.ceil(end), width)):
                        busy[i] += min(end, i + 1) - max(begin, i)
                top = len(shades) - 1
                row = "".join(shades[min(math.ceil(share * top), top)] for share in busy)
                yield f"{f'{name} {worker}':14}|{row}| {len(bars):6}"


# -- the command ---------------------------------------------------------------------------------------


class Progress:
    """On a terminal one line that is written over and over, elsewhere a line for each fifth."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._live = out.isatty()
        self._total = 0
        self._done = 0

    def show(self, event: Event) -> None:
        match event:
            case Found(paths=paths):
                self._total = len(paths)
            case FileReport(path=path):
                self._done += 1
                text = f"examined {self._done} of {self._total} files"
                if self._live:
                    width = shutil.get_terminal_size().columns - 1
                    self._out.write("\r" + cut(f"{text}: {path.name}", width).ljust(width))
                    self._out.flush()
                elif self._done * 5 // self._total > (self._done - 1) * 5 // self._total:
                    print(text, file=self._out, flush=True)
            case _:
                pass

    def clear(self) -> None:
        if self._live:
            self._out.write("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r")
            self._out.flush()


async def audit(options: argparse.Namespace) -> tuple[Audited, TimeLine]:
    start: AuditTree = options.start
    time_line = TimeLine()
    progress = Progress(sys.stderr)
    workflow = audit_with(options.workers)(timeout=options.timeout, workflow_name="Audit")
    try:
        async with workflow.run(start_event=start).observe(time_line) as run:
            async for event in run.stream_events():
                progress.show(event)
            return await run.result(), time_line
    finally:
        progress.clear()


def positive(convert: Callable[[str], float]) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            if (number := convert(text)) > 0:
                return number
        except ValueError:
            pass
        kind = "whole number" if convert is int else "number"
        raise argparse.ArgumentTypeError(f"must be a {kind} greater than 0, not {text!r}")

    return read


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="audit", description="Audit a tree of Python source.")
    parser.add_argument(
        "path",
        nargs="?",
        type=Path,
        metavar="PATH",
        help=f"a folder; by default {SAMPLE} files of this Python's own library",
    )
    parser.add_argument(
        "--workers",
        type=positive(int),
        default=4,
        metavar="N",
        help="files that are examined at a time (default: 4)",
    )
    parser.add_argument(
        "--backend",
        choices=["trio", "asyncio"],
        default="trio",
        help="the event loop (default: trio)",
    )
    parser.add_argument(
        "--timeout",
        type=positive(float),
        metavar="SECONDS",
        help="give up after this many seconds (default: never)",
    )
    options = parser.parse_args(arguments)
    path: Path | None = options.path
    if path is None:
        options.start = AuditTree(root=LIBRARY, at_most=SAMPLE, without=frozenset(DULL))
    elif not path.exists():
        parser.error(f"there is no {path}")
    elif not path.is_dir():
        parser.error(f"{path} is not a folder")
    else:
        options.start = AuditTree(root=path)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = read_arguments(arguments)
    warnings.simplefilter("ignore", SyntaxWarning)  # of the files that are parsed
    warnings.simplefilter("ignore", DeprecationWarning)
    try:
        audited, time_line = anyio.run(audit, options, backend=options.backend)
    except NothingToAudit as error:
        return give_up(2, str(error))
    except WorkflowTimeoutError:
        return give_up(124, f"not done after {options.timeout:g} seconds")
    except KeyboardInterrupt:
        return give_up(130, "interrupted")
    lines = [*report(audited, options.start.root)]
    lines += part("When which step ran", time_line.draw(shades_for(sys.stdout)))
    write(sys.stdout, lines)
    return 0


def give_up(code: int, why: str) -> int:
    write(sys.stderr, [f"audit: {why}"])
    return code


def shades_for(out: TextIO) -> str:
    shades = " ░▒▓█"
    try:
        shades.encode(out.encoding or "ascii")
    except UnicodeEncodeError:
        return " .:+#"
    return shades


def write(out: TextIO, lines: Iterable[str]) -> None:
    """Write in one go, and names of files that are not text as far as they are."""
    encoding = out.encoding or "utf-8"
    text = "".join(f"{line}\n" for line in lines)
    out.write(text.encode(encoding, "backslashreplace").decode(encoding))


if __name__ == "__main__":
    sys.exit(main())
