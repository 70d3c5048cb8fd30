"""The audit, on trees whose answers are known."""

import io
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

AUDIT = Path(__file__).parents[2] / "examples" / "audit.py"
BACKENDS = ["trio", "asyncio"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def audit(load, capsys):
    """Run the command; its exit code, and what it wrote."""
    module = load("audit")

    def audit(*arguments):
        code = module.main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return audit


@pytest.fixture
def tree(tmp_path):
    """Write files, by their names."""

    def tree(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(text, bytes):
                path.write_bytes(text)
            else:
                path.write_text(textwrap.dedent(text))
        return tmp_path

    return tree


SHARED = """\
    def shared(values):
        total = 0
        for value in values:
            if value:
                total += value
            else:
                total -= 1
        return total
"""
KNOWN = {
    "b.py": f"import os, sys.path\nfrom os.path import join\nfrom . import c\n\n\nclass B:\n{SHARED}",
    "a.py": textwrap.dedent(SHARED) + "\n\nimport os  # TODO: sort imports\n",
    "deep/c.py": """\
        async def f():
            try:
                async def g(): pass
            except (KeyError, Exception):
                return 1
            try:
                pass
            except ValueError:
                pass
            except:
                raise

        # XXX
        """,
    "deep/no_python.txt": "# TODO",
    ".hidden/h.py": "",
    "venv/pyvenv.cfg": "",
    "venv/v.py": "",
    "deep/site-packages/s.py": "",
}
REPORT = """\
{root}: 3 files, 38 lines, 4 functions, 1 class

Longest functions
     11 lines  deep/c.py:1  f
      8 lines  a.py:1  shared
      8 lines  b.py:7  B.shared
      1 lines  deep/c.py:3  f.g

Functions written more than once: 1
      8 lines  a.py:1  shared
      8 lines  b.py:7  B.shared

Imported by most files
    os 2, sys 1

Broad excepts that raise nothing: 1
      1 times  deep/c.py

Marks: 1 TODO, 1 XXX
    a.py:11  TODO sort imports
    deep/c.py:13  XXX

Files that cannot be examined: 0

When which step ran
"""


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("workers", [1, 2, 50])
def test_known_answers(audit, tree, backend, workers):
    root = tree(KNOWN)
    code, out, err = audit(root, "--backend", backend, "--workers", workers)
    assert code == 0
    report, title, time_line = out.partition("When which step ran\n")
    assert report + title == REPORT.format(root=root)
    rows = [line.rpartition("|") for line in time_line.splitlines()[1:]]
    assert sum(int(events) for _, _, events in rows) == 1 + 1 + 3 + 3
    names = [row.split()[0] for row, _, _ in rows]
    assert list(dict.fromkeys(names)) == ["find", "fan_out", "examine", "combine"]
    assert 1 <= names.count("examine") <= min(workers, 3)
    assert err.splitlines()[-1] == "examined 3 of 3 files"


@pytest.mark.parametrize("backend", BACKENDS)
def test_broken_files(audit, tree, backend):
    files = {
        "fine.py": "x = 1\n",
        "half.py": "def f(:\n",
        "null.py": b"x = '\0'\n",
        "latin.py": b"# -*- coding: nonsense -*-\n",
        "bytes.py": b"x = '\xff'\n",
        "nested.py": "(" * 500 + ")" * 500,
        "folder.py/inner.py": "",
    }
    root = tree(files)
    (root / "dangling.py").symlink_to(root / "nowhere")
    code, out, _ = audit(root, "--backend", backend)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith(f"{root}: 8 files, 1 line, ")
    head = lines.index("Files that cannot be examined: 6")
    faults = {line.split()[0]: line for line in lines[head + 1 : head + 7]}
    assert [*faults] == ["bytes.py", "dangling.py", "half.py", "latin.py", "nested.py", "null.py"]
    assert "No such file" in faults["dangling.py"]
    assert "line 1: " in faults["half.py"]
    assert "nonsense" in faults["latin.py"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders here")
def test_a_pipe_is_not_waited_for(audit, tree):
    root = tree({"fine.py": ""})
    os.mkfifo(root / "pipe.py")
    code, out, _ = audit(root)
    assert code == 0
    assert "pipe.py  a pipe, which would be waited for" in out


def test_names_that_are_not_text(audit, tree):
    root = tree({"fine.py": ""})
    try:
        Path(os.fsdecode(os.fsencode(root) + b"/\xff.py")).write_text("(")
    except OSError:
        pytest.skip("this file system has none")
    code, out, _ = audit(root)
    assert code == 0
    assert r"\udcff.py  line 1: " in out


def test_lines_are_counted_as_python_counts_them(audit, tree):
    code, out, _ = audit(tree({"a.py": b"x = 1\r\n\x0c\ny = '\xe2\x80\xa8'\r# TODO: last\n"}))
    assert code == 0
    assert ": 1 file, 4 lines, 0 functions, 0 classes\n" in out
    assert "a.py:4  TODO last" in out


def test_files_without_functions(audit, tree):
    code, out, _ = audit(tree({"empty.py": ""}))
    assert code == 0
    assert ": 1 file, 0 lines, 0 functions, 0 classes\n" in out
    assert "Imported by most files\n    nothing\n" in out
    assert "Marks: 0\n" in out


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_to_audit(audit, tree, backend):
    root = tree({"deep/text.txt": ""})
    assert audit(root, "--backend", backend) == (2, "", f"audit: no Python files in {root}\n")


@pytest.mark.parametrize("backend", BACKENDS)
def test_timeout(audit, tree, backend):
    code, out, err = audit(tree({"a.py": ""}), "--backend", backend, "--timeout", 1e-9)
    assert (code, out, err.splitlines()[-1]) == (124, "", "audit: not done after 1e-09 seconds")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["/no/such/folder"], "there is no /no/such/folder"),
        ([AUDIT], f"{AUDIT} is not a folder"),
        (["--workers", "0"], "--workers: must be a whole number greater than 0, not '0'"),
        (["--workers", "1.5"], "--workers: must be a whole number greater than 0, not '1.5'"),
        (["--timeout", "-1"], "--timeout: must be a number greater than 0, not '-1'"),
        (["--timeout", "nan"], "--timeout: must be a number greater than 0, not 'nan'"),
        (["--backend", "curio"], "--backend: invalid choice: 'curio'"),
        (["one", "two"], "unrecognized arguments: two"),
    ],
)
def test_bad_arguments(load, capsys, arguments, text):
    with pytest.raises(SystemExit) as caught:
        load("audit").main([str(argument) for argument in arguments])
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert text in err


