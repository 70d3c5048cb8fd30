"""Where a call stands, and why a run is held, in words."""

from __future__ import annotations

import pytest

from plait._kernel.calls.keys import path_text
from plait._kernel.functions.reasons import Unreadable


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), "the first task"),
        ((("process", 7),), "delivery 7 of step 'process'"),
        ((("process", 7), 0), "task 0 of delivery 7 of step 'process'"),
    ],
)
def test_a_path_says_where_it_is(path, text):
    assert path_text(path) == text


def test_a_stream_that_cannot_be_read_says_what_to_do():
    text = Unreadable("entry 3 is missing").text("order-7")
    assert text.startswith("run 'order-7' cannot be read: entry 3 is missing.")
    assert "app.resume('order-7')" in text
