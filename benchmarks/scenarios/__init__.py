"""All scenarios, in the order of the report."""

from typing import Final

from benchmarks.scenario import Scenario
from benchmarks.scenarios.chain import chain, chain_waiting
from benchmarks.scenarios.durable import (
    durable_chain,
    durable_cpu,
    durable_parallel,
    durable_recovery,
    durable_runs,
)
from benchmarks.scenarios.empty import empty, empty_concurrent
from benchmarks.scenarios.fan_out import fan_out
from benchmarks.scenarios.flows import FLOWS
from benchmarks.scenarios.journal import journal_chain, journal_parallel, journal_resume
from benchmarks.scenarios.memory import memory_pending, memory_steps
from benchmarks.scenarios.observe import observe
from benchmarks.scenarios.snapshot import snapshot
from benchmarks.scenarios.stream import stream
from benchmarks.scenarios.waiting import waiting

SCENARIOS: Final[dict[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (
        chain,
        chain_waiting,
        fan_out,
        empty,
        empty_concurrent,
        waiting,
        stream,
        observe,
        snapshot,
        journal_chain,
        journal_parallel,
        journal_resume,
        durable_chain,
        durable_parallel,
        durable_runs,
        durable_cpu,
        durable_recovery,
        *FLOWS,
        memory_pending,
        memory_steps,
    )
}
