"""All scenarios, in the order of the report."""

from typing import Final

from benchmarks.scenario import Scenario
from benchmarks.scenarios.chain import chain, chain_waiting
from benchmarks.scenarios.empty import empty, empty_concurrent
from benchmarks.scenarios.fan_out import fan_out
from benchmarks.scenarios.memory import memory_pending, memory_steps
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
        memory_pending,
        memory_steps,
    )
}
