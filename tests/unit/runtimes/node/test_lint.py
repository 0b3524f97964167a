from typing import Any

import pytest

from cloche.runtimes.node.lint import followed, lint_additions, lint_lock
from cloche.runtimes.node.lock import read_lock
from cloche.runtimes.provider import LintRefused, RegistryFacts

REGISTRY = RegistryFacts(urls=("https://registry.example.org/npm/",))


def judge(make_lock: Any, members: tuple[str, ...] = (), **places: Any) -> str:
    lock = read_lock("package-lock.json", make_lock(**places).encode())
    try:
        lint_lock(lock, members, REGISTRY)
    except LintRefused as refusal:
        return "; ".join(refusal.reasons)
    return ""


def at(entry: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"node_modules/ms": {**entry, **more}}


def test_a_lock_without_addresses_is_accepted(make_lock: Any, ms: Any) -> None:
    assert judge(make_lock, **at(ms)) == ""


@pytest.mark.parametrize(
    "address",
    [
        "https://registry.example.org/ms/-/ms-2.1.3.tgz",
        "https://registry.example.org/any/form/at/all",
        "https://elsewhere.example.org/npm/ms/-/ms-2.1.3.tgz",
    ],
)
def test_addresses_of_registries_are_accepted(make_lock: Any, ms: Any, address: str) -> None:
    assert judge(make_lock, **at(ms, resolved=address)) == ""


@pytest.mark.parametrize(
    "address",
    [
        "http://registry.example.org/ms/-/ms-2.1.3.tgz",
        "https://attacker.example.org/ms.tgz",
        "https://attacker.example.org/ms/-/ms-2.1.4.tgz",
        "https://attacker.example.org/other/-/other-2.1.3.tgz",
        "https://attacker.example.org/ms/-/ms-2.1.3.tgz?x=1",
        "https://user@registry.example.org/ms/-/ms-2.1.3.tgz",
        "https://registry.example.org/../ms/-/ms-2.1.3.tgz",
        "git+ssh://git@attacker.example.org/ms.git#abc",
        "file:../ms",
        "ms.tgz",
        "https://[/ms/-/ms-2.1.3.tgz",
    ],
)
def test_any_other_address_is_refused(make_lock: Any, ms: Any, address: str) -> None:
    assert "address" in judge(make_lock, **at(ms, resolved=address))


def test_an_address_elsewhere_is_accepted_but_never_followed(make_lock: Any, ms: Any) -> None:
    own = "https://registry.example.org/ms/-/ms-2.1.3.tgz"
    other = "https://elsewhere.example.org/ms/-/ms-2.1.3.tgz"
    places = {
        "node_modules/a": {**ms, "resolved": own},
        "node_modules/b": {**ms, "resolved": other},
    }
    lock = read_lock("l", make_lock(**places).encode())
    assert [followed(entry, REGISTRY) for entry in lock.entries] == [own, ""]


@pytest.mark.parametrize("integrity", ["", "sha1-W4o6d6Xf4AEmHd6RVYnngvjJTR4=", "md5-x"])
def test_a_package_without_sha512_is_refused(make_lock: Any, ms: Any, integrity: str) -> None:
    assert "sha512" in judge(make_lock, **at(ms, integrity=integrity))


@pytest.mark.parametrize("version", ["", "^2.0.0", "latest", "file:x", "2.1"])
def test_a_version_that_is_not_exact_is_refused(make_lock: Any, ms: Any, version: str) -> None:
    assert "exact" in judge(make_lock, **at(ms, version=version))


@pytest.mark.parametrize(
    "place",
    ["node_modules/../../.bashrc", "/etc/node_modules/x", "node_modules/.bin", "node_modules//ms",
     "node_modules/a/b", "elsewhere/node_modules/ms", "../node_modules/ms", "packages/hidden"],
)  # fmt: skip
def test_a_place_outside_of_the_tree_is_refused(make_lock: Any, ms: Any, place: str) -> None:
    assert judge(make_lock, **{place: ms}) != ""


def test_a_bundled_package_is_covered_by_the_digest_above_it(make_lock: Any, ms: Any) -> None:
    inner = {"version": "1.0.0", "inBundle": True}
    assert (
        judge(make_lock, **{"node_modules/ms": ms, "node_modules/ms/node_modules/in": inner}) == ""
    )
    assert "bundled" in judge(make_lock, **{"node_modules/in": inner})


def test_links_lead_only_to_members(make_lock: Any) -> None:
    link = {"node_modules/a": {"resolved": "packages/a", "link": True}}
    member = {"packages/a": {"version": "1.0.0"}}
    assert judge(make_lock, ("packages/a",), **link, **member) == ""
    assert "does not declare" in judge(make_lock, (), **link)
    assert "does not declare" in judge(make_lock, (), **member)


def test_a_command_that_leads_out_of_its_package_is_refused(make_lock: Any, ms: Any) -> None:
    assert "command" in judge(make_lock, **at(ms, bin={"ms": "../../evil.sh"}))
    assert "command" in judge(make_lock, **at(ms, bin={"../node": "x.js"}))
    assert judge(make_lock, **at(ms, bin={"ms": "./bin/ms.js"})) == ""


def test_every_reason_is_kept(make_lock: Any, ms: Any) -> None:
    assert (
        judge(make_lock, **at(ms, integrity="", version="x", resolved="http://h/x")).count(";") == 2
    )


def test_only_optional_packages_may_come_and_go(make_lock: Any, ms: Any) -> None:
    optional = {**ms, "optional": True}
    before = read_lock(
        "l", make_lock(**{"node_modules/a": ms, "node_modules/b": optional}).encode()
    )
    swapped = read_lock(
        "l", make_lock(**{"node_modules/a": ms, "node_modules/c": optional}).encode()
    )
    added = read_lock("l", make_lock(**{"node_modules/a": ms, "node_modules/c": ms}).encode())
    changed = read_lock("l", make_lock(**{"node_modules/a": {**ms, "version": "9.9.9"}}).encode())
    missing = read_lock("l", make_lock(**{"node_modules/b": optional}).encode())
    lint_additions(before, swapped)
    for after in (added, changed, missing):
        with pytest.raises(LintRefused):
            lint_additions(before, after)


def test_a_link_may_stand_where_its_target_needs_it_only_inside_the_tree(make_lock: Any) -> None:
    link = {"resolved": "lib", "link": True}
    assert judge(make_lock, ("lib",), **{"../node_modules/x": link}) != ""
    assert judge(make_lock, ("lib",), **{"other/node_modules/x": link}) != ""
    assert judge(make_lock, ("lib",), **{"lib/node_modules/x": link}) == ""


def test_plain_http_is_accepted_where_the_users_own_registry_is_so(make_lock: Any, ms: Any) -> None:
    own = RegistryFacts(urls=("http://localhost:4873/",))
    address = "http://localhost:4873/ms/-/ms-2.1.3.tgz"
    lock = read_lock("l", make_lock(**at(ms, resolved=address)).encode())
    lint_lock(lock, (), own)
    assert followed(lock.entries[0], own) == address
    with pytest.raises(LintRefused):
        lint_lock(lock, (), REGISTRY)
