"""Flow files: what a step costs, how soon the next one begins, and how the command behaves.

Both sides run the same document. What a run costs is counted from `run()` on, less an empty run: reading and checking
a file is a table of its own. What the command does is measured on real processes.
"""

import atexit
import contextlib
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.scenario import (
    Cost,
    Equivalent,
    Growth,
    Measured,
    Program,
    Ratio,
    Scenario,
    Sleep,
    Target,
)

Document = Mapping[str, Any]
#: Runs a document once: the outputs by step, and when each step began and ended.
Runs = Callable[[Document], Awaitable[tuple[Mapping[str, Any], Mapping[str, tuple[float, float]]]]]

NOTHING: Final = {"type": "env", "configuration": {"vars": []}}
ROOT: Final = Path(__file__).parents[2]


def step(name: str, after: str | None = None, **more: Any) -> dict[str, Any]:
    """A step that asks the environment for nothing, if not said otherwise."""
    made: dict[str, Any] = {"name": name, "source": "nothing", "output": [{"name": "o"}], **more}
    if after is not None:
        made["depends_on"] = [after]
    return made


def wide(size: int) -> Document:
    return {"sources": {"nothing": NOTHING}, "flow": [step(f"s{n}") for n in range(size)]}


def chained(size: int) -> Document:
    steps = [step(f"s{n}", f"s{n - 1}" if n else None) for n in range(size)]
    return {"sources": {"nothing": NOTHING}, "flow": steps}


# ---------------------------------------------------------------- the two sides


def plait_runs() -> Runs:
    import plait.flows

    flows: dict[int, plait.flows.Flow] = {}

    async def run(
        document: Document,
    ) -> tuple[Mapping[str, Any], Mapping[str, tuple[float, float]]]:
        if (flow := flows.get(id(document))) is None:
            flow = flows[id(document)] = plait.flows.load(document)
        result = await flow.run()
        result.raise_if_failed()
        times = {
            name: (one.started_at.timestamp(), one.ended_at.timestamp())
            for name, one in result.steps.items()
            if one.started_at is not None and one.ended_at is not None
        }
        return result.flows, times

    return run


def flowtoy_runs() -> Runs:
    from flowtoy.runner import LocalRunner  # type: ignore[import-untyped]

    async def run(
        document: Document,
    ) -> tuple[Mapping[str, Any], Mapping[str, tuple[float, float]]]:
        began: dict[str, float] = {}
        ended: dict[str, float] = {}

        def hear(name: str, state: str) -> None:
            (began if state == "running" else ended)[name] = time.time()

        runner = LocalRunner(dict(document), hear)
        runner.run()
        return runner.flows, {name: (began[name], ended[name]) for name in ended if name in began}

    return run


def sides(
    scenario: Scenario, program: Callable[[Runs], Program], *, limit: int | None = None
) -> None:
    """Let both sides take part, each with its way to run a document."""

    @scenario.contender("plait", "plait_asyncio")
    def plait(sleep: Sleep) -> Program:
        return program(plait_runs())

    @scenario.contender("flowtoy", limit=limit)
    def flowtoy(sleep: Sleep) -> Program:
        return program(flowtoy_runs())


# ---------------------------------------------------------------- what a step costs


def less_an_empty_run(make: Callable[[int], Document], runs: Runs) -> Program:
    made: dict[int, Document] = {}

    async def program(size: int) -> object:
        for one in (0, size):
            if one not in made:
                made[one] = make(one)
                await runs(made[one])  # what is compiled once is compiled
        start = time.perf_counter()
        await runs(made[0])
        empty = time.perf_counter() - start
        start = time.perf_counter()
        outputs, _ = await runs(made[size])
        took = time.perf_counter() - start
        return Measured((took - empty) / size * 1e6, len(outputs))

    return program


def _steps(name: str, title: str, about: str) -> Scenario:
    return Scenario(
        name=name,
        title=title,
        unit="µs per step",
        about=about,
        sizes=(100, 1_000, 10_000),
        quick_sizes=(100, 1_000),
        reference=1_000,
        growth_from=100,
        expected=lambda size: size,
        scale=None,
        targets=(
            Target(Ratio("plait", "flowtoy"), first=1, goal=0.25),
            Target(Growth("plait"), first=1.2),
        ),
    )


