"""`import plait` is light, and changes nothing of the process that imports it."""

import json
import subprocess
import sys


def python(program, *arguments):
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


LOADED = """
import json, sys
before = set(sys.modules)
import plait
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


def test_no_backend_and_no_extra_is_loaded():
    loaded = set(json.loads(python(LOADED)))
    third_party = loaded - set(sys.stdlib_module_names)
    assert third_party <= {"plait", "attr", "attrs", "typing_extensions"}
    assert "asyncio" not in loaded, "a program on Trio does not pay for asyncio"


SIDE_EFFECTS = """
import atexit, gc, logging, signal, sys, threading, warnings
def process():
    return {
        "signals": [signal.getsignal(number) for number in sorted(signal.valid_signals())],
        "threads": threading.enumerate(),
        "logging": (list(logging.root.handlers), logging.root.level, logging.raiseExceptions),
        "atexit": atexit._ncallbacks(),
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.displayhook),
        "tracing": (sys.gettrace(), sys.getprofile(), sys.get_asyncgen_hooks()),
        "limits": (sys.getrecursionlimit(), sys.getswitchinterval()),
        "gc": (gc.isenabled(), gc.get_threshold(), gc.callbacks),
        "path": (list(sys.path), list(sys.meta_path), list(sys.path_hooks)),
        "showwarning": warnings.showwarning,
    }
import attrs
before = process()
import plait
after = process()
print([name for name in before if before[name] != after[name]])
"""


def test_the_process_is_as_before():
    assert python(SIDE_EFFECTS).strip() == "[]"


def test_warnings_are_the_callers_business():
    """No filter is installed, and none is needed: nothing warns while plait is imported."""
    python(
        "import warnings, attrs; before = list(warnings.filters); warnings.simplefilter('error');"
        "import plait; del warnings.filters[0]; assert warnings.filters == before"
    )


OF_EVENTS = """
import json, sys
import plait, plait.viz
class Flow(plait.Workflow):
    @plait.step
    async def only(self, ev: plait.StartEvent) -> plait.StopEvent:
        return plait.StopEvent()
for form in ("html", "svg", "text"):
    plait.viz.draw(Flow, form)
assert plait.viz.draw(plait.viz.Execution(), "html")
print(json.dumps(sorted(sys.modules)))
"""


def test_a_picture_of_a_workflow_loads_no_other_strand():
    loaded = set(json.loads(python(OF_EVENTS)))
    strands = {
        ".".join(name.split(".")[:3]) for name in loaded if name.startswith("plait._strands.")
    }
    assert strands == {"plait._strands._events"}
    assert not loaded & {"http.client", "email", "yaml", "asyncio", "trio"}, "nor what they need"
