"""The calls of one body: the body of a durable function, or of a delivery that makes durable calls.

The shell goes through `advance`, whose page says who tells it what, and when.

    keys       names of calls, and their text     stimuli   what the shell reports
    records    what is kept of calls              effects   what the shell must do
    marks      what is not kept, and goes with    decide    stimulus -> records, marks, effects
               this start of the body             apply     record or mark -> state, the only mutator
    state      the sum of both                    advance   decide, number, apply
    life       of a call, as a table              keeping   how each record is kept, as a table
    refusals   what cannot be done, in words      finality  what no other attempt will mend
"""
