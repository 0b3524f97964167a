"""What may not enter a project: each rule alone, then everything at once in one report."""

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cloche.model.action import WriteFile
from cloche.model.names import taken_for
from cloche.model.paths import JailPath
from cloche.policy.decision import Effect
from cloche.policy.engine import evaluate, foresee
from cloche.policy.explain import explain
from cloche.policy.load import load_default
from cloche.policy.schema import Policy
from cloche.workspace.errors import ChangesRefused
from cloche.workspace.screen import ScreenRules, allow_all
from cloche.workspace.workspace import Workspace

DEFAULT = load_default()


def rules_of(policy: Policy) -> ScreenRules:
    def may_write(path: JailPath) -> tuple[str, ...]:
        decision = evaluate(policy, WriteFile(path=path))
        return decision.reasons if decision.effect is Effect.DENY else ()

    limits = policy.commit
    return ScreenRules(
        max_bytes=1 << 20,
        max_file_bytes=1 << 19,
        max_entries=1000,
        may_write=may_write,
        may_delete=allow_all,
        may_be_named=limits.name_objections,
        may_be_alike=limits.alike_objections,
        may_be_file=limits.extension_objections,
    )


RULES = rules_of(DEFAULT)
Plant = Callable[[Path], object]


def _file(name: str) -> Plant:
    def plant(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")

    return plant


def _files(*names: str) -> Plant:
    return lambda root: [_file(name)(root) for name in names]


def _mode(name: str, mode: int) -> Plant:
    def plant(root: Path) -> None:
        _file(name)(root)
        (root / name).chmod(mode)

    return plant


def _sparse(root: Path) -> None:
    with (root / "holes").open("wb") as file:
        file.truncate(1 << 30)


HOSTILE: dict[str, tuple[Plant, str]] = {
    "a hook": (_file("a/.git/hooks/pre-commit"), "(**/.git/**) refuses a/.git/hooks/pre-commit"),
    "a hook in capitals": (_file(".GIT/hooks/x"), "take .GIT/hooks/x for"),
    "a name that ends with a dot": (_file(".git./config"), "take .git./config for"),
    "a stream": (_file(".git::$INDEX_ALLOCATION/config"), "take .git::$INDEX_ALLOCATION/config"),
    "a short name": (_file("Git~1/config"), "take Git~1/config for"),
    "a character that HFS+ leaves out": (_file(".g\u200cit/config"), ".g\\u200cit/config: "),
    "a backslash": (_file("a\\.git\\config"), "a\\\\.git\\\\config: file_access"),
    "settings in capitals": (_file("x/.NpmRC"), "take x/.NpmRC for"),
    "tasks of an editor": (_file(".VSCode/tasks.json"), "take .VSCode/tasks.json for"),
    "a shell's start file": (_file("home/.zlogin"), "(**/.zlogin) refuses"),
    "a bare repository": (
        _files("b/HEAD", "b/objects/x", "b/refs/x", "b/config"),
        "b: with HEAD, objects and refs it is a repository to git",
    ),
    "a device of Windows": (_file("src/con.txt"), "it is a device on Windows"),
    "a colon": (_file("src/main.js:evil"), "has ':', which Windows"),
    "a space at the end": (_file("src/x "), "ends with a dot or a space"),
    "two names in one": (_files("n/Readme", "n/README"), "take it for 'README'"),
    "two forms of a name": (_files("n/\u00e9", "n/e\u0301"), "which is there too"),
    "a name of the project in another case": (_file("KEPT.txt"), "take it for 'kept.txt'"),
    "a pipe": (lambda root: os.mkfifo(root / "p"), "p: it is a named pipe"),
    "setuid": (_mode("s", 0o4755), "s: it is setuid"),
    "setgid": (_mode("g", 0o2755), "g: it is setgid"),
    "a file that anybody may write": (_mode("w", 0o666), "w: its mode would let everybody"),
    "holes": (_sparse, "holes: it has 1073741824 bytes"),
    "a link out": (lambda root: (root / "l").symlink_to("../x"), "leaves the project"),
    "an absolute link": (lambda root: (root / "l2").symlink_to("/etc/passwd"), "is absolute"),
    "a link through a link": (
        lambda root: (root / "l3").symlink_to("l4/../../x"),
        "which climbs after a name",
    ),
    "a name for terminals": (_file("a\x1b[2J"), "its name has control characters"),
    "a name that is reordered": (_file("a\u202etxt.exe"), "its name has control characters"),
    "no UTF-8": (_file(os.fsdecode(b"a\xff")), "its name is not UTF-8"),
}


def refused(tmp_path: Path, rules: ScreenRules, *plants: Plant) -> tuple[str, ...]:
    project = tmp_path / "project"
    project.mkdir(exist_ok=True)
    (project / "kept.txt").write_text("")
    with closing(Workspace.open(project, tmp_path / "state")) as workspace:
        transaction = workspace.begin()
        for plant in plants:
            plant(transaction.upper)
        try:
            transaction.commit(rules)
        except ChangesRefused as refusal:
            assert [path.name for path in project.iterdir()] == ["kept.txt"]
            return refusal.reasons
    return ()


@pytest.mark.parametrize(("plant", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_it_is_refused_with_its_reason(tmp_path: Path, plant: Plant, reason: str) -> None:
    assert any(reason in each for each in refused(tmp_path, RULES, plant))


def test_everything_at_once_is_one_report_with_every_reason(tmp_path: Path) -> None:
    reasons = refused(tmp_path, RULES, *(plant for plant, _ in HOSTILE.values()))
    for _, reason in HOSTILE.values():
        assert any(reason in each for each in reasons), reason
    assert any(reason.startswith("it brings in ") for reason in reasons)


HONEST = (
    "src/[...slug].js",
    "src/(group)/page.js",
    "dist/-Xy_1.js",
    "Makefile",
    ".gitignore",
    "a/HEAD",
    "node_modules/a/aux.js",
    "node_modules/a/test/a:b",
    "node_modules/a/README",
    "node_modules/a/readme",
    "node_modules/a/.gitattributes",
    "node_modules/a/x.code-workspace",
    "\u00e9t\u00e9.txt",
    "git~",
    "console.js",
    "com10",
)


def test_what_tools_and_people_make_comes_in(tmp_path: Path) -> None:
    link: Plant = lambda root: (root / "node_modules/.bin").symlink_to("a")  # noqa: E731
    assert refused(tmp_path, RULES, _files(*HONEST), link) == ()


REMOVED = {
    "other systems' names": ("a hook in capitals", {"may_write": allow_all}),
    "names that Windows cannot hold": ("a colon", {"may_be_named": allow_all}),
    "names alike": ("two names in one", {"may_be_alike": allow_all}),
    "a repository": ("a bare repository", {"may_write": allow_all}),
    "size": ("holes", {"max_file_bytes": 1 << 40, "max_bytes": 1 << 40}),
}


@pytest.mark.parametrize("rule", REMOVED)
def test_each_rule_is_needed(tmp_path: Path, rule: str) -> None:
    name, without = REMOVED[rule]
    assert refused(tmp_path, replace(RULES, **without), HOSTILE[name][0]) == ()


def test_half_of_a_repository_that_is_there_counts(tmp_path: Path) -> None:
    assert refused(tmp_path, RULES, _files("b/HEAD", "b/objects/x")) == ()
    project = tmp_path / "project"
    with closing(Workspace.open(project, tmp_path / "state")) as workspace:
        transaction = workspace.begin()
        _file("b/refs/x")(transaction.upper)
        with pytest.raises(ChangesRefused, match="repository to git"):
            transaction.commit(RULES)


def test_a_file_that_becomes_a_directory_completes_a_repository(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "b/objects").mkdir(parents=True)
    (project / "b/HEAD").write_text("ref: refs/heads/x")
    (project / "b/refs").write_text("harmless")
    with closing(Workspace.open(project, tmp_path / "state")) as workspace:
        transaction = workspace.begin()
        _file("b/refs/heads")(transaction.upper)
        with pytest.raises(ChangesRefused, match="repository to git"):
            transaction.commit(RULES)


def test_endings_are_for_policy_to_allow(tmp_path: Path) -> None:
    limits = replace(DEFAULT.commit, allow_extensions=(".ts", ".tar.gz", ""), deny_extensions=(".d.ts",))  # fmt: skip
    rules = rules_of(replace(DEFAULT, commit=limits))
    reasons = refused(tmp_path, rules, _files("a.d/x.ts", "x.TAR.GZ", "LICENSE", ".npmignore"))
    assert reasons == ()
    (tmp_path / "two").mkdir()
    found = refused(tmp_path / "two", rules, _files("x.d.ts", "x.exe"))
    assert found == (
        "x.d.ts: commit.extensions.deny refuses .d.ts",
        "x.exe: commit.extensions.allow does not have its ending",
    )


@pytest.mark.parametrize("path", [".GIT/config", "src/aux.c", "x/.vscode/tasks.json"])
def test_explain_says_so_beforehand(path: str) -> None:
    action = WriteFile(path=JailPath.parse(path))
    text = explain(DEFAULT, action, foresee(DEFAULT, action))
    assert text.startswith("refused: write")
    assert "to allow it: " in text


def test_folding_makes_no_path_of_a_name() -> None:
    assert taken_for(("\u2100", "\uff0e\uff0e", "\u200c", "...")) == (
        "a\u2215c",
        "\uff0e\uff0e",
        "\u200c",
        "...",
    )
