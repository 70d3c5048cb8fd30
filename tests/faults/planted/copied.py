"""A plugin for pytest in a child process: nothing runs unless plait is the copy that has the bug."""

import os
from pathlib import Path

import pytest

import plait

#: The environment variable that names the folder of the copy.
COPY = "PLAIT_COPY"


def pytest_configure():
    copy = Path(os.environ[COPY])
    if not Path(plait.__file__).is_relative_to(copy):
        pytest.exit(f"{plait.__file__} is not in {copy}", returncode=3)
