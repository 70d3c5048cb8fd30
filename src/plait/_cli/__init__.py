"""The command `plait`: a module for each of its verbs, and what several of them need.

`main` answers what needs nothing, `app` reads the command line, `targets` finds what is meant by
`FILE` and `module:Workflow`. `progress` and `live` write to stderr while a run goes on, `results`
and `output_file` write what came of it, `signals` cancels it, `exits` says how the command ends.

It may import every part of plait below the façades, and trio. Each part is imported when it is
needed: who asks for help does not wait for Trio.
"""
