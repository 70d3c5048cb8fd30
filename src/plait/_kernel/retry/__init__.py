"""Retries: an attempt has failed; is there another, and after how long?

A policy has `next(elapsed_time, attempts, error, *, seed=None)`, which gives the delay in seconds,
or `None` to give up. `retry_policy` makes one of three strategies: a condition (is this error worth
another attempt?), a wait (how long until then?) and a stop (was that enough?).

    policy      policies         conditions  waits  stops    the three kinds of strategy
    ask         the question     strategy    what the three have in common
                                 arguments   what may be said to them

It imports what the kernel may, and nothing else of the kernel.
"""
