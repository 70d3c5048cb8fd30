"""The kernel: what a run's events mean. Sans-IO, and therefore easy to trust.

It is told what happened (a stimulus), decides what that means (records) and says what must now be
done (effects). No `await`, no clock, no randomness, no thread, no file, no log: time comes with the
stimulus. It imports the standard library's data modules, attrs, and plait's leaves.

    plan       what the user drew, compiled: steps, and where each class of event goes
    stimuli    what the shell reports            records    what it means, and all that is kept
    effects    what the shell must do            state      the sum of the records
    decide     stimulus -> records, effects      apply      record -> state, the only mutator
    advance    a stimulus, to the end            life       a run's and a delivery's life, as tables
    collecting the buffers of `collect_events`   streams    what a returned list opens
    waits      open questions                    retry/     what a failure leads to
    explain    who waits for what, in words      refusals   what cannot be done, in words
    value      what stimuli, records and effects are made of
"""
