"""The seed program with checkpoints: each run from one does what was left, and no more."""

import random
import re

import pytest

import plait.testing

FOUR = ["process_data", "process_data", "process_data", "combine_results"]


@pytest.mark.parametrize("seed", range(10))
def test_checkpoints(load, capsys, seed):
    module = load("checkpoints")
    assert capsys.readouterr().out == "", "importing it runs it"
    random.seed(seed)
    plait.testing.run(module.main)
    lines = capsys.readouterr().out.splitlines()
    listed = [re.fullmatch(r"Run: ([\w-]+) has (\[.*\])", line) for line in lines[-4:]]
    assert [found[2] for found in listed] == [str(FOUR[n:]) for n in range(4)]
    assert len({found[1] for found in listed}) == 4
    done = "".join(line[-1] if line.startswith("Completed") else "|" for line in lines[:-4])
    first, second, third, fourth, rest = re.fullmatch(
        r"([ABC]{3})([ABC]{2})\|([ABC])\|(\|)(\|)", done
    ).groups()
    assert {*first} == {*"ABC"}
    assert {*second} == {*first[1:]}  # each time one more had been processed
    assert third == first[2]
    assert (fourth, rest) == ("|", "|")
    results = [line for line in lines[:-4] if line.startswith("Processed")]
    assert all(sorted(result) == sorted(results[0]) for result in results)
