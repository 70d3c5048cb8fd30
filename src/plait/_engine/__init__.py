"""The engine: the shell around the kernel. Trio lives here, and only here.

It performs what the kernel decides and decides nothing. It may import the kernel, the event
classes, the ports of `_abc`, and the leaves; a journal it reaches through its port only.

    native     objects of the running backend     lane       one step: nursery, limiter, workers
    run        one run: scope, lanes, life        attempt    one execution of one body
    stream     what a run shows while it runs     runtime    `open_runtime`
    failure    how a run's end is raised
"""
