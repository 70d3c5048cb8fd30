"""What plait costs, next to its peers and to what a hand-written engine costs.

    python -m benchmarks                       every scenario, every contender
    python -m benchmarks chain --quick         one scenario, few rounds, small sizes
    python -m benchmarks --only plait,floor_b  some contenders
    python -m benchmarks --write               all of it, into docs/benchmarks.md

Machines differ and are noisy, so only ratios taken in one run count. Hence the layout of a session:

Rule 1: each contender lives in a process of its own, and all of them are pinned to the same core. They cannot
    disturb each other's heap, event loop or imports, and never run at the same time. Time in which a process waited
    for the core because somebody else had it is not counted.
Rule 2: rounds are interleaved. In each round every contender runs the same size once, in an order that rotates;
    a ratio is the median of the ratios of single rounds, so slow minutes of the machine cancel out.
Rule 3: every answer is checked. A fast wrong result is a failure, and is reported as one.
Rule 4: each round also times the yardstick, floor b on the longest chain. A figure times 6.0 and divided by the
    yardstick is its "µs-equivalent": what it would be on the machine on which the goals were set.

One scenario is one file in `scenarios/`: what is measured, what the answer must be, and one small program for each
contender, side by side. To add one, copy the nearest and name it in `scenarios/__init__.py`; nothing else has to
know. A program takes a size and returns an answer; the session times it, or the `Part` of it that it gives with its
answer, unless the scenario has no `scale`: then the program measures itself and returns `Measured`. The imports of a
contender stand inside its program, so that a missing peer costs its row and nothing else. A new peer is a line in
`contenders.py`.

The rest, from the bottom up:

    contenders.py   who there is          worker.py    the process of one contender
    scenario.py     what a scenario is    pool.py      all processes, as the session sees them
    floors.py       engines by hand       session.py   the rounds
    clock.py        the time that counts
    machine.py      where it ran          outcome.py   medians and ratios;  report.py  tables and the page

The floors are minimal engines for just the scenario at hand, on Trio; `floors.py` says what they do and what not.
"""
