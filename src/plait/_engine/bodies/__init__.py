"""Hosts the bodies of durable functions: ordinary task trees, whose tasks plait numbers and gates.

    paths       where a task stands in its body        spawning    how it comes to stand there
    rest        is each task of a body blocked?        gate        outcomes, one at a time, at rest
    body        runs one body, and knows why it is cancelled
    brain       what the kernel says of its calls, done         calls     run, sleep, wait, invoke, send
    groups      several branches at a time                      timers    alarms on the wall clock
    ports       who keeps records, events and children          current   what a handler knows

No second scheduler: the tasks are Trio's or asyncio's own. While no body is alive, nothing of this
is installed in the event loop. Only `spawning` knows the backends, beside `_engine.native`.
"""
