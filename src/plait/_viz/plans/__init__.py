"""What may happen: a drawing of a workflow, a flow or a durable function, before it runs.

There is one module for each strand; each of them imports its own strand and no other.
"""
