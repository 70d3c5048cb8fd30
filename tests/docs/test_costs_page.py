"""The page on costs says what the benchmarks say, rounded."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "explanation/what-it-costs.md").read_text()
MEASURED = (DOCS / "benchmarks.md").read_text()

ROWS = re.findall(r"^\| [^|]+ \| ([\d.]+) (µs|ms|bytes) \| ([^|]+) \|$", PAGE, re.MULTILINE)


def measured(scenario: str) -> tuple[str, set[float]]:
    """The unit of a scenario, and what plait takes in it on Trio, at each of its sizes."""
    head = re.search(rf"^### {re.escape(scenario)}, (µs|ms|bytes)\b", MEASURED, re.MULTILINE)
    assert head, f"no scenario {scenario!r} in docs/benchmarks.md"
    table = MEASURED[head.end() :].partition("\n### ")[0]
    names = re.search(r"^\| +\S+ +\|(.*)\|$", table, re.MULTILINE)[1].split("|")
    sizes = sum(bool(re.fullmatch(r"[\d ]+", name.strip())) for name in names)
    cells = re.search(r"^\| plait \(Trio\) +\|(.*)\|$", table, re.MULTILINE)[1].split("|")
    return head[1], {float(cell.replace(" ", "")) for cell in cells[:sizes]}


def test_there_are_rows():
    assert len(ROWS) >= 12
    assert len(ROWS) == PAGE.count("\n| ") - 1  # all but the head


@pytest.mark.parametrize(("figure", "unit", "scenario"), ROWS, ids=[row[2] for row in ROWS])
def test_a_figure_is_what_was_measured(figure, unit, scenario):
    measured_unit, figures = measured(scenario)
    assert unit == measured_unit
    assert any(abs(float(figure) - one) <= 0.15 * one for one in figures), figures
