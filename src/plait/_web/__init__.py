"""The live page: a server that shows runs while they go on, and runs of a journal.

`feed` is what a window reads: the records of a run as messages, each with its place. `view` makes the
messages, `payloads` what they show of users' values, `graph` the picture. `page` holds the runs that are
shown, `past` those of a journal, `remote` that of another process. `routes` answers requests, `guard`
decides whose, and `server` binds a port. The browser's part is in `static`, as it is delivered.

It may import what lies below it, Trio and AnyIO; Starlette and Hypercorn are imported here and nowhere
else, when a page is made.
"""
