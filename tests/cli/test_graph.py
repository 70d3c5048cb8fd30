"""`plait graph`: a picture on stdout, or in a file."""

import sys

import pytest


def test_a_workflow_is_drawn_as_mermaid(plait):
    done = plait("graph", "shop:Shop")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith('---\ntitle: "Shop"\n---\nflowchart TD\n')
    assert '|"list[Part]"|' in done.out


def test_or_as_dot_into_a_file(plait, here):
    done = plait("graph", "shop:Shop", "--format", "dot", "-o", "shop.dot")
    assert (done.code, done.out) == (0, "")
    assert (here / "shop.dot").read_text().startswith('digraph "Shop" {\n')


def test_or_as_a_page_that_opens_offline(plait, here):
    done = plait("graph", "shop:Shop", "--format", "html", "-o", "shop.html")
    assert (done.code, done.out, done.err) == (0, "", "")
    found = (here / "shop.html").read_text(encoding="utf-8")
    assert found.startswith("<!DOCTYPE html>")
    assert "default-src 'none'" in found


def test_or_as_svg(plait):
    done = plait("graph", "shop:Shop", "--format", "svg")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert done.out.count('class="node step"') == 3


def test_or_as_text(plait, here):
    (here / "two.yaml").write_text(
        "flow:\n- {name: a, source: env}\n- {name: b, source: env, depends_on: [a]}\n"
    )
    done = plait("graph", "two.yaml", "--format", "text")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "two.yaml, 2 waves, 4 workers\n\nwave 1\n  a  env\n      → b\n\nwave 2\n  b  env\n"
    )


def test_durable_functions_are_drawn_too(plait, here):
    (here / "paid.py").write_text(
        "from plait.durable import App, Context, TriggerEvent\n"
        "app = App('till')\n"
        "@app.create_function(fn_id='pay', trigger=TriggerEvent('order/paid'))\n"
        "async def pay(ctx: Context) -> None: ...\n"
    )
    for name in ("paid:app", "paid:pay"):
        done = plait("graph", name, "--format", "text")
        assert (done.code, done.err) == (0, "")
        assert "  (order/paid)\n      → pay\n" in done.out


@pytest.mark.parametrize(
    ("target", "kind"), [("shop:number", "of 'int'"), ("shop:Order", "class 'Order'")]
)
def test_what_is_no_picture_is_bad_usage(plait, target, kind):
    done = plait("graph", target)
    assert (done.code, done.out) == (2, "")
    text = f"plait: {target} cannot be drawn: it is {kind}, and no workflow, flow or app\n"
    assert done.err == text


def test_without_what_places_boxes_it_says_what_to_install(plait, monkeypatch):
    monkeypatch.setitem(sys.modules, "graphlay", None)
    monkeypatch.setenv("PATH", "")
    done = plait("graph", "shop:Shop", "--format", "svg")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "plait: SVG pictures need graphlay. Type: pip install 'plait[viz]'. "
        "The formats mermaid, dot and text need nothing\n"
    )


def test_what_graphviz_does_instead_is_told(plait, here, monkeypatch):
    program = here / "dot"
    program.write_text("#!/bin/sh\n/bin/cat > /dev/null\necho no >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setitem(sys.modules, "graphlay", None)
    monkeypatch.setenv("PATH", str(here))
    done = plait("graph", "shop:Shop", "--format", "svg")
    assert (done.code, done.out) == (2, "")
    assert done.err == "plait: Graphviz's dot could not place the picture: no\n"


def test_no_target_is_bad_usage(plait):
    done = plait("graph")
    assert done.code == 2
    assert "graph needs FILE... or module:Workflow" in done.err
