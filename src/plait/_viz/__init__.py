"""Pictures of plans: pure functions, from a flow or a workflow to text.

`drawing` is what all pictures are made of, nodes and arrows; `flows` and `events` make one of what
the strands have, `mermaid` and `dot` write it down.
"""
