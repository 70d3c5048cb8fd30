"""The source of the page, installed as the page says, works in the flow file of the page."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/howto/flows-sources.md").read_text(encoding="utf-8")


def block(language):
    """The first block of a language."""
    return re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def plait(tmp_path):
    """The command, where the package of the page is installed."""
    ((group, points),) = tomllib.loads(block("toml"))["project"]["entry-points"].items()
    ((name, target),) = points.items()
    module, _ = target.split(":")
    site = tmp_path / "site"
    path = site.joinpath(*module.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True)
    (path.parent / "__init__.py").touch()
    path.write_text(block("python"), encoding="utf-8")
    info = site / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")

    def plait(*arguments, flow):
        (tmp_path / "flow.yaml").write_text(flow, encoding="utf-8")
        return subprocess.run(
            [sys.executable, "-m", "plait", *arguments],
            capture_output=True,
            check=False,
            cwd=tmp_path,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])},
        )

    return plait


def test_it_is_found_and_gives_its_data(plait):
    done = plait("run", "flow.yaml", "-j", flow=block("yaml"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"ann": {"age": 41}}


def test_its_failure_is_that_of_the_step(plait):
    done = plait("run", "flow.yaml", flow=block("yaml").replace("input: ann", "input: bob"))
    assert done.returncode == 1
    assert "step 'ann' failed: no such row" in done.stderr


def test_its_configuration_is_checked_with_the_class(plait):
    done = plait("check", "flow.yaml", flow=block("yaml").replace("rows:", "row:"))
    assert done.returncode == 2
    assert "flow.yaml:2:" in done.stderr
    assert "'row'" in done.stderr
