"""Admission: which events lead to which runs of an app's functions, and when each may start.

An app's stream, as a kernel of its own: stimuli in, records and effects out; time is Unix seconds.
What functions do once they have started is not its business.

    plan       the knobs of each function     keys      what the user's callables say of an event
    stimuli    what the app reports           effects   what the app must do
    records    what is kept                   keeping   how each record is kept, as a table
    advance    a stimulus, to the end         apply     record -> state, the only mutator
    arrive     an event, knob by knob         due       time passes: what is overdue, in order
    start      the queue: who may start now   lanes     who waits for which slot
    state      the sum of the records         snapshot  the state written out, and back
    explain    what waits, and for what      heap, recent   what the state is made of

It imports what the kernel may, and of the rest of the kernel only `value`.
"""
