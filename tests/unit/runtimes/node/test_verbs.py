import json
from dataclasses import replace
from typing import Any

import pytest

from cloche.kernel.invariants import check_plan
from cloche.model.step import Net, Trust
from cloche.runtimes.node.provider import NodeProvider
from cloche.runtimes.provider import Answer, CannotPlan, HostFacts
from cloche.testing.view import MemoryView

PROVIDER = NodeProvider()
VITE = {"vite": "8.0.0"}


def project(files: dict[str, str] | None = None, **manifest: Any) -> MemoryView:
    text = json.dumps({"name": "app", "version": "1.2.3", **manifest})
    return MemoryView({"package.json": text, **(files or {})})


def test_a_build_runs_the_script_without_network(facts: HostFacts) -> None:
    plan = PROVIDER.build(project(scripts={"build": "vite build"}), facts)
    check_plan(plan)
    step = plan.steps[0]
    assert (step.trust, step.net) == (Trust.PROJECT, Net.NONE)
    assert step.argv[-2:] == ("run", "build")
    assert step.env["NODE_OPTIONS"] == "--max-old-space-size=@heap"


def test_a_missing_build_script_is_said_with_its_remedy(facts: HostFacts) -> None:
    with pytest.raises(CannotPlan, match="build script"):
        PROVIDER.build(project(devDependencies=VITE), facts)


def test_a_build_of_another_name_is_found_and_said(facts: HostFacts) -> None:
    plan = PROVIDER.build(project(scripts={"build:ts": "tsc"}), facts)
    assert plan.steps[0].argv[-2:] == ("run", "build:ts")
    assert "build:ts" in plan.notes[0]


def test_members_are_built_when_the_root_says_nothing(facts: HostFacts) -> None:
    plan = PROVIDER.build(project(workspaces=["packages/*"]), facts)
    check_plan(plan)
    assert plan.steps[0].argv[-4:] == ("run", "build", "--workspaces", "--if-present")


def test_sources_that_need_no_build_are_the_build(facts: HostFacts) -> None:
    assert PROVIDER.build(project(), facts).steps == ()


def test_npms_placeholder_is_not_a_test(facts: HostFacts) -> None:
    line = 'echo "Error: no test specified" && exit 1'
    with pytest.raises(CannotPlan, match="no tests"):
        PROVIDER.test(project(scripts={"test": line}), facts)


def test_a_preview_starts_the_framework_itself_on_its_port(facts: HostFacts) -> None:
    files = {"node_modules/vite/package.json": '{"bin":{"vite":"bin/vite.js"}}'}
    view = project(files, scripts={"dev": "vite --port 9 --open --mode x"}, devDependencies=VITE)
    plan = PROVIDER.preview(view, facts)
    check_plan(plan)
    assert plan.steps[0].argv == (
        "@node/bin/node", "node_modules/vite/bin/vite.js", "--host", "127.0.0.1", "--port", "5173",
        "--strictPort", "--mode", "x",
    )  # fmt: skip
    assert plan.steps[0].net is Net.INBOUND


def test_a_preview_of_a_server_follows_PORT(facts: HostFacts) -> None:  # noqa: N802 - the variable's name
    plan = PROVIDER.preview(project(scripts={"dev": "tsx watch src/server.ts"}), facts)
    step = plan.steps[0]
    assert step.argv[-2:] == ("run", "dev")
    assert step.probe is not None
    assert step.env["PORT"] == str(step.probe.port)


def test_a_preview_without_any_script_is_refused(facts: HostFacts) -> None:
    with pytest.raises(CannotPlan):
        PROVIDER.preview(project(), facts)


def test_a_program_that_would_lead_out_of_its_package_is_not_run(facts: HostFacts) -> None:
    files = {"node_modules/vite/package.json": '{"bin":{"vite":"../../evil.js"}}'}
    view = project(files, scripts={"dev": "vite"}, devDependencies=VITE)
    assert PROVIDER.preview(view, facts).steps[0].argv[-2:] == ("run", "dev")


def test_a_site_is_packaged_alone_and_served_by_our_own_server(facts: HostFacts) -> None:
    plan = PROVIDER.package(project({"dist/index.html": "<p>"}, devDependencies=VITE), facts)
    check_plan(plan)
    assert plan.artifact is not None
    assert plan.artifact.include == ("dist",)
    assert plan.artifact.serve is not None
    assert plan.artifact.serve.argv[1] == "/server/serve.mjs"
    assert plan.projections[0].ref == "server"
    assert (plan.artifact.name, plan.artifact.version) == ("app", "1.2.3")


