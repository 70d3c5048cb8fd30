"""The engine: the shell around the kernel. Trio lives here, and only here.

It performs what the kernel decides and decides nothing. It may import the kernel, the event
classes, the ports of `_abc`, and the leaves; a journal it reaches through its port only.

    a run: shell graph run runtime block gate kin walker failure
    its steps: lane worker attempt alarms variables
    what is told of it: stream states trace observers
    on a journal: journaled past ledger desk; with durable calls: hosting bodies
    the world: native passes wall processes process_groups

`shell` stands between kernel and world; `run` is what its user holds.
"""
