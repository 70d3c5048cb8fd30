"""The durable strand: functions whose steps survive a crash.

What a user writes is read and described here, and hosted on a journal; the engine runs the bodies. No
other strand is known.

    declared: event triggers cron options checks function setup handlers source returned middleware
    in a body: context step group sync entrance attempt arguments branches signatures chance start
    recorded: values failures recorded arrivals book history inspect listing
    an app: app roster compile session admission streams worker ticks waits past terms working
    a run: host running parts children carrying_out again ends telling
"""
