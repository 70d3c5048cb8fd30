"""Digest a tree of files, and survive: kill it at any moment, start it again, and it goes on.

    python examples/survive.py PATH --journal digests.db > SHA256SUMS

The same command starts the work, goes on with it after a crash, and, when all is done, prints the result
again without reading a single file. Without PATH it digests some files of this Python's own library.

What it shows:

- `journal=` and `run_id=`: all that is needed for a run that goes on
- a list that fans out, and a fan-in: which files are left to do is in the journal
- a plain `def` step, which runs in a worker thread
- a stream that begins with the first event, whatever process wrote it
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import anyio

from plait import Context, Event, StartEvent, StopEvent, Workflow, step

LIBRARY = Path(sysconfig.get_path("stdlib"))
#: How many files of the library to take.
SAMPLE = 200


class DigestTree(StartEvent):
    root: str
    at_most: int | None = None


class Found(Event):
    path: str


class Digested(Event):
    path: str
    digest: str


class Digests(Workflow[list[tuple[str, str]]]):
    """Finds the files, digests them, and brings the digests together."""

    def __init__(self, journal: Path) -> None:
        super().__init__(journal=journal)
        #: How many files this very process has read.
        self.read = 0

    @step
    def find(self, ev: DigestTree) -> list[Found]:
        paths = sorted(path for path in Path(ev.root).rglob("*.py") if path.is_file())
        return [Found(path=str(path)) for path in paths[: ev.at_most]]

    @step(num_workers=4)
    def digest(self, ctx: Context, ev: Found) -> Digested:
        self.read += 1
        done = Digested(path=ev.path, digest=hashlib.sha256(Path(ev.path).read_bytes()).hexdigest())
        ctx.write_event_to_stream(done)
        return done

    @step
    async def bring_together(self, evs: list[Digested]) -> StopEvent:
        return StopEvent(result=sorted((ev.path, ev.digest) for ev in evs))


async def digest(options: argparse.Namespace) -> None:
    workflow = Digests(options.journal)
    start = DigestTree(root=str(options.path or LIBRARY), at_most=None if options.path else SAMPLE)
    seen: set[str] = set()
    async with workflow.run(start_event=start, run_id=options.run_id) as run:
        async for event in run.stream_events():
            # A body that was interrupted between the stream and its end has written its event twice.
            if isinstance(event, Digested) and event.path not in seen:
                seen.add(event.path)
                print(f"{len(seen)}: {event.path}", file=sys.stderr, flush=True)
        result = await run.result()
    for path, hexdigest in result:
        print(f"{hexdigest}  {path}")
    print(f"{len(result)} files, {workflow.read} read by this process", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="survive", description="Digest a tree of Python source.")
    parser.add_argument("path", nargs="?", type=Path, metavar="PATH", help="a folder")
    parser.add_argument(
        "--journal",
        type=Path,
        default=Path("digests.db"),
        metavar="FILE",
        help="where the run is kept (default: digests.db)",
    )
    parser.add_argument(
        "--run-id", default="digests", metavar="NAME", help="its name there (default: digests)"
    )
    parser.add_argument(
        "--backend",
        choices=["trio", "asyncio"],
        default="trio",
        help="the event loop (default: trio)",
    )
    options = parser.parse_args(arguments)
    try:
        anyio.run(digest, options, backend=options.backend)
    except KeyboardInterrupt:
        print("survive: interrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
