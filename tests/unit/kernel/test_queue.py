"""The directory of tickets: locks that live and die, and whatever else somebody puts there."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from cloche.kernel.budget import Budget, Claim
from cloche.kernel.errors import QueueUnavailable
from cloche.kernel.queue import Place, Queue, decode_claim

MIB = 1 << 20
BUDGET = Budget(memory_bytes=100 * MIB, sandboxes=32)
NUMBERS = count()
GOOD: dict[str, Any] = {"job": "j", "step": "s", "project": "/p", "memory_bytes": 5, "pid": 7}


class Hall:
    """A queue, and those who stand in it."""

    def __init__(self, home: Path) -> None:
        self.queue = Queue(home, BUDGET)
        self.places: list[Place] = []

    def place(self, mib: int, job: str = "") -> Place:
        claim = Claim(
            job=job or f"job-{next(NUMBERS)}",
            step="s",
            project="/p\udcff",
            memory_bytes=mib * MIB,
            pid=os.getpid(),
        )
        self.places.append(Place(self.queue, claim))
        return self.places[-1]

    def directory(self) -> Path:
        os.close(self.queue.open())
        (boot,) = self.queue.place.iterdir()
        return boot


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    hall = Hall(tmp_path / "home")
    yield hall
    for place in hall.places:
        place.leave()


def is_admitted(place: Place) -> bool:
    turn = place.ask()
    assert turn is not None
    return turn.admitted


def test_the_second_waits_until_the_first_has_left(hall: Hall) -> None:
    first, second = hall.place(60), hall.place(60)
    assert is_admitted(first)
    assert not is_admitted(second)
    first.leave()
    assert is_admitted(second)


def test_places_are_kept_in_the_order_of_arrival(hall: Hall) -> None:
    holder, large, small = hall.place(60), hall.place(60), hall.place(10)
    assert is_admitted(holder)
    assert not is_admitted(large)
    turn = small.ask()
    assert turn is not None
    assert (turn.admitted, turn.position, turn.reason) == (False, 2, "turn")
    large.leave()
    assert is_admitted(small)


def test_who_looks_sees_what_each_asked_for(hall: Hall) -> None:
    assert is_admitted(hall.place(60))
    assert not is_admitted(hall.place(70))
    seen = [(t.admitted, t.claim.memory_bytes // MIB, t.claim.project) for t in hall.queue.look()]
    assert seen == [(True, 60, "/p\udcff"), (False, 70, "/p\udcff")]


def test_leaving_leaves_nothing(hall: Hall) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    assert is_admitted(hall.place(60))
    hall.place(60).ask()
    for place in hall.places:
        place.leave()
        place.leave()
    assert os.listdir(hall.directory()) == ["door"]
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_ticket_dies_with_its_process(hall: Hall, tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from cloche.kernel.budget import Budget, Claim; from cloche.kernel.queue import Place, Queue\n"
        "queue = Queue(Path(sys.argv[1]), Budget(memory_bytes=100 << 20, sandboxes=32))\n"
        "claim = Claim(job='other', step='s', project='/p', memory_bytes=60 << 20, pid=1)\n"
        "print(Place(queue, claim).ask().admitted, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "home")], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"True\n"
        second = hall.place(60)
        assert not is_admitted(second)
        other.kill()
    assert is_admitted(second)
    assert len(os.listdir(hall.directory())) == 2  # the door and our own


def test_one_that_has_stopped_asking_is_passed_and_comes_back_to_its_place(hall: Hall) -> None:
    holder, stopped, next_one, last = (hall.place(mib) for mib in (60, 80, 40, 60))
    assert is_admitted(holder)
    assert not is_admitted(stopped)
    (waiting,) = hall.directory().glob("waiting-*")
    os.utime(waiting, (0, 0))
    assert is_admitted(next_one)
    assert not is_admitted(stopped)
    turn = last.ask()
    assert turn is not None
    assert turn.position == 2


def test_nobody_waits_at_a_locked_door(hall: Hall) -> None:
    place = hall.place(10)
    with (hall.directory() / "door").open("w") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        assert place.ask() is None
    assert is_admitted(place)


def test_a_door_that_stays_locked_is_an_error_that_names_it(hall: Hall) -> None:
    hall.queue.patience_seconds = 0.0
    place = hall.place(10)
    with (hall.directory() / "door").open("w") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        assert place.ask() is None
        for look in (place.ask, hall.queue.look):
            with pytest.raises(QueueUnavailable, match=r"door.*held its lock"):
                look()


def test_a_directory_that_is_cleared_under_those_who_wait_costs_them_their_place_alone(
    hall: Hall,
) -> None:
    holder, waiting = hall.place(60), hall.place(60)
    assert is_admitted(holder)
    assert not is_admitted(waiting)
    shutil.rmtree(hall.queue.place)
    assert waiting.ask() is None
    assert is_admitted(waiting)
    holder.leave()


JUNK = {
    "garbage": b"\xff\0{{",
    "a number": b"7",
    "too long": b" " * (64 << 10) + json.dumps(GOOD).encode(),
    "deep": b"[" * 60_000,
    "a lack": json.dumps({k: v for k, v in GOOD.items() if k != "pid"}).encode(),
    "less than nothing": json.dumps({**GOOD, "memory_bytes": -5}).encode(),
    "a fraction": json.dumps({**GOOD, "memory_bytes": 1e300}).encode(),
    "a truth": json.dumps({**GOOD, "memory_bytes": True}).encode(),
    "a huge number": b'{"memory_bytes": ' + b"9" * 50_000 + b"}",
    "other texts": json.dumps({**GOOD, "project": ["/p"]}).encode(),
}


@pytest.mark.parametrize("content", JUNK.values(), ids=JUNK)
def test_what_no_kernel_wrote_is_no_ticket_also_when_somebody_holds_it(
    hall: Hall, content: bytes
) -> None:
    assert decode_claim(content) is None
    planted = hall.directory() / f"running-00000001-{'a' * 16}"
    planted.write_bytes(content)
    with planted.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert is_admitted(hall.place(100))
        assert planted.read_bytes() == content


def test_what_is_no_plain_file_is_let_be_and_not_followed(hall: Hall, tmp_path: Path) -> None:
    directory = hall.directory()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    names = [f"{state}-0000000{n}-{'b' * 16}" for n, state in enumerate(("running", "waiting") * 2)]
    (directory / names[0]).symlink_to(victim)
    (directory / names[1]).mkdir()
    os.mkfifo(directory / names[2])
    (directory / "notes.txt").write_text("a user's own")
    assert is_admitted(hall.place(100))
    assert victim.read_text() == "precious"
    assert {path.name for path in directory.iterdir()} >= {*names[:3], "notes.txt"}


def test_a_door_that_is_a_link_is_refused(hall: Hall, tmp_path: Path) -> None:
    (hall.directory() / "door").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(QueueUnavailable):
        hall.place(10).ask()
    assert not (tmp_path / "elsewhere").exists()


def test_a_directory_that_is_a_link_is_refused(hall: Hall, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    hall.queue.place.parent.mkdir()
    hall.queue.place.symlink_to(tmp_path / "theirs")
    with pytest.raises(QueueUnavailable) as refusal:
        hall.place(10).ask()
    assert "XDG_STATE_HOME" in refusal.value.remedy
    assert not list((tmp_path / "theirs").iterdir())


def test_a_directory_of_somebody_else_is_refused(hall: Hall) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs the right to give a directory away (chown)")
    directory = hall.directory()
    os.chown(directory, 65534, 65534)
    with pytest.raises(QueueUnavailable, match="belongs to user 65534"):
        hall.place(10).ask()


def test_a_directory_open_to_others_is_closed(hall: Hall) -> None:
    directory = hall.directory()
    for path in (directory, directory.parent):
        path.chmod(0o777)
    assert is_admitted(hall.place(10))
    assert {oct(path.stat().st_mode & 0o777) for path in (directory, directory.parent)} == {"0o700"}


def test_what_earlier_boots_left_is_removed_unless_it_holds_tickets(hall: Hall) -> None:
    for old in ("old-boot", "another-machine"):
        (hall.queue.place / old).mkdir(parents=True)
        (hall.queue.place / old / "door").touch()
    (hall.queue.place / "another-machine" / f"running-1-{'c' * 16}").touch()
    assert is_admitted(hall.place(10))
    assert {path.name for path in hall.queue.place.iterdir()} >= {"another-machine"}
    assert not (hall.queue.place / "old-boot").exists()


def test_a_number_as_long_as_a_name_can_be_is_followed_by_a_higher_one(hall: Hall) -> None:
    planted = hall.directory() / f"running-{'9' * 60}-{'d' * 16}"
    planted.write_text(json.dumps(GOOD))
    with planted.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert is_admitted(hall.place(60))
        assert not is_admitted(hall.place(60))
