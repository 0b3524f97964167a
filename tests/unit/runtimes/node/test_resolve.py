import json
from dataclasses import replace
from typing import Any

import pytest

from cloche.kernel.invariants import check_plan
from cloche.model.step import Net, Plan, Source, Step, Trust
from cloche.runtimes.node.provider import NodeProvider
from cloche.runtimes.provider import CannotPlan, HostFacts, LintRefused
from cloche.testing.view import MemoryView

MANIFEST = {"name": "app", "version": "1.0.0", "dependencies": {"ms": "2.1.3"}}


def plan(facts: HostFacts, lock: str = "", **files: str) -> Plan:
    everything = {"package.json": json.dumps(MANIFEST), **files}
    if lock:
        everything["package-lock.json"] = lock
    made = NodeProvider().resolve_dependencies(MemoryView(everything), facts)
    check_plan(made)
    return made


def ids(made: Plan) -> list[str]:
    return [step.id for step in made.steps]


def lock_of(make_lock: Any, ms: Any, **places: Any) -> str:
    return str(make_lock({"dependencies": {"ms": "2.1.3"}}, **{"node_modules/ms": ms, **places}))


def by_id(made: Plan, name: str) -> Step:
    return next(step for step in made.steps if step.id == name)


def test_without_a_lock_the_plan_makes_one_and_asks_to_be_made_again(facts: HostFacts) -> None:
    made = plan(facts)
    assert ids(made) == ["lock", "lock-whole"]
    assert made.again
    assert made.steps[0].outputs[0].linter == "npm-lock"


def test_npm_chooses_by_a_whole_install_only_when_it_mistakes_an_archive(facts: HostFacts) -> None:
    # npm/cli issue 9800
    quick, whole = plan(facts).steps
    assert (quick.fallback, quick.fallback_codes) == (whole.id, {"EALLOWREMOTE"})
    assert "--package-lock-only" in quick.argv
    assert "--package-lock-only" not in whole.argv
    assert whole.outputs == quick.outputs
    assert {"--allow-remote=none", "--ignore-scripts"} <= set(whole.argv)


def test_a_lock_that_does_not_fit_is_made_anew(facts: HostFacts, make_lock: Any, ms: Any) -> None:
    made = plan(facts, make_lock({"dependencies": {"ms": "1.0.0"}}, **{"node_modules/ms": ms}))
    assert ids(made) == ["lock", "lock-whole"]
    assert "does not fit" in made.notes[0]


def test_with_a_lock_everything_is_fetched_and_laid_out_in_one_step(
    facts: HostFacts, make_lock: Any, ms: Any
) -> None:
    made = plan(facts, lock_of(make_lock, ms))
    assert ids(made) == ["fetch", "fetch-again"]
    assert not made.again
    fetch = by_id(made, "fetch")
    assert (fetch.trust, fetch.net, fetch.cwd) == (Trust.TOOL, Net.REGISTRY, "/p")
    assert fetch.expected == 1
    assert fetch.fallback == "fetch-again"


def test_what_the_cache_holds_is_laid_out_without_network(
    facts: HostFacts, make_lock: Any, ms: Any
) -> None:
    lock = lock_of(make_lock, ms)
    key = by_id(plan(facts, lock), "fetch").skip_key
    assert key.isalnum()
    made = plan(replace(facts, fetched=frozenset({key})), lock)
    step = made.steps[0]
    assert (step.id, step.net, step.fallback) == ("lay-out", Net.NONE, "fetch")
    assert "--offline" in step.argv


def test_the_key_follows_lock_tools_and_registry(facts: HostFacts, make_lock: Any, ms: Any) -> None:
    assert facts.registry is not None
    elsewhere = replace(facts, registry=replace(facts.registry, urls=("https://b.example.org/",)))
    tool = replace(facts.toolchains["npm"], version="12.0.0")
    newer = replace(facts, toolchains={**facts.toolchains, "npm": tool})
    lock, other = lock_of(make_lock, ms), lock_of(make_lock, {**ms, "optional": True})
    keys = {
        by_id(plan(f, content), "fetch").skip_key
        for f, content in ((facts, lock), (elsewhere, lock), (newer, lock), (facts, other))
    }
    assert len(keys) == 4


def test_no_step_with_a_network_sees_the_project(facts: HostFacts, make_lock: Any, ms: Any) -> None:
    for made in (plan(facts), plan(facts, lock_of(make_lock, ms))):
        for step in made.steps:
            if step.net is Net.REGISTRY:
                assert not any(mount.source is Source.PROJECT for mount in step.mounts)
                assert "--ignore-scripts" in step.argv
                assert "--git=/bin/false" in step.argv


