"""Durable calls, as user code makes them: what `ctx.step` and `ctx.group` of every strand have.

A strand adds what only it can do, and hosts the bodies. No strand is known here.

    step, group  what calls are given and give         parts       what they need of their host
    branches     what `parallel` takes and gives       signatures  the types of `run` and `parallel`
    attempt      a handler at work                     returned    what an annotation says is returned
    arguments    refused before anything is recorded   checks      what is wrong with an argument
"""
