"""The pictures of the README and of the documentation: each is there, each is shown, and none is heavy."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
IMAGES = sorted((ROOT / "docs" / "images").iterdir())
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHOWN = [
    (page, match["alt"], match["target"])
    for page in PAGES
    if "_build" not in page.parts
    for match in re.finditer(
        r"!\[(?P<alt>[^\]]*)\]\((?P<target>[^)\s]*)\)", page.read_text("utf-8")
    )
]


def test_there_are_some():
    assert IMAGES
    assert {page.name for page, *_ in SHOWN} >= {"README.md", "live-page.md", "pictures.md"}


@pytest.mark.parametrize(("page", "alt", "target"), SHOWN, ids=lambda one: Path(str(one)).name[:40])
def test_what_a_page_shows_is_there_and_is_told_in_words(page, alt, target):
    assert (page.parent / target).resolve() in IMAGES, "made by docs/screenshots.py"
    assert len(alt.split()) >= 5, "somebody cannot see it"


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_each_picture_is_shown_somewhere(path):
    assert path in [(page.parent / target).resolve() for page, _, target in SHOWN]


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_pictures_are_small_and_what_they_are_called(path):
    assert path.stat().st_size < 150_000
    if path.suffix == ".png":
        assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    else:
        tags = {node.tag.rpartition("}")[2] for node in ElementTree.parse(path).iter()}
        assert "svg" in tags
        assert not tags & {"script", "image", "foreignObject"}


def test_each_picture_has_its_maker():
    names = re.findall(
        r'^@picture\("([^"]+)"\)',
        (ROOT / "docs" / "screenshots.py").read_text("utf-8"),
        re.MULTILINE,
    )
    assert sorted(names) == [path.name for path in IMAGES]
