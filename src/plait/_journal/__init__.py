"""Journals: what keeps a run's records, and how records become entries and come back.

The engine knows the port `plait._abc.Journal` only. It may import the ports, the event classes, the
kernel and the leaves; no event loop library. `import plait` loads none of SQLite.

    memory     a journal in dicts
    sqlite     a journal in a file             writer     its thread: group commit
    inbox      from the loop to that thread    ledger     one commit: rows, and what they change
    opening    from a path to a connection     lease      one process at a time
    schema     the layout and its versions     verify     what is wrong with a file
    reading    entries and streams             faults     what SQLite's errors mean
    world      connections, clocks: the seam   codec      records as entries
    registry   what a table of kinds is        kinds      those of event workflows
    call_kinds those of functions' calls       app_kinds  those of an app's stream
    scribes    functions and apps, written and read    standing  who goes on nowhere
"""
