"""What each record says, in a word or two: for the log of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from plait._kernel import records
from plait._kernel.calls import records as of_calls
from plait._kernel.functions import records as of_functions
from plait._kernel.graph.records import Readied, Reused, Skipped

#: What a record says, in a word. Those that are not here are named by their class.
WORDS: Final[Mapping[type, str]] = {
    records.RunStarted: "run started",
    records.Reopened: "taken up again",
    records.Decided: "decided",
    records.Closed: "closed",
    records.Idled: "idle",
    records.Emitted: "sent",
    records.Started: "started",
    records.Completed: "returned",
    records.Retrying: "retrying",
    records.Requeued: "queued again",
    records.Recovered: "failed, and handled",
    records.Failed: "failed",
    records.Interrupted: "cancelled",
    records.Dropped: "dropped",
    records.Fired: "given a list",
    records.Met: "events met",
    records.StreamClosed: "list done",
    records.Collected: "collected",
    records.Streamed: "streamed",
    records.Waited: "waits",
    records.Answered: "answered",
    records.WaitEnded: "waited in vain",
    records.Resumed: "goes on",
    records.Stored: "state stored",
    Readied: "ready",
    Reused: "reused",
    Skipped: "skipped",
    of_calls.CallStarted: "call started",
    of_calls.CallScheduled: "call scheduled",
    of_calls.CallRetrying: "call retrying",
    of_calls.CallCompleted: "call completed",
    of_calls.CallFailed: "call failed",
    of_calls.CallCancelled: "call cancelled",
    of_functions.RunQueued: "run queued",
    of_functions.FunctionStarted: "function started",
    of_functions.FunctionRetrying: "function retrying",
    of_functions.RollbackBegun: "rolling back",
    of_functions.FunctionHeld: "held",
    of_functions.FunctionFreed: "goes on",
    of_functions.FunctionCompleted: "function completed",
    of_functions.FunctionFailed: "function failed",
    of_functions.FunctionCancelled: "function cancelled",
}
