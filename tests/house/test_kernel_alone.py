"""The kernel imports data modules only, and works where no backend can be imported."""

import ast
import subprocess
import sys
from pathlib import Path

import plait._kernel

KERNEL = Path(plait._kernel.__file__).parent
# Data modules: nothing here has a clock, a thread, a file or a random number. Think before you add one.
MAY_IMPORT = {
    "__future__", "attrs", "bisect", "collections", "copy", "dataclasses", "datetime", "difflib",
    "enum", "fractions", "functools", "graphlib", "heapq", "itertools", "json", "keyword", "math",
    "operator", "random", "re", "reprlib", "string", "textwrap", "types", "typing", "typing_extensions",
    "zlib",
    "plait._errors", "plait._ids", "plait._kernel", "plait._naming",
    "plait._show",
}  # fmt: skip


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(["plait", "_kernel"][: 3 - node.level]) if node.level else ""
            yield ".".join(filter(None, [package, node.module]))


def allowed(name):
    parts = name.split(".")
    return any(".".join(parts[: n + 1]) in MAY_IMPORT for n in range(len(parts)))


def test_it_imports_data_modules_only():
    found = {
        (path.name, name)
        for path in KERNEL.rglob("*.py")
        for name in imports(path)
        if not allowed(name)
    }
    assert found == set()


WITHOUT_BACKENDS = """
import importlib, pkgutil, sys
for name in ("trio", "anyio", "asyncio", "sniffio", "outcome", "socket", "ssl", "selectors"):
    sys.modules[name] = None  # importing it raises ImportError
import plait._kernel
for module in pkgutil.walk_packages(plait._kernel.__path__, "plait._kernel."):
    importlib.import_module(module.name)
"""

A_RUN = """
from plait._ids import RunId
from plait._kernel import effects, stimuli
from plait._kernel.advance import advance
from plait._kernel.life import Phase
from plait._kernel.plan import Kinds, Plan, StepPlan
from plait._kernel.state import RunState

class Event: pass
class Start(Event): pass
class Item(Event): pass
class Stop(Event): pass
class Answer(Event): pass

bodies = {"first": lambda event: Item(), "second": lambda event: Stop()}
steps = (StepPlan("first", (Start,)), StepPlan("second", (Item,)))
kinds = Kinds(event=Event, stop=Stop, answer=Answer, observable=lambda kind: False, failed=Event, make_failed=None)
state = RunState(Plan("Flow", steps, kinds), RunId("alone"))
todo = [stimuli.Opened(0.0, Start())]
while todo:
    _, wanted = advance(state, todo.pop(0))
    state.check()
    for effect in wanted:
        if isinstance(effect, effects.Offer):
            todo.append(stimuli.Ready(1.0, effect.step))
        elif isinstance(effect, effects.Begin):
            delivery = state.running[effect.delivery]
            todo.append(stimuli.Returned(2.0, delivery.number, bodies[delivery.step](delivery.event)))
        elif isinstance(effect, effects.Wind):
            todo.append(stimuli.Settled(3.0))
assert state.phase is Phase.OVER, state
"""


def test_it_works_without_a_backend():
    subprocess.run([sys.executable, "-c", WITHOUT_BACKENDS + A_RUN], check=True)
