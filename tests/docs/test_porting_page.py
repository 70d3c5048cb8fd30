"""The page for those who come from elsewhere is honest: its diff is the diff, its count the count."""

import difflib
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/coming-from-llamaindex.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[:2]
NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight"]

# Empty lines do not count.
theirs, ours = ([line for line in text.splitlines() if line.strip()] for text in PROGRAMS)
changed = [line for line in difflib.ndiff(theirs, ours) if line[:2] in {"- ", "+ "}]


def test_the_first_program_is_theirs_and_the_second_is_ours():
    assert any(line.startswith("from workflows import") for line in theirs)
    assert any(line.startswith("from plait import") for line in ours)


def test_the_diff_is_that_of_the_two_programs():
    (shown,) = re.findall(r"```diff\n(.*?)```", PAGE, re.DOTALL)
    shown = [line for line in shown.splitlines() if line[1:].strip()]
    assert sorted(shown) == sorted(line[0] + line[2:] for line in changed)


def test_the_numbers_in_the_text_are_those_of_the_diff():
    gone = sum(line.startswith("-") for line in changed)
    more = len(changed) - 2 * gone
    text = (
        f"{NUMBERS[gone].capitalize()} of its {len(theirs)} lines are others, and {NUMBERS[more]}"
    )
    assert f"{text} are new" in PAGE
