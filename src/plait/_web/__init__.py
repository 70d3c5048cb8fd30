"""The live page: a server that shows runs while they go on, and runs of a journal.

`feed` is what a window reads: the records of a run as messages, each with its place. `view` makes the
messages, `payloads` what they show of users' values, `pictures` the graph, of a plan or of records (`sketch`).
`page` holds the runs that are shown, `shown` what each is, `remote` that of another process. `doors` and `apps`
begin runs, `inputs` finds what one began with, `questions` what it asks, `forms` what it may be answered.
`routes` answers requests, `guard` decides whose, and `server` binds a port. The browser's part is in `static`.

It may import what lies below it, Trio and AnyIO; Starlette and Hypercorn are imported here and nowhere
else, when a page is made.
"""
