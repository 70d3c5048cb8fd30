"""What has happened in a run, from its records alone: live, or from a journal.

    execution   what a run's records amount to: `Execution`      parts   what it consists of
    reduce      takes the records, one after the other           names   of events, and of what went wrong
    events      deliveries and steps                             calls   durable calls and functions
    kept        records, of what a journal has                   found   of a run that is at hand
    followed    an execution that may miss records               standing   how a run stands, for one
    collecting  what a run has collected, likewise

Nothing is inferred that a record does not say.
"""
