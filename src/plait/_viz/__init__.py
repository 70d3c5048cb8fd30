"""Pictures of plans and of runs: pure functions, from a flow, a workflow or records to text.

`drawing` is what all pictures are made of, nodes and arrows; `flows` and `events` make one of what
the strands have, `mermaid` and `dot` write it down. `execution` is what has happened in a run, from
its records; `timeline` lays that out in time.
"""
