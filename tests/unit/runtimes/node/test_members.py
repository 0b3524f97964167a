import json
from typing import Any

import pytest

from cloche.kernel.invariants import check_plan
from cloche.model.step import ArtifactSpec
from cloche.runtimes.node.provider import NodeProvider
from cloche.runtimes.provider import CannotPlan, HostFacts
from cloche.testing.view import MemoryView

ROOT = {"name": "app", "version": "1.0.0", "workspaces": ["apps/*", "packages/*"]}
API = {"name": "api", "version": "1.0.0", "dependencies": {"express": "5"}}
STARTS = {"scripts": {"start": "node dist/server.js"}}


def package(facts: HostFacts, files: dict[str, Any]) -> ArtifactSpec:
    texts = {name: v if isinstance(v, str) else json.dumps(v) for name, v in files.items()}
    plan = NodeProvider().package(MemoryView(texts), facts)
    check_plan(plan)
    assert plan.artifact is not None
    return plan.artifact


def test_the_site_of_a_member_is_the_package(facts: HostFacts) -> None:
    spec = package(
        facts,
        {
            "package.json": ROOT,
            "apps/web/package.json": {"name": "web"},
            "apps/web/dist/index.html": "<p>",
        },
    )
    assert spec.include == ("apps/web/dist",)


def test_several_sites_are_refused_by_name(facts: HostFacts) -> None:
    files: dict[str, Any] = {"package.json": ROOT}
    for name in ("apps/a", "apps/b"):
        files |= {f"{name}/package.json": {"name": name[5:]}, f"{name}/dist/index.html": "<p>"}
    with pytest.raises(CannotPlan, match="apps/a/dist, apps/b/dist"):
        package(facts, files)


def test_a_server_takes_its_members_and_the_links_to_them_along(
    facts: HostFacts, make_lock: Any, ms: Any
) -> None:
    lock = make_lock(
        **{
            "apps/api": {"version": "1.0.0"},
            "node_modules/api": {"resolved": "apps/api", "link": True},
            "apps/api/node_modules/ms": ms,
        }
    )
    spec = package(
        facts,
        {
            "package.json": ROOT,
            "package-lock.json": lock,
            "apps/api/package.json": API | STARTS,
            "apps/api/dist/server.js": "x",
            "apps/api/node_modules/ms/package.json": {},
        },
    )
    assert spec.include == (
        "package.json", "package-lock.json", "apps/api/dist", "apps/api/package.json",
        "node_modules/api", "apps/api/node_modules/ms",
    )  # fmt: skip
    assert spec.serve is not None
    assert spec.serve.argv[-3:] == ("run", "start", "--workspace=apps/api")


def test_the_root_says_which_member_starts(facts: HostFacts) -> None:
    spec = package(
        facts,
        {
            "package.json": ROOT | {"scripts": {"start": "node apps/api/dist/server.js"}},
            "apps/api/package.json": API | STARTS,
            "apps/api/dist/server.js": "x",
            "apps/web/package.json": {"name": "web"},
            "apps/web/dist/index.html": "<p>",
        },
    )
    assert spec.serve is not None
    assert spec.serve.argv == ("@node/bin/node", "apps/api/dist/server.js")


def test_several_that_could_start_are_refused_by_name(facts: HostFacts) -> None:
    files = {f"apps/{n}/package.json": {"name": n} | STARTS for n in ("a", "b")}
    with pytest.raises(CannotPlan, match="apps/a, apps/b"):
        package(facts, {"package.json": ROOT, **files})
