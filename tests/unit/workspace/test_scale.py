"""What a transaction costs, in calls that are counted, and what a hostile or a second one gets."""

import os
import socket
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.workspace.building import RULES, build, build_natively, in_child, seen

from cloche.workspace.effects import Effects
from cloche.workspace.errors import ChangesRefused, TreeTooLarge, WorkspaceBusy
from cloche.workspace.workspace import Workspace

Whoever = Callable[[Callable[[Path], None]], None]


def _counted(project: Path, change: Callable[[Path], None] | None) -> Counter[str]:
    """Give the calls of a transaction that `change` makes in its upper, or of a begin alone."""
    calls: Counter[str] = Counter()
    watching = False

    def heard(event: str, _arguments: object) -> None:
        if watching and (event == "open" or event.startswith("os.")):
            calls[event] += 1

    sys.addaudithook(heard)  # cannot be taken off again: this runs in a child

    effects = Effects(lambda call, _detail: calls.update([call]))
    with closing(Workspace.open(project, project.parent / "state", effects)) as workspace:
        watching = change is None
        transaction = workspace.begin()
        watching = False
        counted = Counter(calls)
        if change is None:
            transaction.rollback()
        else:
            change(transaction.upper)
            calls.clear()
            watching = True
            transaction.commit(RULES)
            watching = False
            counted = Counter(calls)
    # A tick of the clock is waited for with chmod.
    return Counter({call: n for call, n in counted.items() if "chmod" not in call})


def _files(upper: Path, count: int) -> None:
    for number in range(count):
        (upper / f"file{number}").write_text("new")


def _tree(upper: Path, count: int) -> None:
    (upper / "tree").mkdir()
    _files(upper / "tree", count)


def test_a_begin_costs_the_same_whatever_the_project_holds(whoever: Whoever) -> None:
    @whoever
    def _(project: Path) -> None:
        few = in_child(lambda: _counted(project, None))
        for number in range(50):
            (project / str(number)).mkdir()
            for name in range(40):
                (project / str(number) / str(name)).write_text("")
        assert in_child(lambda: _counted(project, None)) == few


def test_a_commit_costs_as_much_as_it_changes(whoever: Whoever) -> None:
    """Each file more costs as much as the one before, in a project of any size."""

    @whoever
    def _(stage: Path) -> None:
        def total(changed: int, beside: int) -> int:
            project = stage / f"{changed}-{beside}/project"
            project.mkdir(parents=True)
            for number in range(beside):
                (project / f"beside{number}").write_text("")
            _files(project, changed)
            return sum(_counted(project, lambda upper: _files(upper, changed)).values())

        def counted(changed: int, beside: int) -> int:
            return in_child(lambda: total(changed, beside))

        ten, twenty, forty = (counted(n, 0) for n in (10, 20, 40))
        assert forty - twenty == 2 * (twenty - ten)
        assert counted(20, 500) == twenty


def test_a_new_tree_is_one_rename(whoever: Whoever) -> None:
    """Whatever is in it, nothing is changed on the disk for each of its entries."""

    @whoever
    def _(stage: Path) -> None:
        def calls(entries: int) -> Counter[str]:
            project = stage / f"{entries}/project"
            project.mkdir(parents=True)
            counts = _counted(project, lambda upper: _tree(upper, entries))
            return Counter({c: n for c, n in counts.items() if c != "open" and "." not in c})

        small, large = (in_child(lambda n=n: calls(n)) for n in (5, 500))
        assert small == large
        assert (
            large["place"] == 1
        )  # two names of ours are exchanged besides: a trial at the begin, the generation


def _deep(upper: Path) -> None:
    at = os.open(upper, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("aaa", dir_fd=at)
        below = os.open("aaa", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)


def _listening(upper: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(upper)
        made.bind("socket")


def _marked(name: str) -> Callable[[Path], None]:
    def change(upper: Path) -> None:
        (upper / "marked").write_text("")
        os.setxattr(upper / "marked", name, b"/etc/passwd")

    return change


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a deep tree": (_deep, "longer than"),
    "a socket": (_listening, "it is a socket"),
    "a redirect": (_marked("user.overlay.redirect"), "unknown overlay mark"),
    "a metacopy": (_marked("user.overlay.metacopy"), "unknown overlay mark"),
    "a whiteout by attribute": (_marked("user.overlay.whiteout"), "unknown overlay mark"),
    "a link out": (lambda upper: (upper / "l").symlink_to("a/../../x"), "climbs after a name"),
    "a name for a terminal": (lambda upper: (upper / "a\x1b[2J").mkdir(), "control characters"),
    "a name read backwards": (lambda upper: (upper / "a\u202egpj.exe").mkdir(), "control"),
    "too many": (lambda upper: _files(upper, 60), "more entries"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_layer_is_refused_whole_and_thrown_away(whoever: Whoever, case: str) -> None:
    change, why = HOSTILE[case]

    @whoever
    def _(project: Path) -> None:
        (project / "file").write_text("1")
        before = seen(project)
        with closing(Workspace.open(project, project.parent / "state")) as workspace:
            transaction = workspace.begin()
            (transaction.upper / "innocent").write_text("1")
            in_child(lambda: change(transaction.upper))
            with pytest.raises((ChangesRefused, TreeTooLarge), match=why):
                transaction.commit(RULES_OF_FIFTY if case == "too many" else RULES)
            assert seen(project) == before
            transaction.rollback()
            state = workspace._places.state_path
        assert [n for n in os.listdir(state) if n != "lock"] == []


RULES_OF_FIFTY = type(RULES)(
    max_bytes=RULES.max_bytes,
    max_file_bytes=RULES.max_file_bytes,
    max_entries=50,
    may_write=RULES.may_write,
    may_delete=RULES.may_delete,
)


@pytest.mark.skipif(os.geteuid() != 0, reason="mknod: making a device takes root")
def test_a_device_is_refused(whoever: Whoever) -> None:
    """Only a layer that was written to from outside could hold one."""

    @whoever
    def _(project: Path) -> None:
        if os.geteuid() != 0:
            return
        with closing(Workspace.open(project, project.parent / "state")) as workspace:
            transaction = workspace.begin()
            (transaction.upper / "d").mkdir()
            os.mknod(transaction.upper / "d/null", 0o020666, os.makedev(1, 3))
            with pytest.raises(ChangesRefused, match="a character device"):
                transaction.commit(RULES)


def test_transactions_of_many_processes_come_one_after_another(whoever: Whoever) -> None:
    """Each adds one to what it finds; none is lost, and who has to wait is told so."""

    def add(project: Path, times: int) -> None:
        while times:
            with closing(Workspace.open(project, project.parent / "state")) as workspace:
                try:
                    transaction = workspace.begin()
                except WorkspaceBusy:
                    continue
                found = int((project / "count").read_text())
                build(transaction, ("write", "count", str(found + 1).encode()))
                transaction.commit(RULES)
                times -= 1

    @whoever
    def _(project: Path) -> None:
        build_natively(project, ("write", "count", b"0"))
        children = []
        for _ in range(4):
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    add(project, 5)
                    status = 0
                finally:
                    os._exit(status)
            children.append(pid)
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
        assert (project / "count").read_text() == "20"
