"""The engine: the shell around the kernel. Trio lives here, and only here.

It performs what the kernel decides and decides nothing. It may import the kernel, the event
classes, the ports of `_abc`, and the leaves; a journal it reaches through its port only.

    a run: `shell` stands between kernel and world, `graph` is that of steps which wait for others; `run` is
        what its user holds, of which a `gate` lets so many in; `runtime` `block` kin failure walker
    its steps: each a `lane` with its nursery and inbox, a `worker` is one task of that, an `attempt` one
        execution of a body; `alarms` say when a retry is due, `variables` what a body has changed
    what is told of it: `stream` states trace observers
    on a journal: `journaled` is its shell, `past` reads what is there, `ledger` knows what is on disk, `desk`
        has the file open; `hosting` and `bodies` are for functions whose calls are kept
    the world: `native` objects of the running backend, `passes` of its loop, `wall` clock; `processes` and
        their `process_groups`
"""