flow_wide = _steps(
    "flow_wide",
    "Steps of a flow, side by side",
    "A flow of N steps that ask the environment for nothing, less an empty run.",
)
flow_chain = _steps(
    "flow_chain",
    "Steps of a flow, one after another",
    "The same, each step waiting for the one before.",
)
sides(flow_wide, partial(less_an_empty_run, wide))
sides(flow_chain, partial(less_an_empty_run, chained), limit=1_000)

flow_handoff = Scenario(
    name="flow_handoff",
    title="From one step of a flow to the next",
    unit="ms per edge",
    about="A chain of N processes that sleep 110 ms: from the end of one to the start of the next, the median. "
    "Starting the process is not in it.",
    sizes=(10,),
    quick_sizes=(5,),
    reference=10,
    expected=lambda size: size,
    scale=None,
    equivalent=False,
    targets=(Target(Cost("plait"), first=2),),
)


def handoff(runs: Runs) -> Program:
    async def program(size: int) -> object:
        nap = {"type": "process", "configuration": {"command": ["sleep", "0.11"]}}
        document = {**chained(size), "sources": {"nothing": nap}}
        outputs, times = await runs(document)
        gaps = [times[f"s{n}"][0] - times[f"s{n - 1}"][1] for n in range(1, size)]
        return Measured(statistics.median(gaps) * 1e3, len(outputs))

    return program


sides(flow_handoff, handoff)

flow_processes = Scenario(
    name="flow_processes",
    title="A process of a flow",
    unit="ms per step",
    about="N steps that run `true`, with 4 workers.",
    sizes=(50, 500),
    quick_sizes=(50,),
    reference=500,
    expected=lambda size: size,
    scale=None,
    equivalent=False,
    targets=(Target(Ratio("plait", "flowtoy"), first=2),),
)


def answers(make: Callable[[int], Document], runs: Runs) -> Program:
    made: dict[int, Document] = {}

    async def program(size: int) -> object:
        if size not in made:
            made[size] = make(size)
        # By the clock on the wall: what its children, threads and servers need is part of it.
        start = time.perf_counter()
        outputs, _ = await runs(made[size])
        took = time.perf_counter() - start
        return Measured(took / size * 1e3, len(outputs))

    return program


def processes(size: int) -> Document:
    true = {"type": "process", "configuration": {"command": ["true"]}}
    return {**wide(size), "sources": {"nothing": true}}


sides(flow_processes, partial(answers, processes))

flow_requests = Scenario(
    name="flow_requests",
    title="A request of a flow",
    unit="ms per step",
    about="N steps that ask an origin on this machine, with 4 workers.",
    sizes=(50, 500),
    quick_sizes=(50,),
    reference=500,
    expected=lambda size: size,
    scale=None,
    equivalent=False,
    targets=(Target(Ratio("plait", "flowtoy"), first=1),),
)


