"""Where steps get their data: HTTP, child processes, the environment, and plugins.

`catalog` knows every provider by name, `options` what a provider's mappings may say, `pool` opens
each source once. `rest` (with its `transport`), `process` and `env` are built in; `plugins` finds the
others by entry points.
"""
