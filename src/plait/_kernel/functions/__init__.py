"""The life of one run of a durable function, from the queue to its end. Its calls are in `calls`.

The shell goes through `advance`, whose page says who tells it what, and when.

    stimuli    what the shell reports             effects   what the shell must do
    records    what is kept of a run              marks     what is not kept, and goes with the process
    decide     stimulus -> records, marks,        rules     what fails at once, what holds a run, what
               effects                                      there is to lose
    apply      record or mark -> state, the       advance   decide, number, apply
               only mutator
    life       of a run, as a table               keeping   how each record is kept, as a table
    state      the sum of both                    explain   status, and what a run waits for
    reasons    why a run is held, in words

It imports what the kernel may, and of the rest of the kernel `calls`, `keeping`, `retry` and `value`.
"""
