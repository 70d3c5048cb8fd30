"""Any drawing, for property tests."""

from hypothesis import strategies as st

from plait._viz.drawing import Arrow, Drawing, Node

#: Names that would be something else if they were taken for markup, and any others.
ODD = [
    'a"b',
    "<script>alert(1)</script>",
    "]]>",
    "&amp;",
    "a\\",
    "-->",
    "x\ny",
    "\x1b[2J",
    "漢字",
    "'`",
]
TEXTS = st.one_of(st.sampled_from(ODD), st.text(max_size=30))
SHAPES = ["step", "start", "stop", "outside", "resource", "workflow", "event", "time", "function"]


@st.composite
def drawings(draw, most=14):
    """A graph with loops, several arrows between two nodes, arrows to oneself, and odd names."""
    names = draw(st.lists(TEXTS, unique=True, max_size=most))
    nodes = tuple(
        Node(
            name,
            draw(TEXTS),
            draw(st.sampled_from(SHAPES)),
            tuple(draw(st.lists(TEXTS, max_size=3))),
        )
        for name in names
    )
    arrows = ()
    if names:
        ends = st.sampled_from(names)
        one = st.builds(Arrow, ends, ends, st.one_of(st.just(""), TEXTS), st.booleans())
        arrows = tuple(draw(st.lists(one, unique=True, max_size=2 * most)))
    return Drawing(draw(TEXTS), nodes, arrows)