def test_help(load, capsys):
    with pytest.raises(SystemExit) as caught:
        load("audit").main(["--help"])
    assert caught.value.code == 0
    assert "--workers N" in capsys.readouterr().out


def test_the_library_by_default(load):
    start = load("audit").read_arguments([]).start
    assert start.root.is_dir()
    assert start.at_most == 400


def test_the_nearest_files_come_first(load, tree):
    module = load("audit")
    root = tree({"a/z/1.py": "", "b.py": "", "a/y.py": "", "tests/t.py": ""})
    start = module.AuditTree(root=root, at_most=2, without=frozenset({"tests"}))
    found = module.Audit().find(start)
    assert found.paths == (root / "b.py", root / "a" / "y.py")


def test_on_a_terminal_one_line_is_rewritten(audit, tree, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "30")
    code, _, _ = audit(tree({"a.py": "", "a_very_long_name_of_a_file.py": ""}))
    assert code == 0
    written = terminal.getvalue()
    assert "\n" not in written
    _, *lines, cleared, end = written.split("\r")
    assert {len(line) for line in lines} == {29}
    assert {line[:21] for line in lines} == {"examined 1 of 2 files", "examined 2 of 2 files"}
    assert (cleared.strip(), end) == ("", "")


@pytest.mark.parametrize(("encoding", "shades"), [("utf-8", " ░▒▓█"), ("ascii", " .:+#")])
def test_a_time_line_that_the_terminal_can_show(load, encoding, shades):
    module = load("audit")
    out = io.TextIOWrapper(io.BytesIO(), encoding)
    assert module.shades_for(out) == shades


def test_the_time_line_shows_how_long_each_worker_was_busy(load):
    module = load("audit")
    time_line = module.TimeLine()
    time_line.bars = [
        module.Bar("one", 0, 100.0, 102.0),
        module.Bar("two", 1, 104.5, 105.0),
        module.Bar("two", 0, 105.0, 110.0),
        module.Bar("one", 0, 105.5, 105.5),
    ]
    assert [*time_line.draw(" .:+#", 10)] == [
        "step, worker  0 s  10.00 s  events",
        "one 0         |##        |      2",
        "two 0         |     #####|      1",
        "two 1         |    :     |      1",
    ]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
@pytest.mark.parametrize("backend", BACKENDS)
def test_ctrl_c(tree, backend):
    # The second file done of ten is the first line of progress. The others take much longer.
    files = {f"{n}.py": "x = 1\n" * (1 if n < 2 else 40_000) for n in range(10)}
    command = [sys.executable, AUDIT, tree(files), "--workers", "1", "--backend", backend]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr.readline() == "examined 2 of 10 files\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "audit: interrupted"
    assert "Traceback" not in err
