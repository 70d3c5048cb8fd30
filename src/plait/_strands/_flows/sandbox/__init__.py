"""Jinja: all that plait has of it, so that it can be replaced.

A template reads what it is given and nothing else. There is no loader; attributes that begin with `_`,
and methods that change a list or a mapping, are out of reach; what it makes is capped. Nothing of a
template runs when it is compiled: Jinja would compute its constants then, and does not here.

`caps` has the limits, `data` what may come out, `filters` what Jinja's are replaced by, `environment` the
sandbox, `program` a compiled template. Only `templates` imports it, when it meets the first template.
"""
