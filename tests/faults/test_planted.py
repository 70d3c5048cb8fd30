"""Each planted bug is caught: what the other tests say when nothing is wrong is worth something.

`make faults` prints which test caught which bug.
"""

from collections import Counter

import pytest

from tests.faults.planted.bug import PACKAGE, ROOT, Bug, planted
from tests.faults.planted.trial import try_all, try_bug

BUGS = [*planted()]


def test_there_are_enough_of_them():
    """A bug that is hard to catch is not to be taken away."""
    layers = Counter(bug.layer for bug in BUGS)
    assert layers["kernel"] >= 25
    assert layers["engine"] >= 20
    assert layers["events"] >= 15
    assert layers["journal"] >= 20
    assert layers["durable"] >= 18
    assert [name for name, count in Counter(bug.name for bug in BUGS).items() if count > 1] == []


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_is_where_it_says(bug):
    """Its text is there once, its tests are there, and the package knows nothing of it."""
    source = (PACKAGE / bug.file).read_text(encoding="utf-8")
    assert bug.written_into(source) != source
    assert bug.why.endswith(".")
    for test in bug.suite:
        file, _, name = test.partition("[")[0].partition("::")
        assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")


def test_what_is_no_bug_is_not_caught(tmp_path):
    """A trial can end in vain: by tests that pass, by a copy that is broken, by a text that moved."""
    package = tmp_path / "copy" / "plait"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("ANSWER = 42  # life\n")
    bug = Bug(
        layer="kernel",
        name="none",
        why="",
        file="__init__.py",
        text="life",
        becomes="the universe",
        suite=["tests/faults/test_planted.py::test_there_are_enough_of_them"],
    )
    harmless = try_bug(package, bug)
    assert (harmless.good, harmless.said) == (False, "every test passed")
    (package / "__init__.py").write_text("ANSWER = life(\n")
    broken = try_bug(package, bug)
    assert not broken.good
    assert "SyntaxError" in broken.said
    (package / "__init__.py").write_text("ANSWER = 42\n")
    with pytest.raises(ValueError, match=r"'none' is disarmed.* its text 0 times"):
        try_bug(package, bug)


def test_every_bug_is_caught():
    missed = {
        bug.name if bug else "without a bug": (verdict.test, verdict.said)
        for bug, verdict in try_all(BUGS)
        if not verdict.good
    }
    assert missed == {}
