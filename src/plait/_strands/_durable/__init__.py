"""The durable strand: functions whose steps survive a crash.

What a user writes is read, checked and described here; the engine runs it. No other strand is known.

    event        `Event`, and typed events in one      triggers    what starts a function
    options      flow control, as it is declared       checks      what is wrong with an argument
    function     `Function`, and its decorator         setup       all that a decoration says
    handlers     what a function's signature says      source      the digest of its syntax tree
    returned     what an annotation says is returned   cron        planned times, missed ones, jitter
    values       users' values, written and read       failures    exceptions, written and read
    branches     what `parallel` takes and gives       signatures  the types of `run` and `parallel`
    context      `Context`, `SyncContext`              middleware  `Middleware`, and how it is nested
    step, group  what calls are given and give         sync        the same from threads (`entrance`)
    attempt      a handler at work                     arguments   refused before anything is recorded
    parts        what a context needs of its host      start       a body, with its context
"""
