"""What users call: pictures of plans (`draw`) and of runs (`runs`), as a text or in a file.

`causes` makes a drawing of what led to what in a run, `page` an HTML page of all that is known of it.
"""
