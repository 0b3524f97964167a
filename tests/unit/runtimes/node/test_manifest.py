import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.errors import ClocheError
from cloche.runtimes.node.manifest import objections_to, read_manifest
from cloche.runtimes.provider import CannotPlan

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ["name", "version", "dependencies", "devDependencies", "overrides", "workspaces", "engines",
     "scripts", "type", "main", "peerDependenciesMeta", "optionalDependencies"]
)  # fmt: skip


def read(**fields: Any) -> Any:
    return read_manifest("package.json", json.dumps(fields).encode())


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_untyped(content: bytes) -> None:
    with suppress(ClocheError):
        read_manifest("package.json", content)


@given(st.dictionaries(FIELDS, JSON))
def test_no_manifest_raises_anything_untyped(data: dict[str, Any]) -> None:
    with suppress(ClocheError):
        objections_to(read_manifest("package.json", json.dumps(data).encode()), is_root=True)


def test_a_manifest_nested_without_end_is_refused() -> None:
    with pytest.raises(CannotPlan):
        read_manifest("package.json", b'{"a":' * 100_000)


def test_a_byte_order_mark_is_dropped_as_npm_does() -> None:
    assert read_manifest("package.json", b'\xef\xbb\xbf{"name":"app"}').name == "app"


def test_a_name_that_npm_would_not_take_is_no_name() -> None:
    assert read(name="../../etc").name == ""


def test_a_git_dependency_is_named_with_its_field() -> None:
    reasons = objections_to(read(devDependencies={"x": "git+ssh://h/x"}), is_root=True)
    assert len(reasons) == 1
    assert "devDependencies.x" in reasons[0]


def test_every_reason_is_kept() -> None:
    manifest = read(dependencies={"a": "http://h/a.tgz", "b": "user/b", "../c": "1"})
    assert len(objections_to(manifest, is_root=True)) == 3


def test_overrides_are_judged_at_every_depth() -> None:
    manifest = read(overrides={"a": {"b": {".": "1.0.0", "c": "git://h/c"}}, "d": "$e"})
    reasons = objections_to(manifest, is_root=True)
    assert len(reasons) == 1
    assert "overrides.a.b.c" in reasons[0]


def test_dependencies_that_are_no_object_are_refused() -> None:
    with pytest.raises(CannotPlan):
        read(dependencies=["ms"])


def test_workspaces_are_read_in_both_forms() -> None:
    assert read(workspaces=["packages/*"]).workspaces == ("packages/*",)
    assert read(workspaces={"packages": ["a"]}).workspaces == ("a",)
