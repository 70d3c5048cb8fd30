"""The engine: the shell around the kernel. Trio lives here, and only here.

It performs what the kernel decides and decides nothing. It may import the kernel, the event
classes, the ports of `_abc`, and the leaves; a journal it reaches through its port only.

    shell      between kernel and world: one run      lane       one step: nursery, limiter, inbox
    worker     one task of a lane                     attempt    one execution of one body
    run        a run, as its user holds it            gate       so many runs at a time
    runtime    `open_runtime`                         block      the nursery of its runs
    stream     what a run shows while it runs         states     each delivery, come and gone
    trace      a run's records, kept and told         walker     a run, step by step
    native     objects of the running backend         variables  has a body changed its context?
    failure    how a run's end is raised
"""
