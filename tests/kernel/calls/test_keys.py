"""Keys and their text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait._kernel.calls.keys import ROLLBACK, Key, key_of, key_text, path_text

ID = st.text(st.characters(codec=None))
NUMBER = st.integers(0, 10**6)
PART = st.one_of(
    NUMBER,
    st.tuples(st.just("g"), NUMBER, NUMBER),
    st.tuples(st.just("m"), ID, NUMBER, NUMBER),
    st.tuples(st.just("o"), NUMBER, NUMBER),
    st.tuples(ID, NUMBER),  # a delivery's
)
PATH = st.lists(PART, max_size=4).map(tuple)
KEY = st.builds(Key, PATH, st.none() | ID, NUMBER, st.sampled_from(["", ROLLBACK]))


@given(KEY, KEY)
def test_a_key_and_its_text_are_one(one: Key, other: Key) -> None:
    assert key_of(key_text(one)) == one
    assert (key_text(one) == key_text(other)) == (one == other)
    assert key_text(one).isascii()


def test_the_text_is_as_the_journal_has_it() -> None:
    assert key_text(Key((0, ("g", 1, 2)), "send-email", 0)) == '[[0,["g",1,2]],"send-email",0]'
    assert key_text(Key((), "é", 1).rollback) == '[[],"\\u00e9",1,"rollback"]'


@pytest.mark.parametrize(
    "text",
    [
        "", "[", "[[", "{}", "7", '"a"', "[1,2,3]", "[[]]", '[[],"a"]', '[[],"a",0,"x"]',
        '[[],"a",0,"rollback",1]', "[[],7,0]", '[[],"a",true]', '[[],"a",0.0]', '[[null],"a",0]',
        '[[[]],"a",0]', '[[[null]],"a",0]', '[[true],"a",0]', '[ [],"a",0]', '[[], "a", 0]',
        '[[],"\u00e9",0]', '[["ab"],"a",0]', '[[0.5],"a",0]',
        '[[],"a",0] ', '[[],"a",0]]', '[[],"a",0],', '[[],"a",0]x',
    ],
)  # fmt: skip
def test_what_is_no_text_of_a_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not the text of a key"):
        key_of(text)


def test_a_place_in_words() -> None:
    assert path_text(()) == "the first task"
    assert path_text((3, ("m", "get", 0, 7), ("o", 1, 2))) == "task 3/mget.0.7/o1.2"
