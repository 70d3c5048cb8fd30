"""Slips of those who write their first flow file."""

import pytest

from plait.flows import FlowConfigError, load


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"steps": []}, "unknown key 'steps' at the top level; did you mean 'flow'?"),
        ({"jobs": []}, "unknown key 'jobs' at the top level; did you mean 'flow'?"),
        (
            {"flow": [{"name": "a", "source": "process", "command": ["ls"]}]},
            "unknown key 'command' in step 'a'; write it below 'input'",
        ),
        (
            {"flow": [{"name": "a", "source": "rest", "url": "http://x"}]},
            "unknown key 'url' in step 'a'; write it below 'input'",
        ),
        (
            {"flow": [{"name": "a", "source": "env", "vars": ["HOME"]}]},
            "unknown key 'vars' in step 'a'; write it below 'configuration' of the source",
        ),
        (
            {"flow": [{"name": "a", "source": "env", "needs": ["b"]}]},
            "unknown key 'needs' in step 'a'; did you mean 'depends_on'?",
        ),
        ({"flow": [{"name": "a", "source": "env", "zzz": 1}]}, "unknown key 'zzz' in step 'a'"),
    ],
)
def test_a_key_in_the_wrong_place_is_told_where_it_belongs(document, said):
    with pytest.raises(FlowConfigError) as caught:
        load(document)
    assert [problem.message for problem in caught.value.problems] == [said]
