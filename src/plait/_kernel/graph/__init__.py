"""Steps that follow one another: each begins when those that it waits for have come to their end.

It is the kernel of flow files, and a policy that any strand may use: the same plan, whose steps have
an `after`; the same stimuli; the same records where they mean the same. What there is besides:

    records    that a step's deliveries are ready, that a step will not run
    admission  what whoever compiled the plan says of a step whose turn has come: run, skip, broken
    state      who is pending, ready, running; a run's state like any other
    turns      who is next: first in, first out, as far as the limits let them
    decide     stimulus -> records and effects;  apply  record -> state, the only mutator
    advance    both, and what follows from them
    keeping    how each record is kept

It imports what the kernel may, and of the rest of the kernel what events use as well.
"""
