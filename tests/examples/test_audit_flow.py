"""The audit as a flow file: what it says of the Python that runs the tests is so."""

import json
import os
import platform
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

AUDIT = Path(__file__).parents[2] / "examples" / "audit.yaml"
LIBRARY = Path(sysconfig.get_paths()["stdlib"])


def plait(*arguments, **variables):
    """Run the command; what it printed, and what it said."""
    environment = {name: value for name, value in os.environ.items() if name != "PLAIT_JOURNAL"}
    done = subprocess.run(
        [sys.executable, "-m", "plait", *map(str, arguments)],
        capture_output=True,
        check=False,
        encoding="utf-8",
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path), **variables},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def told():
    modules = "[json, zlib, no_such_module]"
    settings = [f"python={sys.executable}", "top=1", f"modules={modules}"]
    out, said = plait(
        "run",
        AUDIT,
        "-j",
        *(word for one in settings for word in ("--set", one)),
        VIRTUAL_ENV="/some/where",
        PYTHONWARNINGS="",
    )
    return json.loads(out), said


def test_it_says_which_python_this_is(told):
    flows, said = told
    interpreter = flows["interpreter"]
    assert interpreter["version"] == platform.python_version()
    assert Path(interpreter["library"]) == LIBRARY
    assert flows["environment"]["variables"]["VIRTUAL_ENV"] == "/some/where"
    assert "VIRTUAL_ENV" in flows["report"]["variables that are set"]
    assert said.splitlines()[-1].endswith(": 6 succeeded")


def test_it_says_what_is_missing(told):
    flows, _ = told
    assert flows["modules"]["codes"] == [0, 0, 1]
    assert flows["report"]["missing modules"] == ["no_such_module"]


def test_it_measures_the_largest_package(told):
    flows, _ = told
    sizes = {
        folder: sum(path.stat().st_size for path in folder.rglob("*.py"))
        for folder in LIBRARY.iterdir()
        if (folder / "__init__.py").exists() and folder.name != "test"
    }
    largest = max(sizes, key=lambda folder: sizes[folder])
    assert flows["packages"]["folders"] == [str(largest)]
    (found,) = flows["measure"]["found"]
    assert found["package"] == largest.name
    assert 0 < found["files"] <= len([*largest.rglob("*.py")])
    lines = sum(path.read_bytes().count(b"\n") for path in largest.rglob("*.py"))
    assert 0 < found["lines"] <= lines
    assert flows["report"]["lines"] == found["lines"]
    assert flows["report"]["functions"] == found["functions"] > 0
    assert flows["report"]["largest"][0].startswith(f"{largest.name}: ")


def test_it_waits_for_no_more_than_it_needs():
    plan = json.loads(plait("plan", AUDIT, "-j")[0])
    assert plan["waves"] == [
        ["interpreter", "environment", "modules"],
        ["packages"],
        ["measure"],
        ["report"],
    ]
