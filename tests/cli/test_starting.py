"""What the command answers at once, and what it loads for that."""

import io
import json
import subprocess
import sys
import tomllib

import pytest
from rich.console import Console

from plait._cli.app import VERBS, make_app
from plait._version import VERSION
from tests.cli.conftest import ROOT, environment

#: What no answer at once may load, nor anything before it is needed.
HEAVY = {"cyclopts", "rich", "trio", "anyio", "yaml", "jinja2", "jmespath", "httpx2", "cattrs"}

PROGRAM = """
import json, sys
from plait._cli.main import main
sys.stderr.write("\\n")
code = main(json.loads(sys.argv[1]))
loaded = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps([code, loaded]), file=sys.stderr)
"""


def loaded_by(*arguments, cwd):
    """The exit code, stdout, and what a fresh interpreter has loaded for a command line."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(arguments)],
        env=environment(),
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    return code, done.stdout, HEAVY & set(modules)


def test_the_version_is_that_of_the_project(tmp_path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
    assert loaded_by("--version", cwd=tmp_path) == (0, f"plait {VERSION}\n", set())


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_loads_nothing(tmp_path, flag):
    code, out, heavy = loaded_by(flag, cwd=tmp_path)
    assert (code, heavy) == (0, set())
    assert out.startswith("Usage: plait COMMAND\n")
    assert all(f"  {verb}: " in out for verb in VERBS)


def test_the_help_that_ships_is_what_the_options_say():
    printed = io.StringIO()
    make_app().help_print([], console=Console(file=printed, width=80, color_system=None))
    assert (ROOT / "src/plait/_cli/help.txt").read_text() == printed.getvalue()


def test_an_event_workflow_loads_nothing_for_flow_files(here):
    code, out, heavy = loaded_by("run", "shop:Shop", "--set", "item=a", "-j", cwd=here)
    assert (code, json.loads(out)["packed"]) == (0, 1)
    assert heavy == {"cyclopts", "trio"}


def test_a_drawing_loads_no_backend(here):
    _, out, heavy = loaded_by("graph", "shop:Shop", cwd=here)
    assert "flowchart" in out
    # the workflow's own module imports trio
    assert heavy == {"cyclopts", "trio"}


@pytest.mark.parametrize(
    "way", [["-m", "plait"], ["-c", "from plait._cli.main import main; exit(main())"]]
)
def test_there_are_two_ways_in(tmp_path, way):
    done = subprocess.run(
        [sys.executable, *way, "--version"],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"plait {VERSION}\n"


def test_the_script_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"plait": "plait._cli.main:main"}


def test_no_verb_is_bad_usage_and_shows_the_help(plait):
    done = plait()
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Usage: plait COMMAND\n")


def test_an_unknown_verb_is_refused_with_a_suggestion(plait):
    done = plait("rnu")
    assert (done.code, done.out) == (2, "")
    assert 'Did you mean "run"?' in done.err


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help(plait, verb):
    done = plait(verb, "--help")
    assert done.code == 0
    assert done.out.startswith(f"Usage: plait {verb}")
    assert VERBS[verb] in done.out


def test_what_is_missing_is_named(tmp_path):
    """Without cyclopts the command says what to type."""
    program = (
        "import sys; sys.modules['cyclopts'] = None\n"
        "from plait._cli.main import main; sys.exit(main(['run', 'x:Y']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "plait: the command needs cyclopts. Type: pip install 'plait[cli]'\n"


def test_a_bug_is_one_line_that_asks_for_a_report(plait, monkeypatch):
    def broken(*_):
        raise KeyError("lost")

    monkeypatch.setattr("plait._cli.runs.needed", broken)
    done = plait("runs")
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert "Please report it" in done.err
    assert "Traceback" not in done.err
