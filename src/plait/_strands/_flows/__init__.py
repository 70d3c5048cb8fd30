"""Flow files: YAML of REST, process and environment steps, checked, compiled to a plan, and run.

`yaml` and `grammar` read a file, `check` finds every problem of it at once, `compile` makes the plan
that the engine runs, `stepping` is one attempt of a step, `sources` are where steps get their data.
It knows the engine and the kernel, and no other strand. The libraries that it stands on are imported
where they are first needed: PyYAML in `yaml`, Jinja in `sandbox`, jmespath in `selectors`, httpx2 in
`sources`.
"""
