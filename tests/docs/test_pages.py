"""Every Python block of the README and of the documentation runs, and prints what the page says."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("README.md"), *ROOT.glob("docs/**/*.md")]
    if "_build" not in path.parts
)


@pytest.mark.parametrize("page", PAGES)
def test_page(page, check_page):
    check_page(ROOT / page)
