"""`plait graph`: a picture on stdout, or in a file."""

import pytest


def test_a_workflow_is_drawn_as_mermaid(plait):
    done = plait("graph", "shop:Shop")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith('---\ntitle: "Shop"\n---\nflowchart TD\n')
    assert '|"Part"|' in done.out


def test_or_as_dot_into_a_file(plait, here):
    done = plait("graph", "shop:Shop", "--format", "dot", "-o", "shop.dot")
    assert (done.code, done.out) == (0, "")
    assert (here / "shop.dot").read_text().startswith('digraph "Shop" {\n')


@pytest.mark.parametrize("form", ["svg", "html"])
def test_other_formats_are_refused_for_now(plait, form):
    done = plait("graph", "shop:Shop", "--format", form)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"plait: --format {form} is not there yet: use mermaid or dot\n"


def test_no_target_is_bad_usage(plait):
    done = plait("graph")
    assert done.code == 2
    assert "graph needs FILE... or module:Workflow" in done.err
