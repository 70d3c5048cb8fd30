"""Pictures of plans and of runs: pure functions, from a flow, a workflow or records to text.

    pictures    what a user calls: a thing or a run in, a text or a file out
    timelines   an execution laid out in time: as SVG, as text, for Chrome
    executions  what has happened in a run, from its records     plans    what may happen, of each strand
    formats     a drawing as SVG, HTML, DOT, Mermaid or text
    placing     where the nodes and arrows of a drawing stand
    drawing     what all pictures of graphs are made of: nodes and arrows, no format, no place

Each imports what is below it, and `executions`, `plans` and `formats` know nothing of one another. Nothing
here imports a strand that it has not been given something of.
"""
