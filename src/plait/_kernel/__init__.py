"""The kernel: what a run's events mean. Sans-IO, and therefore easy to trust.

It is told what happened (a stimulus), decides what that means (records) and says what must now be
done (effects). No `await`, no clock, no randomness, no thread, no file, no log: time comes with the
stimulus. It imports the standard library's data modules, attrs, and plait's leaves.

    plan       what the user drew, compiled      stimuli    what the shell reports
    records    what it means, all that is kept   effects    what the shell must do
    decide     stimulus -> records, effects      apply      record -> state, the only mutator
    advance    a stimulus, to the end            state      the sum of the records
    life       of runs, deliveries, as tables    keeping    which records recovery needs, as a table
    fold, reopen, memory: a run outlives its process    waits, streams, collecting: what is pending
    explain    who waits for what, in words      refusals   what cannot be done, in words
    retry/     what a failure leads to           value      what all these are made of
    admission/ a kernel of its own: which events lead to which runs of an app, and when
"""
