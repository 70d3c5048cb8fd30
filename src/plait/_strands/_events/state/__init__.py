"""The state of a run: what `ctx.store` keeps.

    dict_state     `DictState`, for workflows that declare no class
    state_class    which class it is, and which fields that has
    copies         copies of it: whole, or with other values
    paths          "users.0.name": what is there, and putting something there
    misfit         what does not fit where it is
    line           who writes, and who waits to

Nothing here knows runs, steps or events. The face that users see is `StateStore`, in `store`.
"""