def test_a_server_is_packaged_with_its_production_packages_only(
    facts: HostFacts, make_lock: Any, ms: Any
) -> None:
    lock = make_lock(
        **{
            "node_modules/express": ms,
            "node_modules/express/node_modules/ms": ms,
            "node_modules/typescript": {**ms, "dev": True},
            "node_modules/other-system": {**ms, "optional": True, "os": ["sunos"]},
        }
    )
    files = {
        "package-lock.json": lock,
        "dist/server.js": "x",
        "node_modules/express/package.json": "{}",
        "node_modules/express/node_modules/ms/package.json": "{}",
        "node_modules/typescript/package.json": "{}",
    }
    view = project(files, scripts={"start": "node dist/server.js"}, dependencies={"express": "5"})
    spec = PROVIDER.package(view, facts).artifact
    assert spec is not None
    assert spec.include == ("dist", "package.json", "package-lock.json", "node_modules/express")
    assert spec.serve is not None
    assert spec.serve.argv == ("@node/bin/node", "dist/server.js")
    assert {c.name: c.development for c in spec.components}["typescript"]


def test_a_start_script_that_builds_first_is_started_without_the_build(
    facts: HostFacts, make_lock: Any, ms: Any
) -> None:
    command = {**ms, "bin": {"fastify": "cli.js"}}
    files = {
        "package-lock.json": make_lock(**{"node_modules/fastify-cli": command}),
        "dist/app.js": "x",
        "node_modules/fastify-cli/package.json": '{"bin":{"fastify":"cli.js"}}',
    }
    line = "npm run build:ts && fastify start -l info dist/app.js"
    view = project(files, scripts={"start": line}, dependencies={"fastify": "5"})
    spec = PROVIDER.package(view, facts).artifact
    assert spec is not None
    assert spec.serve is not None
    assert spec.serve.argv == (
        "@node/bin/node", "node_modules/fastify-cli/cli.js", "start", "-l", "info", "dist/app.js",
    )  # fmt: skip


def test_what_starts_in_production_comes_before_a_tool_for_development(facts: HostFacts) -> None:
    scripts = {"start": "nest start", "start:prod": "node dist/main"}
    view = project({"dist/main.js": "x"}, scripts=scripts, dependencies={"@nestjs/core": "11"})
    spec = PROVIDER.package(view, facts).artifact
    assert spec is not None
    assert spec.serve is not None
    assert spec.serve.argv == ("@node/bin/node", "dist/main.js")


def test_a_directory_that_is_started_is_started_by_its_index(facts: HostFacts) -> None:
    view = project({"build/index.js": "x"}, scripts={"start": "node build"})
    spec = PROVIDER.package(view, facts).artifact
    assert spec is not None
    assert spec.serve is not None
    assert spec.serve.argv == ("@node/bin/node", "build/index.js")


def test_a_start_script_that_needs_a_shell_is_started_through_npm(facts: HostFacts) -> None:
    view = project({"dist/a.js": "x"}, scripts={"start": "node dist/a.js | tee log"})
    spec = PROVIDER.package(view, facts).artifact
    assert spec is not None
    assert spec.serve is not None
    assert spec.serve.argv[-2:] == ("run", "start")


def test_components_carry_digest_licence_and_purl(
    facts: HostFacts, make_lock: Any, ms: Any
) -> None:
    lock = make_lock(**{"node_modules/@scope/pkg": ms})
    files = {"package-lock.json": lock, "dist/index.html": "<p>"}
    spec = PROVIDER.package(project(files), facts).artifact
    assert spec is not None
    component = spec.components[0]
    assert component.purl == "pkg:npm/%40scope/pkg@2.1.3"
    assert component.sha512 == "00" * 64
    assert component.licence == "MIT"


def test_a_next_application_is_started_by_next(facts: HostFacts) -> None:
    files = {
        ".next/BUILD_ID": "x",
        "public/a.txt": "x",
        "next.config.mjs": "x",
        "node_modules/next/package.json": '{"bin":{"next":"dist/bin/next"}}',
    }
    spec = PROVIDER.package(project(files, dependencies={"next": "16"}), facts).artifact
    assert spec is not None
    assert spec.include[:4] == (".next", "package.json", "next.config.mjs", "public")
    assert spec.serve is not None
    assert spec.serve.argv[1:3] == ("node_modules/next/dist/bin/next", "start")


def test_an_exported_next_site_is_a_site(facts: HostFacts) -> None:
    files = {".next/BUILD_ID": "x", "out/index.html": "<p>"}
    spec = PROVIDER.package(project(files, dependencies={"next": "16"}), facts).artifact
    assert spec is not None
    assert spec.include == ("out",)


def test_nothing_built_and_nothing_to_start_is_refused(facts: HostFacts) -> None:
    with pytest.raises(CannotPlan):
        PROVIDER.package(project(), facts)


