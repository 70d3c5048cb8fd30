"""The engine: the shell around the kernel. Trio lives here, and only here.

It performs what the kernel decides and decides nothing. It may import the kernel, the event
classes, the ports of `_abc`, and the leaves; a journal it reaches through its port only.

    shell      between kernel and world: one run      journaled  one that is kept in a journal
    graph      one of steps that wait for others      hosting    bodies that make durable calls
    lane       one step: nursery, limiter, inbox      worker     one task of a lane
    attempt    one execution of one body              alarms     when what is due is due
    run        a run, as its user holds it            gate       so many runs at a time
    runtime    `open_runtime`                         block      the nursery of its runs
    kin        runs inside of runs                    walker     a run, step by step
    stream     what a run shows while it runs         states     each delivery, come and gone
    trace      a run's records, kept and told         observers  who is told of them
    bodies     functions whose calls are kept         desk       a journal that is open
    past       what a journal has of a run            ledger     what is on disk, and what is not yet
    native     objects of the running backend         passes     the end of a pass of its loop
    wall       the clock on the wall                  variables  has a body changed its context?
    failure    how a run's end is raised
    processes  programs that steps run                process_groups  and what those have started
"""
