"""`.ci/system`: what tests want of the machine, by an apt-get that is none."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "system"
TOOLS = ["cat", "cut", "date", "find", "grep", "head", "rm", "sh", "tail", "timeout"]

#: Puts what it installs where the script looks for it, and writes down what it was told.
APT = """
for word in "$@"; do package=$word; done
echo "$*" >> "$PLACE/asked"
case "$*" in
    *--download-only*) ;;
    *update*) ;;
    *chromium*) touch_it "$PLACE/bin/chromium" ;;
    *graphviz*) touch_it "$PLACE/bin/dot" ;;
    *fonts*) touch_it "$PLACE/fonts/DejaVuSans.ttf" ;;
esac
"""
NO_NETWORK = """
echo "$*" >> "$PLACE/asked"
case "$*" in
    *update*) echo "W: Failed to fetch the lists: no network"; exit 0 ;;
    *) echo "E: Unable to locate package" >&2; exit 100 ;;
esac
"""
NO_BROWSER = APT.replace(
    "*--download-only*)",
    '*chromium*) echo "E: no such package: chromium" >&2; exit 100 ;;\n    *--download-only*)',
)
HANGS = """
echo "$*" >> "$PLACE/asked"
while :; do :; done
"""


class Machine:
    def __init__(self, place):
        self.place = place
        self.stamp = place / "stamp"
        (place / "bin").mkdir()
        (place / "fonts").mkdir()
        for tool in TOOLS:
            (place / "bin" / tool).symlink_to(shutil.which(tool))
        self.program("touch_it", 'echo > "$1"; /bin/chmod +x "$1"')
        self.program("id", "echo 0")

    def program(self, name, text):
        path = self.place / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)

    def run(self):
        """What it says, each time with exit code 0."""
        done = subprocess.run(
            ["sh", SCRIPT, self.stamp],
            env={
                "PATH": str(self.place / "bin"),
                "PLACE": str(self.place),
                "FONTS": str(self.place / "fonts"),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert (done.returncode, done.stdout) == (0, "")
        return done.stderr.splitlines()

    @property
    def asked(self):
        path = self.place / "asked"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_it_installs_what_is_missing_and_asks_nobody_the_second_time(machine):
    machine.program("apt-get", APT)
    assert machine.run() == ["system: installing chromium graphviz fonts-dejavu-core"]
    assert (len(machine.asked), "chromium" in machine.asked[2]) == (7, True)
    assert machine.run() == []
    assert len(machine.asked) == 7


def test_without_a_network_it_says_so_in_one_line_and_does_not_try_again_at_once(machine):
    machine.program("apt-get", NO_NETWORK)
    first, second = machine.run()
    assert first == "system: installing chromium graphviz fonts-dejavu-core"
    assert second == (
        "system: without chromium graphviz fonts-dejavu-core (Failed to fetch the lists: no network): "
        "tests that need them are skipped"
    )
    asked = len(machine.asked)
    (again,) = machine.run()
    assert "no network; tried less than an hour ago" in again
    assert len(machine.asked) == asked
    os.utime(machine.stamp, (0, 0))
    assert len(machine.run()) == 2
    assert len(machine.asked) > asked


def test_one_package_that_is_not_there_is_no_reason_to_do_without_the_others(machine):
    machine.program("apt-get", NO_BROWSER)
    assert machine.run()[1:] == [
        "system: without chromium (no such package: chromium): tests that need them are skipped"
    ]


def test_who_is_not_root_is_told_what_to_type(machine):
    machine.program("apt-get", APT)
    machine.program("id", "echo 1000")
    (line,) = machine.run()
    assert "only root may type: apt-get install chromium graphviz fonts-dejavu-core" in line
    assert machine.asked == []


def test_a_machine_without_apt_is_told_so(machine):
    (line,) = machine.run()
    assert "there is no apt-get" in line


def test_an_apt_that_hangs_is_ended(machine):
    machine.program("apt-get", HANGS)
    # Time goes fast here: two looks at the clock, and the first limit is over.
    machine.program("real_date", f'exec {shutil.which("date")} "$@"')
    (machine.place / "bin" / "date").unlink()
    machine.program(
        "date",
        'echo x >> "$PLACE/looks"; looks=$(grep -c x "$PLACE/looks")\n'
        "echo $((1000000 + (looks > 1 ? 239 : 0) + (looks > 2 ? 200 : 0)))",
    )
    assert "(it took too long)" in machine.run()[-1]
    assert len(machine.asked) == 1
