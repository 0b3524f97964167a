"""One project of several parts: built at once, shipped as one, and apart from each other."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.command import Ended, cloche

import cloche.policy as policies

# What a build without packages leaves for its package.
BUILD = """
const fs = require("fs");
fs.mkdirSync("dist", { recursive: true });
fs.writeFileSync("dist/index.html", "<p>" + process.env.npm_package_name);
"""
SEES = """
const fs = require("fs");
const seen = ["/project/../api", "../api", "../../api", "/api", "/project/link/server.js"]
  .filter((path) => fs.existsSync(path));
console.log("SEEN " + JSON.stringify([seen, fs.readdirSync("/project").sort()]));
"""
ODD = "we,b:[bold]\x1b[2J"


def part(project: Path, name: str, script: str, **more: str) -> Path:
    directory = project / name
    directory.mkdir(parents=True)
    manifest = {"name": directory.name, "version": "1.0.0", "scripts": {"build": "node build.js"}}
    (directory / "package.json").write_text(
        json.dumps({**manifest, "name": more.get("called", "app")})
    )
    (directory / "build.js").write_text(script)
    return directory


def crate(directory: Path, build: str) -> None:
    (directory / "src").mkdir(parents=True)
    (directory / "Cargo.toml").write_text(
        '[package]\nname = "inner"\nversion = "0.1.0"\nedition = "2021"\nbuild = "build.rs"\n'
    )
    (directory / "Cargo.lock").write_text(
        'version = 4\n\n[[package]]\nname = "inner"\nversion = "0.1.0"\n'
    )
    (directory / "src/main.rs").write_text("fn main() {}\n")
    (directory / "build.rs").write_text(build)


def texts(ended: Ended) -> str:
    return "".join(str(event["data"]) for event in ended.of("output"))


def spans(ended: Ended) -> dict[str, tuple[int, int]]:
    """Give where among the events each build stood behind its barriers, and where it was measured."""
    found: dict[str, Any] = {}
    for number, event in enumerate(ended.events):
        if event["type"] == "confined" and event["step"].endswith("/build"):
            found[event["step"]] = (number, -1)
        elif event["type"] == "usage-measured" and event["step"] in found:
            found[event["step"]] = (found[event["step"]][0], number)
    return found


def test_parts_are_built_at_once_and_shipped_as_one(tmp_path: Path) -> None:
    project = tmp_path / "project"
    for name in ("web", "services/api"):
        part(project, name, BUILD + "setTimeout(() => {}, 2000);")
    ended = cloche(project, "ship")
    assert ended.status == 0, ended.events[-1]
    (first, second) = spans(ended).values()
    assert max(first[0], second[0]) < min(first[1], second[1])
    made = {(event["part"], event["path"]) for event in ended.of("artifact-made")}
    assert made == {
        ("web", "artifacts/web/app-1.0.0.cloche.tar"),
        ("services/api", "artifacts/services/api/app-1.0.0.cloche.tar"),
    }
    assert all((project / path).is_file() for _, path in made)
    assert len(ended.of("changes-committed")) == 1
    assert cloche(project, "undo").status == 0
    assert not (project / "artifacts").exists()
    assert not (project / "web/dist").exists()


def test_one_part_fails_and_nothing_changes(tmp_path: Path) -> None:
    project = tmp_path / "project"
    part(project, "bad", BUILD + "setTimeout(() => process.exit(3), 1000);")
    part(project, "good", BUILD + "setTimeout(() => {}, 100000);")
    before = sorted(project.rglob("*"))
    ended = cloche(project, "build")
    assert ended.status == 113
    last = ended.of("run-finished")[-1]
    assert last["message"].startswith("bad: ")
    assert any(note["part"] == "good" and "bad failed" in note["text"] for note in ended.of("note"))
    assert sorted(project.rglob("*")) == before


def test_a_part_sees_nothing_of_another(tmp_path: Path) -> None:
    project = tmp_path / "project"
    web = part(project, "web", SEES)
    (web / "link").symlink_to("../api")
    (web / ".env").write_text("SECRET=own")
    part(project, "api", BUILD)
    (project / "api/server.js").write_text("")
    ended = cloche(project, "build")
    assert ended.status == 0, ended.events[-1]
    (line,) = [line for line in texts(ended).splitlines() if line.startswith("SEEN ")]
    seen, names = json.loads(line.removeprefix("SEEN "))
    assert seen == []
    assert "api" not in names
    assert "build.js" in names


def test_a_part_whose_name_attacks_is_built_as_any(tmp_path: Path) -> None:
    project = tmp_path / "project"
    part(project, ODD, BUILD)
    part(project, "api", BUILD)
    ended = cloche(project, "build", "--part", ODD)
    assert ended.status == 0, ended.events[-1]
    assert (project / ODD / "dist/index.html").is_file()
    assert not (project / "api/dist").exists()
    assert cloche(project, "build", "--part", "absent").status == 79


def test_a_secret_that_a_link_elsewhere_names_is_hidden_in_the_part(tmp_path: Path) -> None:
    project = tmp_path / "project"
    script = 'try { console.log("GOT " + require("fs").readFileSync("real.txt")); } catch {}'
    web = part(project, "web", script)
    (web / "real.txt").write_text("the secret")
    (project / ".env").symlink_to("web/real.txt")
    part(project, "api", BUILD)
    ended = cloche(project, "build", "--part", "web")
    assert ended.status == 0, ended.events[-1]
    assert "the secret" not in texts(ended)
    assert os.path.exists(web / "real.txt")


def test_a_held_run_of_several_parts_is_committed_as_one(tmp_path: Path) -> None:
    project = tmp_path / "project"
    for name in ("web", "api"):
        part(project, name, BUILD)
    before = sorted(project.rglob("*"))
    ended = cloche(project, "build", "--hold")
    assert ended.status == 0, ended.events[-1]
    assert sorted(project.rglob("*")) == before
    assert cloche(project, "commit").status == 0
    assert (project / "web/dist/index.html").is_file()
    assert (project / "api/dist/index.html").is_file()


def test_an_edit_of_one_part_meanwhile_refuses_the_commit_of_all(tmp_path: Path) -> None:
    project = tmp_path / "project"
    write = 'require("fs").writeFileSync("made.txt", "by the build");'
    web = part(project, "web", write)
    part(project, "api", write)
    (web / "made.txt").write_text("of the user")
    assert cloche(project, "build", "--hold").status == 0
    (web / "made.txt").write_text("of the user, later")
    ended = cloche(project, "commit")
    assert ended.status == 95, ended.events[-1]
    assert (web / "made.txt").read_text() == "of the user, later"
    assert not (project / "api/made.txt").exists()


def test_the_whole_comes_after_what_lies_in_it(tmp_path: Path) -> None:
    project = tmp_path / "project"
    part(project, ".", 'console.log("SEES " + require("fs").readdirSync("inner"));')
    inner = project / "inner"
    count = 'std::fs::read_dir("..").unwrap().count().to_string()'
    crate(inner, f'fn main() {{ std::fs::write("made.txt", {count}).unwrap() }}')
    ended = cloche(project, "build", "--part", ".", "--part", "inner")
    assert ended.status == 0, ended.events[-1]
    assert "made.txt" in texts(ended).partition("SEES ")[2]
    assert (inner / "made.txt").is_file()


def test_a_part_that_cannot_be_entered_is_named_and_nothing_runs(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("user-namespace: only root can give a directory to another user")
    project = tmp_path / "project"
    part(project, "api", BUILD)
    os.chown(part(project, "web", BUILD), 1234, 1234)
    ended = cloche(project, "ship")
    (last,) = ended.of("run-finished")
    assert last["code"] == "path-blocked"
    assert "web" in last["message"]
    assert not ended.of("step-started")


TAMPERS = """
fn main() {
    println!("cargo:rerun-if-changed=absent");
    let Ok(found) = std::fs::read_dir("artifacts/inner") else { return };
    for entry in found.flatten() {
        let old = std::path::Path::new("old").join(entry.file_name());
        let content = std::fs::read(old).or_else(|_| std::fs::read("junk"));
        if let Ok(content) = content { std::fs::write(entry.path(), content).unwrap(); }
    }
}
"""


def test_the_package_of_a_part_is_proved_when_no_code_runs_any_more(tmp_path: Path) -> None:
    """The whole is checked after the part that lies in it, by code that may write to all of it."""
    project = tmp_path / "project"
    crate(project, TAMPERS)
    part(project, "inner", BUILD)
    both = ("--part", ".", "--part", "inner")
    ended = cloche(project, "ship", *both)
    assert any(event["step"] == "./clippy" for event in ended.of("step-started"))
    assert ended.status == 0
    (project / "artifacts/inner").rename(project / "old")  # signed, and no more what is made
    (project / "inner/build.js").write_text(BUILD.replace("<p>", "<b>"))
    ended = cloche(project, "ship", *both)
    assert ended.of("run-finished")[-1]["code"] == "package-replaced"
    (project / "old").rename(project / "older")
    (project / "junk").write_text("of the whole")
    ended = cloche(project, "ship", *both)
    assert ended.of("run-finished")[-1]["code"] in ("package-invalid", "package-replaced")
    assert not (project / "artifacts/inner").exists()


def test_parts_wait_for_each_other_also_where_nobody_is_waited_for(tmp_path: Path) -> None:
    project = tmp_path / "project"
    for name in ("web", "api"):
        part(project, name, BUILD + "setTimeout(() => {}, 1000);")
    policy = tmp_path / "policy.yaml"
    default = (Path(policies.__path__[0]) / "default.yaml").read_text()
    assert "\nbudget: {" in default
    policy.write_text(default.replace("\nbudget: {", "\nbudget: {memory: 512M, "))
    ended = cloche(project, "build", "--wait", "0", "--policy", str(policy))
    assert ended.status == 0, ended.events[-1]
    (waiting,) = {event["part"] for event in ended.of("waiting")}
    assert waiting in ("web", "api")
