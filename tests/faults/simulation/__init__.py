"""Deterministic simulation: one seed is a workflow, its schedule, its clock and all that goes wrong.

    scenario        what a seed stands for, drawn before anything runs: the plan of the faults
    world           what bodies live in: calls that take time, a stream, people to ask, resources
    injected        what goes wrong in a body, and in its clean-up
    workflows       the programs, with `conversations`, `fans`, `events` and `options`
    outside         owners that start and cancel them, people who answer, readers of streams
    diary           what the outside has seen, an account of its own
    watch           the kernel's laws, at every stimulus
    stillness       whoever waits has a reason, whenever the clock is about to jump
    promises        what must hold afterwards, with `endings`
    simulate        one seed, twice: same seed, same records

`python -m tests.faults.simulation --seeds 100000 --jobs 2` goes through many seeds and prints a line
for each that fails; `--seed 7 -v` prints the plan, the story and the records of one. Threads are
outside of it: no step is a plain function.
"""
