"""The machinery that types what stands in console blocks: what it must notice, and what it must not."""

import textwrap

import pytest

from tests.docs.consoles import compare, dialogue

FAILED = pytest.fail.Exception


@pytest.fixture
def check(tmp_path, check_page):
    def check(text):
        page = tmp_path / "page.md"
        page.write_text(textwrap.dedent(text))
        check_page(page)

    return check


def test_what_is_typed_prints_what_stands_below_it(check):
    page = """
        <!-- file: folder/note.txt -->
        ```text
        one
        two
        ```

        ```console
        $ cat folder/note.txt  # a remark
        one
        two
        $ export NAME="a b"
        $ echo "$NAME"; echo why >&2
        a b
        why
        $ exit 3
        $ echo $?
        3
        ```
    """
    check(page)
    with pytest.raises(FAILED, match=r"page\.md:9: \$ cat folder/note.txt"):
        check(page.replace("        two\n        $", "        three\n        $"))


def test_files_are_there_for_programs_too(check):
    check("""
        <!-- file: note.py -->
        ```python
        raise ValueError("a file, and no program of the page")
        ```

        ```python
        from pathlib import Path
        print(Path("note.py").read_text().split("(")[0])
        ```

        <!-- output -->
        ```text
        raise ValueError
        ```
    """)


def test_what_is_not_to_be_typed_is_not(check):
    check("""
        <!-- not typed -->
        ```console
        $ touch file
        ```

        ```console
        $ ls
        ```
    """)


def test_a_file_mark_without_a_block_is_an_error(check):
    with pytest.raises(ValueError, match=r"no block follows <!-- file: note\.txt -->"):
        check("<!-- file: note.txt -->\n\nThis is no block.\n")


def test_a_block_begins_with_what_is_typed():
    assert dialogue("$ a \\\n  b\nsays\n$ c\n") == [("a \\\n  b", ["says"]), ("c", [])]
    with pytest.raises(ValueError, match="begins with"):
        dialogue("says\n")


@pytest.mark.parametrize(
    ("says", "prints"),
    [
        (["a", "b"], ["a", "b"]),
        (["...", "b"], ["a", "a", "b"]),
        (["a", "..."], ["a"]),
        (["a", "...", "b", "..."], ["a", "b", "b", "c"]),
        (["took 0.03 s"], ["took 12 s"]),
        (["plait: run 7f3k2a of a.yaml"], ["plait: run zzz9aa of a.yaml"]),
        (["a  b"], ["a      b"]),
    ],
)
def test_the_same(says, prints):
    assert compare(says, prints) == []


@pytest.mark.parametrize(
    ("says", "prints"),
    [
        ([], ["a"]),
        (["a"], []),
        (["a", "b"], ["b", "a"]),
        (["...", "b"], ["b", "a"]),
        (["a", "...", "a"], ["a"]),
        (["took 3 s"], ["took 3 m"]),
        (["7 bytes"], ["8 bytes"]),
    ],
)
def test_not_the_same(says, prints):
    assert compare(says, prints)