@contextlib.contextmanager
def origin() -> Iterator[str]:
    """The origin of the tests, in a process of its own."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.origin"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait()


def requests(runs: Runs) -> Program:
    stack = contextlib.ExitStack()
    url = stack.enter_context(origin())

    def make(size: int) -> Document:
        echo = {"type": "rest", "configuration": {"url": f"{url}/echo"}}
        return {**wide(size), "sources": {"nothing": echo}}

    atexit.register(stack.close)
    return answers(make, runs)


sides(flow_requests, requests)

# ---------------------------------------------------------------- the command


def _command(module: str) -> list[str]:
    return [sys.executable, "-m", module]


COMMANDS: Final = {"plait": _command("plait"), "flowtoy": _command("flowtoy")}


def _processor_time(arguments: list[str]) -> float:
    # As on a user's machine, where Python keeps what it has compiled.
    env = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(arguments, check=True, capture_output=True, env=env)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def _starts(name: str, title: str, about: str, targets: tuple[Target, ...]) -> Scenario:
    return Scenario(
        name=name,
        title=title,
        unit="ms of processor time",
        about=about,
        sizes=(1,),
        quick_sizes=(1,),
        reference=1,
        expected=lambda size: size,
        scale=None,
        targets=targets,
    )


command_start = _starts(
    "command_start",
    "Start of the command",
    "`plait --version`, and `flowtoy --help`, which has no `--version`.",
    (Target(Equivalent("plait"), first=150), Target(Ratio("plait", "flowtoy"), first=1 / 3)),
)
command_empty = _starts(
    "command_empty",
    "The command with an empty flow",
    "`run` of a flow without steps.",
    (Target(Ratio("plait", "flowtoy"), first=1, goal=2 / 3),),
)


def _register_commands() -> None:
    for key in ("plait", "flowtoy"):

        def version(sleep: Sleep, key: str = key) -> Program:
            command = [*COMMANDS[key], "--version" if key == "plait" else "--help"]
            _processor_time(command)  # the first one compiles

            async def program(size: int) -> object:
                return Measured(_processor_time(command) * 1e3, size)

            return program

        def empty(sleep: Sleep, key: str = key) -> Program:
            folder = Path(tempfile.mkdtemp(prefix="plait-bench-"))
            file = folder / "empty.yaml"
            file.write_text("flow: []\n")
            command = [*COMMANDS[key], "run", str(file)]
            _processor_time(command)  # the first one compiles

            async def program(size: int) -> object:
                return Measured(_processor_time(command) * 1e3, size)

            return program

        command_start.contender(key)(version)
        command_empty.contender(key)(empty)


_register_commands()

command_cancel = Scenario(
    name="command_cancel",
    title="From Ctrl-C to the end of the command",
    unit="s",
    about="4 children that sleep and N queued steps; an interrupt to the command alone. No child may be left.",
    sizes=(4,),
    quick_sizes=(4,),
    reference=4,
    expected=lambda size: 0,
    scale=None,
    equivalent=False,
    targets=(Target(Cost("plait"), first=1),),
)


@command_cancel.contender("plait")
def cancelling(sleep: Sleep) -> Program:
    folder = Path(tempfile.mkdtemp(prefix="plait-bench-"))
    file = folder / "sleeping.yaml"

    async def program(size: int) -> object:
        return interrupted(file, size)

    return program


def interrupted(file: Path, queued: int) -> Measured:
    """Interrupt a flow that sleeps: seconds to its end, and how many of its children are left."""
    mark = f"{60 + time.monotonic_ns() % 1_000_000 / 1e6:.6f}"
    steps = "".join(
        f"  - {{name: s{n}, source: process, input: {{command: [sleep, '{mark}']}}}}\n"
        for n in range(4 + queued)
    )
    file.write_text(f"flow:\n{steps}")
    command = subprocess.Popen(
        [*COMMANDS["plait"], "run", str(file)], stderr=subprocess.PIPE, text=True, process_group=0
    )
    assert command.stderr is not None
    begun = 0
    while begun < 4:
        begun += command.stderr.readline().startswith("started")
    start = time.perf_counter()
    os.kill(command.pid, signal.SIGINT)
    command.communicate()
    took = time.perf_counter() - start
    left = subprocess.run(["pgrep", "-f", f"sleep {mark}"], check=False, capture_output=True)
    return Measured(took, len(left.stdout.split()))


command_races = Scenario(
    name="command_races",
    title="Flows that fail fast",
    unit="crashes and other results",
    about="N runs of a flow whose root fails at once beside three others and one that waits for it.",
    sizes=(300,),
    quick_sizes=(100,),
    reference=300,
    expected=lambda size: size,
    scale=None,
    equivalent=False,
    ratios=False,
    targets=(Target(Cost("plait"), first=0),),
)


@command_races.contender("plait", "plait_asyncio")
def racing(sleep: Sleep) -> Program:
    import plait.flows

    bad = {"type": "process", "configuration": {"command": ["sh", "-c", "exit 3"]}}
    steps = [step("a", source="bad"), *(step(f"x{n}") for n in (1, 2, 3)), step("d", "a")]
    flow = plait.flows.load({"sources": {"nothing": NOTHING, "bad": bad}, "flow": steps})

    async def program(size: int) -> object:
        wrong = 0
        for _ in range(size):
            result = await flow.run()
            states = {name: one.state for name, one in result.steps.items()}
            right = states["a"] == "failed" and states["d"] == "skipped" and result.exit_code == 1
            right = right and all(states[f"x{n}"] in {"succeeded", "cancelled"} for n in (1, 2, 3))
            wrong += not right
        return Measured(wrong, size)

    return program


FLOWS: Final = (
    flow_wide,
    flow_chain,
    flow_handoff,
    flow_processes,
    flow_requests,
    command_start,
    command_empty,
    command_cancel,
    command_races,
)
