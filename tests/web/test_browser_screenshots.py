"""The program that makes the pictures of the documentation still finds what it wants to show."""

import subprocess
import sys

from tests.cli.conftest import ROOT, environment
from tests.web.browsing import (
    expect as expect,
)  # without a browser this is skipped, as the others are


def test_every_picture_of_the_documentation_can_be_made_anew(tmp_path):
    made = subprocess.run(
        [sys.executable, ROOT / "docs" / "screenshots.py", tmp_path / "images"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    names = sorted(path.name for path in (ROOT / "docs" / "images").iterdir())
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == names
    for name in names:
        committed = (ROOT / "docs" / "images" / name).stat().st_size
        # Times and ids differ from run to run; a page that shows nothing is another thing.
        assert (tmp_path / "images" / name).stat().st_size > committed / 2
        if name == "plan.svg":  # has neither
            assert (tmp_path / "images" / name).read_bytes() == (
                ROOT / "docs" / "images" / name
            ).read_bytes()
