"""Whatever a program does to its copy, the upper layer then shows it, and the lower one is as it was."""

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from cloche.workspace.merged import MergedTree
from cloche.workspace.replica import Replica

NAMES = st.sampled_from(["a", "b", "c", "d"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TEXTS = st.sampled_from(["", "x", "y", "longer text"])
Deed = Callable[[Path], None]


def _write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def _remove(root: Path, path: str) -> None:
    place = root / path
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink()


def _move(root: Path, path: str, to: str) -> None:
    (root / to).parent.mkdir(parents=True, exist_ok=True)
    (root / path).rename(root / to)


DEEDS = st.lists(
    st.one_of(
        st.builds(lambda p, t: lambda root: _write(root, p, t), PATHS, TEXTS),
        st.builds(lambda p: lambda root: (root / p).mkdir(parents=True), PATHS),
        st.builds(lambda p: lambda root: _remove(root, p), PATHS),
        st.builds(lambda p, q: lambda root: _move(root, p, q), PATHS, PATHS),
        st.builds(lambda p, t: lambda root: (root / p).symlink_to(t), PATHS, TEXTS),
        st.builds(lambda p, q: lambda root: os.link(root / p, root / q), PATHS, PATHS),
        st.builds(
            lambda p, m: lambda root: (root / p).chmod(m),
            PATHS,
            st.sampled_from([0o755, 0o555, 0o700]),
        ),
    ),
    max_size=12,
)


def _do(deeds: list[Deed], root: Path) -> None:
    for deed in deeds:
        with contextlib.suppress(OSError, shutil.Error):
            deed(root)


def _seen(root: Path) -> dict[str, tuple[str, int, str]]:
    found = {}
    for place in sorted(root.rglob("*")):
        status = place.lstat()
        kind = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}
        text = (
            os.readlink(place)
            if place.is_symlink()
            else ""
            if place.is_dir()
            else place.read_text()
        )
        mode = 0 if place.is_symlink() else stat.S_IMODE(status.st_mode)
        found[str(place.relative_to(root))] = (kind[stat.S_IFMT(status.st_mode)], mode, text)
    return found


def _merged(*layers: Path) -> dict[str, tuple[str, int, str]]:
    opened = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in layers]
    try:
        tree = MergedTree(*opened)
        found = {}
        for entry in tree.walk("", limit=10_000, exclude=()):
            content = tree.read(entry.path, limit=1000) if entry.kind == "file" else b""
            mode = 0 if entry.kind == "link" else entry.mode
            found[str(entry.path)] = (entry.kind, mode, entry.target or (content or b"").decode())
        return found
    finally:
        for descriptor in opened:
            os.close(descriptor)


@settings(max_examples=120, deadline=None)
@given(DEEDS, st.lists(DEEDS, min_size=1, max_size=3))
def test_the_layers_show_what_the_copy_held(before: list[Deed], rounds: list[list[Deed]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        stage = Path(name)
        lower, upper = stage / "lower", stage / "upper"
        lower.mkdir()
        upper.mkdir()
        _do(before, lower)
        untouched = _seen(lower)
        for number, deeds in enumerate(rounds):
            home = stage / f"home-{number}"
            home.mkdir()
            replica = Replica(upper=upper, lowers=(lower,), home=home)
            replica.make()
            assert _seen(replica.place) == _merged(upper, lower)
            _do(deeds, replica.place)
            wanted = _seen(replica.place)
            replica.fold()
            assert _merged(upper, lower) == wanted
        assert _seen(lower) == untouched


@settings(max_examples=120, deadline=None)
@given(DEEDS, st.lists(DEEDS, min_size=2, max_size=4))
def test_each_copy_may_get_a_layer_of_its_own(before: list[Deed], rounds: list[list[Deed]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        stage = Path(name)
        layers = (stage / "lower",)
        layers[0].mkdir()
        _do(before, layers[0])
        for number, deeds in enumerate(rounds):
            upper, home = stage / f"upper-{number}", stage / f"home-{number}"
            upper.mkdir()
            home.mkdir()
            below = [_merged(*layers[rank:]) for rank in range(len(layers))]
            replica = Replica(upper=upper, lowers=layers, home=home)
            replica.make()
            assert _seen(replica.place) == below[0]
            _do(deeds, replica.place)
            wanted = _seen(replica.place)
            replica.fold()
            assert _merged(upper, *layers) == wanted
            assert [_merged(*layers[rank:]) for rank in range(len(layers))] == below
            layers = (upper, *layers)


def test_what_is_hidden_is_neither_shown_nor_taken(tmp_path: Path) -> None:
    for name in ("lower/keys", "upper", "home"):
        (tmp_path / name).mkdir(parents=True)
    lower = tmp_path / "lower"
    (lower / ".env").write_text("TOKEN=1\n")
    (lower / "keys/one").write_text("secret\n")
    replica = Replica(
        upper=tmp_path / "upper", lowers=(lower,), home=tmp_path / "home", hidden=(".env", "keys")
    )
    replica.make()
    assert (replica.place / ".env").stat().st_size == 0
    assert not stat.S_IMODE((replica.place / ".env").stat().st_mode)
    (replica.place / ".env").unlink()
    (replica.place / ".env").write_text("TOKEN=mine\n")
    (replica.place / "keys").chmod(0o700)
    assert not list((replica.place / "keys").iterdir())
    (replica.place / "keys/two").write_text("planted\n")
    replica.fold()
    assert not list((tmp_path / "upper").iterdir())


def test_holes_stay_holes(tmp_path: Path) -> None:
    for name in ("lower", "upper", "home"):
        (tmp_path / name).mkdir()
    with open(tmp_path / "lower/sparse", "wb") as file:
        file.write(b"first")
        file.seek(1 << 40)
        file.write(b"last")
    replica = Replica(
        upper=tmp_path / "upper", lowers=(tmp_path / "lower",), home=tmp_path / "home"
    )
    replica.make()
    with open(replica.place / "sparse", "rb") as file:
        assert file.read(5) == b"first"
        file.seek(1 << 40)
        assert file.read() == b"last"
    assert (replica.place / "sparse").stat().st_blocks * 512 < 1 << 20
    replica.fold()
    assert not list((tmp_path / "upper").iterdir())
