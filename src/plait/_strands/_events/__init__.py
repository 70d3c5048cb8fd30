"""The events strand: classes with `@step` methods that take and return typed events.

What a user writes is read, checked and compiled here; the engine runs it. No other strand is known.

    workflow     `Workflow`: steps -> a run       inheritance  the steps of a class, and its bases'
    step         `@step`, `@catch_error`          signature    what a step's annotations say
    collect      how a `list[E]` is filled        annotations  taken apart into events
    graph        steps, and events between them   validate     every fault at once, with its place
    compile      steps -> plan and work           narrator     `verbose=True`: a line for each step
    context      `Context`                        store        `ctx.store`
    state/       what a store keeps               resources/   what steps are lent beside events
    run          `Run`, with its context          runtime      `open_runtime`, with its runs
    script       `plait.run`, from plain code     timeout      `Timeout`
    arguments    what is usable, what is refused  advice       what to write instead, in words
    places       where the user's code stands: file and line
"""
