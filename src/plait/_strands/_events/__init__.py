"""The events strand: classes with `@step` methods that take and return typed events.

step        the decorator                 signature  what a step's annotations say
workflow    `Workflow`: steps -> plan     validate   every fault at once, with file and line
context     `Context`                     store      `ctx.store`
run         `Run`, with its context       script     `plait.run`, from plain code
"""
