"""The tables of the kernel of calls, and of that of runs, name whatever there is."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from plait._kernel.calls import apply as calls_apply
from plait._kernel.calls import decide as calls_decide
from plait._kernel.calls.marks import Mark as CallMark
from plait._kernel.calls.records import Record as CallRecord
from plait._kernel.calls.stimuli import Stimulus as CallStimulus
from plait._kernel.functions import apply as runs_apply
from plait._kernel.functions import decide as runs_decide
from plait._kernel.functions.marks import Mark as RunMark
from plait._kernel.functions.stimuli import Stimulus as RunStimulus


@pytest.mark.parametrize(
    ("module", "table", "union"),
    [
        (calls_decide, "_DECIDES", CallStimulus),
        (calls_apply, "_FOLDS", CallRecord),
        (calls_apply, "_APPLIES", CallMark),
        (runs_decide, "_DECIDES", RunStimulus),
        (runs_apply, "_APPLIES", RunMark),
    ],
)
def test_a_table_names_each_class_of_its_union(module: Any, table: str, union: Any) -> None:
    assert getattr(module, table).keys() == {*get_args(union)}
