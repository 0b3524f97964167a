"""No name that git on another system would take for `.git` comes in: git itself is the oracle."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cloche.model.action import WriteFile
from cloche.model.paths import JailPath, PathOutsideJail
from cloche.policy.decision import Effect
from cloche.policy.engine import evaluate
from cloche.policy.globs import Glob, GlobSet
from cloche.policy.load import load_default

DEFAULT = load_default()
EMPTY = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"  # the object of an empty file

CASES = st.sampled_from(".gGiItT~12 :$\u200c\u200d\u2060\ufeff\u202a\u206fmodules\\x")
DISGUISED = st.tuples(
    st.sampled_from(["", ".", "x", "\u200c"]),
    st.sampled_from([".git", ".GIT", "git~1", "GIT~1", ".g\u200dit", "Git~2", ".gi", ".git\ufeff"]),
    st.text(CASES, max_size=4),
).map("".join)
PARTS = DISGUISED | st.text(CASES, min_size=1, max_size=8)
TEXTS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)


@pytest.fixture(scope="module")
def repository() -> Path:
    """A repository whose git protects as it does on macOS and on Windows."""
    if shutil.which("git") is None:
        pytest.skip("git is not on this machine, and it is what tells the truth here")
    place = Path(tempfile.mkdtemp(prefix="cloche-oracle-"))
    for command in (
        ("init", "-q"),
        ("config", "core.protectHFS", "true"),
        ("config", "core.protectNTFS", "true"),
    ):
        subprocess.run(["git", *command], cwd=place, check=True, env=_environment(place))
    return place


def _environment(place: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(place), "GIT_CONFIG_NOSYSTEM": "1"}


@example(text=".git /config")
@example(text="a/.GIT./config")
@example(text=".git::$INDEX_ALLOCATION/config")
@example(text="a\\.git\\config")
@example(text="\\")
@settings(max_examples=400)
@given(text=TEXTS)
def test_a_path_that_git_refuses_anywhere_does_not_come_in(repository: Path, text: str) -> None:
    try:
        path = JailPath.parse(text)
    except PathOutsideJail:
        return
    if evaluate(DEFAULT, WriteFile(path=path)).effect is Effect.DENY:
        return
    command = ["git", "update-index", "--add", "--cacheinfo", f"100644,{EMPTY},{path}"]
    environment = {**_environment(repository), "GIT_INDEX_FILE": str(repository / "index.new")}
    taken = subprocess.run(
        command, cwd=repository, check=False, capture_output=True, env=environment
    )
    (repository / "index.new").unlink(missing_ok=True)
    assert b"Invalid path" not in taken.stderr, taken.stderr


GLOBS = st.lists(
    st.lists(st.sampled_from(["*", "**", "a", "b", ".git", "x*", "?", "[ab]"]), min_size=1, max_size=4)
    .map("/".join)
    .map(Glob),
    max_size=6,
).map(tuple)  # fmt: skip
PATHS = st.lists(st.sampled_from(["a", "b", ".git", "xy"]), min_size=1, max_size=4).map(
    lambda parts: JailPath(tuple(parts))
)


@given(GLOBS, PATHS)
def test_a_set_of_patterns_means_what_each_of_them_means(
    globs: tuple[Glob, ...], path: JailPath
) -> None:
    expected = tuple((n, glob) for n, glob in enumerate(globs) if glob.matches(path))
    assert GlobSet(globs).matching(path) == expected
