"""When the power fails, what was acknowledged is there, and the file is sound.

More of it: python -m tests.faults.power --images 100000 --seed 1
"""

import os
from random import Random

import pytest
import trio

from tests.faults.power import judge
from tests.faults.power.disk import SECTOR, Disk, File, Sync, Told, Write, failures
from tests.faults.power.load import record
from tests.faults.power.recorder import Recorder

#: A day has more of it: PLAIT_IMAGES=100000.
IMAGES = int(os.environ.get("PLAIT_IMAGES", "2000"))


def told(found):
    return "\n".join(map(str, (*found.lost[:5], *found.unsound[:5])))


def test_nothing_that_was_acknowledged_is_lost():
    found = judge.count(IMAGES, seed=1)
    assert not found.lost, told(found)
    assert not found.unsound, told(found)
    assert found.images == IMAGES
    assert found.torn > IMAGES // 3, "most of the time something is on its way to the disk"
    assert found.rows > IMAGES * 10


def test_the_quick_way_to_sync_loses_rows_and_leaves_the_file_sound():
    """`sync="fast"` says so; and if it lost none, these images would show nothing."""
    found = judge.count(100, seed=2, mode="fast")
    assert len(found.lost) > 10
    assert not found.unsound, told(found)


def test_an_answer_before_the_commit_is_seen():
    """A journal that acknowledges what it has written and not committed."""
    found = judge.count(100, seed=3, mode="late")
    assert len(found.lost) > 10
    assert not found.unsound, told(found)


def test_a_file_that_is_never_synced_is_damaged():
    found = judge.count(100, seed=4, mode="off")
    assert len(found.lost) > 10
    assert len(found.unsound) > 10


def test_a_failure_can_be_made_again():
    """What is printed names one image, and that one image is the same."""
    found = judge.count(50, seed=5, mode="fast")
    first = found.lost[0]
    assert str(first).startswith(
        f"python -m tests.faults.power --seed 5 --image {first.image} --mode fast:\n  append "
    )
    again = judge.count(50, seed=5, mode="fast", only=first.image)
    assert [verdict.lost for verdict in again.lost] == [first.lost]


def test_the_same_seed_writes_the_same():
    def shape(work):
        return [
            (type(one), getattr(one, "name", ""), getattr(one, "offset", 0)) for one in work.trace
        ]

    one, other = trio.run(record, 6, "full"), trio.run(record, 6, "full")
    assert shape(one) == shape(other)
    assert one.appends == other.appends
    names = {getattr(happening, "name", "journal.db") for happening in one.trace}
    assert names == {"journal.db", "journal.db-journal", "journal.db-wal"}


# ---------------------------------------------------------------- the disk itself


def drawn(file, count=300):
    return {file.after_a_failure(Random(seed)) for seed in range(count)}


def test_what_is_synced_is_there():
    file = File()
    file.write(0, b"a" * 1000)
    file.write(1000, b"b" * 1000)
    file.sync()
    assert drawn(file) == {b"a" * 1000 + b"b" * 1000}


def test_what_is_not_synced_is_torn_by_sectors_and_in_no_order():
    file = File()
    file.write(0, b"a" * 2 * SECTOR)
    file.sync()
    file.write(0, b"b" * SECTOR)
    file.write(0, b"c" * 2 * SECTOR)
    found = {(image[0:1], image[SECTOR : SECTOR + 1]) for image in drawn(file)}
    assert found == {(x, y) for x in (b"a", b"b", b"c") for y in (b"a", b"c")}
    assert all(len(set(image[:SECTOR])) == 1 for image in drawn(file))


def test_a_part_of_a_sector_leaves_the_rest_of_it():
    file = File()
    file.write(0, b"a" * SECTOR)
    file.sync()
    file.write(100, b"b" * 10)
    assert drawn(file) == {b"a" * SECTOR, b"a" * 100 + b"b" * 10 + b"a" * (SECTOR - 110)}


def test_the_length_is_one_that_it_had():
    file = File()
    file.write(0, b"a" * 600)
    file.sync()
    file.write(600, b"b" * 600)
    file.truncate(100)
    assert {len(image) for image in drawn(file)} == {100, 600, 1200}
    assert {image[1024:] for image in drawn(file)} >= {b"\0" * 176, b"b" * 176}


def test_a_disk_at_several_moments():
    trace = [Write("f", 0, b"a"), Sync("f"), Told(1), Write("f", 0, b"b")]
    found = [
        (disk.told.copy(), {name: bytes(file.safe) for name, file in disk.files.items()})
        for disk in failures(trace, [0, 1, 2, 4])
    ]
    assert found == [(set(), {}), (set(), {"f": b""}), (set(), {"f": b"a"}), ({1}, {"f": b"a"})]
    assert Disk().after_a_failure(Random(0)) == {}


def test_a_recorder_goes_when_it_is_told_to():
    import apsw

    recorder = Recorder([])
    assert recorder.name in apsw.vfs_names()
    recorder.unregister()
    assert recorder.name not in apsw.vfs_names()


@pytest.mark.parametrize("mode", ["full", "fast"])
def test_the_command_says_what_it_found(mode, capsys):
    from tests.faults.power.__main__ import main

    assert main(["--images", "50", "--seed", "2", "--mode", mode]) == (mode == "fast")
    assert capsys.readouterr().out.startswith("50 images, ")
