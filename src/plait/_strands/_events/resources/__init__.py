"""Resources: what steps are lent beside their events, made when first asked for, closed in time.

    workflow    WorkflowScope   values alone: nothing here is ever closed
    └── run     RunScope        a nursery; a task of its own keeps each context manager open
        └── step    StepScope   one attempt; its context managers lie around the body

    marker      what a user writes     factory, recipe    what is known before anything is made
    config      parts of JSON files    step_scope         which instance is given, and its making
    workflow_scope, run_scope, blocks  where it is kept, and how it is closed
    manager     `ResourceManager`      check              what is wrong, before a run

It is a part of the events strand; nothing here knows steps, and only they are lent anything.
"""
