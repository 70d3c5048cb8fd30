"""Flow files of tests: written to a folder, checked, and what was found as lines."""

from __future__ import annotations

import textwrap

import pytest

from plait._strands._flows.check import check
from plait._strands._flows.problems import FlowConfigError


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Write a file into the current folder, and get its name."""
    monkeypatch.chdir(tmp_path)
    names = iter("abcdefgh")

    def write(text, name=None):
        name = name or f"{next(names)}.yaml"
        data = text if isinstance(text, bytes) else textwrap.dedent(text).encode()
        tmp_path.joinpath(name).write_bytes(data)
        return name

    return write


@pytest.fixture
def checked(files):
    """Check a text, or several."""

    def run(*texts, **options):
        return check([one if isinstance(one, dict) else files(one) for one in texts], **options)

    return run


@pytest.fixture
def wrong(checked):
    """Check a text that is wrong, and get the lines of what is."""

    def run(*texts, **options):
        with pytest.raises(FlowConfigError) as caught:
            checked(*texts, **options)
        return [str(one) for one in caught.value.problems]

    return run
