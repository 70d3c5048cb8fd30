"""Where things stand on paper: sizes, ranks, places and lines, for one drawing.

`layout` makes a request of a drawing and lets a placer, graphlay or Graphviz, answer it (`placers`);
`measure` says how wide a text is, `loops` which arrows lead back.
"""