def test_install_scripts_run_apart_and_only_for_packages_that_have_them(
    facts: HostFacts, make_lock: Any, ms: Any
) -> None:
    native = {**ms, "hasInstallScript": True}
    spare = {**native, "optional": True}
    made = plan(
        facts,
        lock_of(make_lock, ms, **{"node_modules/native": native, "node_modules/spare": spare}),
    )
    needed, optional = by_id(made, "install-scripts"), by_id(made, "optional-install-scripts")
    assert needed.argv[-1] == "native"
    assert optional.argv[-1] == "spare"
    assert (needed.trust, needed.net, needed.optional) == (Trust.PROJECT, Net.NONE, False)
    assert optional.optional


def test_the_roots_own_scripts_come_last(facts: HostFacts, make_lock: Any, ms: Any) -> None:
    scripts = {"preinstall": "a", "postinstall": "b", "prepare": "c", "build": "d"}
    manifest = json.dumps({**MANIFEST, "scripts": scripts})
    made = plan(facts, lock_of(make_lock, ms), **{"package.json": manifest})
    assert ids(made)[-3:] == ["script-preinstall", "script-postinstall", "script-prepare"]
    assert by_id(made, "script-prepare").optional


def test_a_project_without_dependencies_has_nothing_to_fetch(facts: HostFacts) -> None:
    made = plan(facts, **{"package.json": '{"name":"app"}'})
    assert made.steps == ()
    assert "nothing to fetch" in made.notes[-1]


def test_members_get_their_own_trees(facts: HostFacts, make_lock: Any, ms: Any) -> None:
    lock = make_lock(
        {"workspaces": ["packages/*"]},
        **{
            "node_modules/a": {"resolved": "packages/a", "link": True},
            "packages/a": {"version": "1.0.0", "dependencies": {"ms": "2.1.3"}},
            "packages/a/node_modules/ms": ms,
        },
    )
    made = plan(
        facts,
        lock,
        **{
            "package.json": '{"name":"app","version":"1.0.0","workspaces":["packages/*"]}',
            "packages/a/package.json": '{"name":"a","version":"1.0.0","dependencies":{"ms":"2.1.3"}}',
        },
    )
    fetch = by_id(made, "fetch")
    assert [o.commit_to for o in fetch.outputs if o.commit_to] == [
        "node_modules",
        "packages/a/node_modules",
    ]
    assert "--allow-directory=root" in fetch.argv


def test_settings_that_are_not_followed_are_said(facts: HostFacts) -> None:
    made = plan(facts, **{".npmrc": "git=./evil.sh\n"})
    assert "git" in made.notes[0]


def test_a_hostile_lock_is_refused_before_any_step(
    facts: HostFacts, make_lock: Any, ms: Any
) -> None:
    with pytest.raises(LintRefused):
        plan(facts, lock_of(make_lock, {**ms, "resolved": "http://attacker.example.org/ms.tgz"}))


def test_a_package_whose_name_would_be_a_toolchain_reference_is_refused(
    facts: HostFacts, make_lock: Any, ms: Any
) -> None:
    entry = {**ms, "hasInstallScript": True}
    with pytest.raises(CannotPlan):
        plan(facts, lock_of(make_lock, ms, **{"node_modules/@node/x": entry}))


def test_the_lock_a_step_left_is_judged(facts: HostFacts, make_lock: Any, ms: Any) -> None:
    provider = NodeProvider()
    provider.lint("npm-lock", make_lock(**{"node_modules/ms": ms}).encode(), facts)
    with pytest.raises(LintRefused):
        provider.lint("npm-lock", make_lock(**{"node_modules/ms": {}}).encode(), facts)
    with pytest.raises(CannotPlan):
        provider.lint("other", make_lock().encode(), facts)


def test_a_mended_lock_is_compared_with_the_one_that_was_planned(
    facts: HostFacts, make_lock: Any, ms: Any
) -> None:
    provider = NodeProvider()
    lock = lock_of(make_lock, ms)
    view = MemoryView({"package.json": json.dumps(MANIFEST), "package-lock.json": lock})
    made = provider.resolve_dependencies(view, facts)
    linter = by_id(made, "fetch-again").outputs[1].linter
    provider.lint(linter, lock.encode(), facts)
    with pytest.raises(LintRefused):
        provider.lint(linter, lock.replace("2.1.3", "2.1.4").encode(), facts)