def test_types_are_checked_by_the_projects_own_compiler(facts: HostFacts) -> None:
    files = {
        "tsconfig.json": '{"references":[]}',
        "node_modules/typescript/package.json": '{"bin":{"tsc":"./bin/tsc"}}',
    }
    plan = PROVIDER.validate(project(files), facts)
    check_plan(plan)
    assert plan.steps[0].argv == (
        "@node/bin/node", "node_modules/typescript/bin/tsc", "-b", "--noEmit", "--pretty", "false",
    )  # fmt: skip


def test_types_of_vue_are_checked_by_the_compiler_that_knows_them(facts: HostFacts) -> None:
    files = {
        "tsconfig.json": '{"references":[]}',
        "node_modules/typescript/package.json": '{"bin":{"tsc":"./bin/tsc"}}',
        "node_modules/vue-tsc/package.json": '{"bin":{"vue-tsc":"bin/vue-tsc.js"}}',
    }
    plan = PROVIDER.validate(project(files), facts)
    assert plan.steps[0].argv[1] == "node_modules/vue-tsc/bin/vue-tsc.js"


def test_the_linter_may_only_warn(facts: HostFacts) -> None:
    files = {
        "eslint.config.js": "x",
        "node_modules/eslint/package.json": '{"bin":{"eslint":"bin/eslint.js"}}',
    }
    plan = PROVIDER.validate(project(files, devDependencies={"eslint": "9"}), facts)
    check_plan(plan)
    assert plan.steps[0].optional
    assert b"module.exports" in plan.projections[0].files["eslint-lines.cjs"]


@pytest.mark.parametrize("name", ["react-ts", "api", "static"])
def test_a_template_is_named_whole_and_without_any_registry(name: str, facts: HostFacts) -> None:
    files = PROVIDER.scaffold(name, "my-app")
    assert b"{{name}}" not in b"".join(files.values())
    assert json.loads(files["package.json"])["name"] == "my-app"
    assert ".gitignore" in files
    assert b"resolved" not in files.get("package-lock.json", b"")
    plan = PROVIDER.resolve_dependencies(MemoryView(files), facts)
    check_plan(plan)
    assert not plan.again


def test_a_name_that_npm_would_not_take_is_refused() -> None:
    for name in ("../x", "Upper", "", "a b"):
        with pytest.raises(CannotPlan):
            PROVIDER.scaffold("static", name)
    with pytest.raises(CannotPlan):
        PROVIDER.scaffold("unknown", "app")


def test_a_project_is_recognised_by_its_files_alone() -> None:
    detection = PROVIDER.detect(project(devDependencies=VITE))
    assert detection is not None
    assert detection.stack == "vite"
    assert PROVIDER.detect(MemoryView({})) is None
    broken = PROVIDER.detect(MemoryView({"package.json": "{"}))
    assert broken is not None
    assert broken.stack == "unreadable"


def test_content_of_the_cache_must_have_the_digest_of_its_name() -> None:
    digest = "ab" * 64
    path = f"_cacache/content-v2/sha512/{digest[:2]}/{digest[2:4]}/{digest[4:]}"
    entry = PROVIDER.cached("npm", path, {})
    assert entry is not None
    assert (entry.algorithm, entry.digest) == ("sha512", digest)
    assert PROVIDER.cached("npm", "_cacache/content-v2/sha1/ab/cd/" + "e" * 36, {}) is None
    assert PROVIDER.cached("npm", "_logs/x.log", {}) is None
    assert PROVIDER.cached("npm", "_cacache/index-v5/ab/cd/" + "e" * 60, {}) is not None


def test_discovery_is_tool_code_without_network(facts: HostFacts) -> None:
    plan = PROVIDER.discovery(replace(facts, registry=None))
    assert plan is not None
    (step,) = plan.steps
    assert PROVIDER.discovery(facts) is None
    assert (step.trust, step.net) == (Trust.TOOL, Net.NONE)
    printed = {
        "registry": "https://a.example.org/", "@s:registry": "https://b.example.org/",
        "proxy": None, "https-proxy": "http://proxy.example.org:8080", "cafile": "/etc/ca.pem",
        "//a.example.org/:_authToken": "(protected)", "long": True,
    }  # fmt: skip
    read = PROVIDER.read_discovery(Answer(output=json.dumps(printed).encode()), facts)
    assert read.urls == ("https://a.example.org/", "https://b.example.org/")
    assert read.settings == {
        "https-proxy": "http://proxy.example.org:8080",
        "cafile": "/etc/ca.pem",
    }
    for hostile in (b"", b"[]", b"{}", b'{"registry":1}'):
        with pytest.raises(CannotPlan):
            PROVIDER.read_discovery(Answer(output=hostile), facts)
