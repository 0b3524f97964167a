"""A project with every kind of thing, and a change of every kind: add yours as a Scenario."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LONG = "n" * 255
BYTES = os.fsdecode(b"caf\xe9")  # not UTF-8
GONE_BYTES = os.fsdecode(b"gone\xff")
HOLE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """How a project is made, and what a program in the overlay makes of it."""

    name: str
    make: Callable[[Path], None]
    change: Callable[[Path], None]


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def _make(project: Path) -> None:
    _make_plain(project)
    for number, name in enumerate((LONG, BYTES, GONE_BYTES, ".wh.x", "a,b:c\\d", "-rf", "kept\n")):
        _write(project / "names" / name, f"{number}")
    for old in ("linkdir", "linkfile", "link"):
        (project / old).symlink_to("src/a.ts")
    (project / "gone-link").symlink_to("nowhere")
    _write(project / "h1", "h")
    _write(project / "h3", "h")
    for first, second in (("h1", "h2"), ("h3", "h4")):
        os.link(project / first, project / second)
    with (project / "sparse").open("wb") as file:
        file.seek(HOLE)
        file.write(b"end")
    for name in ("kept", "changed"):
        _write(project / "marked" / name, name)
        os.setxattr(project / "marked" / name, "user.note", b"old")
    _write(project / "secret", "s", 0o000)
    for name, mode in (("locked", 0o555), ("locked-gone", 0o555), ("locked-new", 0o555)):
        _write(project / name / "f", name)
        (project / name).chmod(mode)
    _write(project / "closed" / "f", "closed")
    (project / "closed").chmod(0o000)
    _age(project)


def _make_plain(project: Path) -> None:
    names = ("package.json", "src/a.ts", "src/deep/x/b.ts", "src/deep/kept", "gone", "todir")
    more = (
        "filelink",
        "dist/old",
        "dist/old2",
        "gone-dir/x",
        "tofile/x",
        "dirlink/x",
        "old-name/x",
    )
    for name in (*names, *more, "meta/x", "timed/x", "modules/m1/i.js", "modules/m2/i.js"):
        _write(project / name, name)
    _write(project / "run.sh", "#!", 0o755)


def _age(project: Path) -> None:
    # Each time of its own, all long ago: one that is lost shows.
    from tests.crash.proof.overlay import enter_namespace, in_child  # noqa: PLC0415

    def run() -> None:
        if os.geteuid():
            enter_namespace()
        moment = 5 * 10**17
        for directory, names, files in os.walk(project, topdown=False):
            for name in sorted(names + files):
                moment += 1_000_000_007
                path = os.path.join(directory, name)
                os.utime(path, ns=(moment, moment), follow_symlinks=False)
        os.utime(project, ns=(moment, moment))

    in_child(run)


def _change(view: Path) -> None:
    (view / "src/a.ts").write_text("changed")
    with (view / "src/deep/x/b.ts").open("a") as file:
        file.write("more")
    _write(view / "src/new.ts", "new")
    _write(view / "src/deep/y/z/new", "deep")
    (view / "gone").unlink()
    for name in ("gone-dir", "modules", "dist", "tofile", "dirlink", "locked-gone", "locked-new"):
        shutil.rmtree(view / name)
    _write(view / "modules/m3/sub/i.js", "3")
    os.link(view / "modules/m3/sub/i.js", view / "modules/m3/hard.js")
    (view / "modules/link").symlink_to("m3")
    _write(view / "dist/bundle.js", "new" * 5000)
    _write(view / "tofile", "a file now")
    (view / "dirlink").symlink_to("src")
    (view / "todir").unlink()
    _write(view / "todir/a/b", "b")
    (view / "filelink").unlink()
    (view / "filelink").symlink_to("src/a.ts")
    for name in ("linkdir", "linkfile", "link", "gone-link"):
        (view / name).unlink()
    _write(view / "linkdir/x", "x")
    _write(view / "linkfile", "x")
    (view / "link").symlink_to("src/new.ts")
    shutil.move(shutil.copytree(view / "old-name", view / "half-name"), view / "new-name")
    shutil.rmtree(view / "old-name")
    (view / "empty").mkdir()
    (view / "meta").chmod(0o700)
    os.utime(view / "timed", ns=(7 * 10**17, 7 * 10**17 + 7))
    (view / "run.sh").chmod(0o700)
    _change_kinds(view)


def _change_kinds(view: Path) -> None:
    for name in (LONG, BYTES, ".wh.x", "a,b:c\\d", "-rf"):
        with (view / "names" / name).open("a") as file:
            file.write("changed")
    (view / "names" / GONE_BYTES).unlink()
    _write(view / "names" / ("m" * 255), "long")
    _write(view / "names" / "n,e:w\\" / ".wh.new", "strange")
    with (view / "h1").open("a") as file:
        file.write("written")
    _write(view / "new-sparse", "")
    os.truncate(view / "new-sparse", HOLE)
    with (view / "new-sparse").open("r+b") as file:
        file.seek(HOLE)
        file.write(b"end")
    os.setxattr(view / "marked/changed", "user.note", b"new")
    _write(view / "marked/new", "new")
    os.setxattr(view / "marked/new", "user.other", b"\0\xff")
    with (view / "secret").open("a") as file:
        file.write("told")
    # "closed" stays: a commit by an ordinary user cannot look into it, and is refused with nothing changed.
    for name, mode in (("locked", 0o555), ("locked-new", 0o555)):
        (view / name).mkdir(exist_ok=True)
        (view / name).chmod(0o755)
        _write(view / name / "g", "added")
        (view / name).chmod(mode)
    _write(view / "new-closed/sub/x", "x")
    (view / "new-closed/sub").chmod(0o000)


def _make_small(project: Path) -> None:
    _make_plain(project)
    _age(project)


def _change_small(view: Path) -> None:
    (view / "src/a.ts").write_text("changed")
    (view / "gone").unlink()
    shutil.rmtree(view / "dist")
    _write(view / "dist/bundle.js", "new" * 5000)
    _write(view / "made/b", "b")


EVERYTHING = Scenario(name="everything", make=_make, change=_change)
SMALL = Scenario(name="small", make=_make_small, change=_change_small)
