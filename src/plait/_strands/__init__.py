"""The strands: what users write. Each compiles it to a `Plan` and runs it on the engine.

They are independent of one another; what two of them share lies below, in the engine and `_event`.
"""
