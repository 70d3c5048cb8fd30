from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait._strands._flows.durations import duration, size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("2s", 2.0),
        ("1m30s", 90.0),
        ("1h", 3600.0),
        ("1d", 86_400.0),
        ("1d2h3m4s5ms", 93_784.005),
        ("1.5h", 5400.0),
        ("30", 30.0),
        ("0", 0.0),
        (" 2s ", 2.0),
        (0, 0.0),
        (30, 30.0),
        (0.25, 0.25),
    ],
    ids=repr,
)
def test_lengths_of_time(text, seconds):
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        *["", "s", "5x", "-1s", "1s1m", "1s1s", "1 m", "1e3", "1M", "nan", "inf", "٣s", "1m 30s"],
        *[-1, True, None, math.nan, math.inf, 1e13, [1], {}, "9" * 40, "1" * 100_000],
    ],
    ids=repr,
)
def test_no_length_of_time(text):
    assert duration(text) is None


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("64KiB", 65_536),
        ("1MiB", 1 << 20),
        ("1 GiB", 1 << 30),
        ("0.5KiB", 512),
        ("100", 100),
        ("7B", 7),
        (12, 12),
        (0, 0),
    ],
    ids=repr,
)
def test_sizes(text, count):
    assert (size(text), type(size(text))) == (count, int)


@pytest.mark.parametrize(
    "text",
    ["", "KiB", "1KB", "1kib", "-1", "0.3B", "1MiB2", -1, 1.5, True, None, [1], "x"],
    ids=repr,
)
def test_no_sizes(text):
    assert size(text) is None


@given(st.floats(min_value=0, max_value=1e6), st.sampled_from(["d", "h", "m", "s", "ms"]))
def test_numbers_with_a_unit(number, unit):
    text = f"{number:.6f}"
    each = {"d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}[unit]
    assert duration(text + unit) == pytest.approx(float(text) * each)


@given(st.text() | st.integers() | st.floats() | st.none() | st.lists(st.integers()))
def test_anything_gives_a_length_of_time_or_none(anything):
    seconds = duration(anything)
    assert seconds is None or (type(seconds) is float and 0 <= seconds <= 1e12)
    count = size(anything)
    assert count is None or (type(count) is int and count >= 0)
