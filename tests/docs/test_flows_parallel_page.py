"""The three flows of the page on parallel steps do what the page says, as the server sees it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.consoles import FILE
from tests.origin import Origin

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/howto/flows-parallel.md").read_text(encoding="utf-8")
USERS = [{"id": 1, "name": "Ann"}, {"id": 2, "name": "Bob"}]
PRODUCTS = [{"sku": "p1"}]


@pytest.fixture
def origin():
    with Origin(delay=0.5) as origin:  # long enough for all that are under way at once
        yield origin


@pytest.fixture
def run(tmp_path, origin):
    """Write the files of the page, and run one of them; its results as JSON."""
    files = {match["name"]: match["text"] for match in FILE.finditer(PAGE)}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    shims = tmp_path / "bin"
    shims.mkdir()
    (shims / "python").symlink_to(sys.executable)

    def run(name, *options):
        done = subprocess.run(
            [sys.executable, "-m", "plait", "run", name, "-j", *options],
            capture_output=True,
            check=False,
            cwd=tmp_path,
            encoding="utf-8",
            env={
                "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": os.pathsep.join(sys.path),
                "PLAIT_ORIGIN": origin.url,
            },
        )
        assert done.returncode == 0, done.stderr
        assert "warning" not in done.stderr
        return json.loads(done.stdout)

    return run


def test_the_page_has_the_flows():
    assert re.findall(r"<!-- file: (\S+) -->\n```yaml", PAGE)[:3] == [
        "automatic.yaml",
        "mixed.yaml",
        "explicit.yaml",
    ]


@pytest.mark.parametrize(("options", "peak"), [((), 3), (("--max-workers", "2"), 2)])
def test_automatic(run, origin, options, peak):
    results = run("automatic.yaml", *options)
    assert list(results) == ["fetch_users", "fetch_products", "fetch_orders"]
    assert results == {
        "fetch_users": {"users": USERS},
        "fetch_products": {"products": PRODUCTS},
        "fetch_orders": {"orders": [{"oid": 9}]},
    }
    assert len(origin.requests) == 3
    assert origin.peak == peak


def test_mixed(run, origin):
    assert run("mixed.yaml") == {
        "authenticate": {"token": "tok-123"},
        "fetch_users": {"users": USERS},
        "fetch_products": {"products": PRODUCTS},
        "combine_data": {"combined": {"merged": True}},
    }
    first, *others = origin.requests
    assert first.route == "/auth"
    assert {request.route for request in others} == {"/users", "/products"}
    assert all(first.ended <= request.started for request in others)
    assert all(request.headers["Authorization"] == "Bearer tok-123" for request in others)
    assert origin.peak == 2


def test_explicit(run, origin):
    assert run("explicit.yaml") == {
        "create_database": {"db_id": "db7"},
        "create_schema": {"schema_id": {"schema": "s1", "path": "/databases/db7/schema"}},
    }
    assert [(request.method, request.route) for request in origin.requests] == [
        ("POST", "/databases"),
        ("POST", "/databases/db7/schema"),
    ]
