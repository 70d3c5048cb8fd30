"""A process is killed after each append in turn: the next one goes on, and comes to the same."""

import json

import pytest
import trio

from plait import InputRequiredEvent
from tests.parity.clocks import in_virtual_time
from tests.strands.events.journal.lives import Kept, entries_of, outcome_of, stream_of
from tests.strands.events.journal.programs import PROGRAMS, Joining, witness

ENDS = {
    f"delivery.{end}" for end in ("completed", "failed", "interrupted", "recovered", "retrying")
}


def on_record(journal):
    """The keys of the deliveries that have completed, and of those whose bodies were executing."""
    done, going = set(), set()
    for run_id in journal._streams:
        steps = {}
        for entry in entries_of(journal, run_id):
            body = json.loads(entry.body)
            number = body.get("delivery")
            if entry.kind == "delivery.started":
                steps[number] = f"{run_id}:{body['step']}:{number}"
                going.add(steps[number])
            elif entry.kind in ENDS:
                going.discard(steps[number])
            if entry.kind == "delivery.completed":
                done.add(steps[number])
    return done, going


@in_virtual_time
@pytest.mark.parametrize("program", PROGRAMS)
async def test_killed_after_each_append_it_comes_to_the_same(program):
    """The result is the same, what had completed does not run again, and the keys stay."""
    witness.clear()
    journal = Kept()
    run = program(journal=journal).run(run_id="r")
    whole = await run
    assert whole == PROGRAMS[program]
    streamed = await stream_of(run)
    witnessed = {key.rpartition(":")[0] for key in witness.begun}
    step = 1 if trio.lowlevel.in_trio_task() else 3
    for number in range(1, len(journal.appends) + 1, step):
        left = journal.killed_after(number)
        done, going = on_record(left)
        witness.clear()
        run = program(journal=left).resume("r")
        result = await outcome_of(run)
        where = f"after {number} of {len(journal.appends)}, {left.appends[number - 1][-1].kind}"
        assert result == whole, where
        assert not done & {*witness.begun}, where
        again = {key for key in going if key.rpartition(":")[0] in witnessed}
        if program is not Joining:  # a fan-in that has fired cancels bodies
            assert again <= {*witness.begun}, where
        shown = await stream_of(run)
        assert sorted(map(repr, shown)) == sorted(map(repr, streamed)), where
        questions = [event for event in shown if isinstance(event, InputRequiredEvent)]
        assert len(questions) == len({*map(repr, questions)}), where
        witness.clear()
        again = program(journal=left).resume("r")
        assert await again == whole, where
        assert not witness.begun, where
        assert await stream_of(again) == await stream_of(run), where
