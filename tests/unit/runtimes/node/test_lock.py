import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.errors import ClocheError
from cloche.runtimes.node.lint import lint_lock
from cloche.runtimes.node.lock import LockTooOld, read_lock

VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(), max_size=3)
ENTRY = st.dictionaries(
    st.sampled_from(
        ["version", "resolved", "integrity", "link", "inBundle", "bin", "name", "os", "license"]
    ),
    VALUES | st.dictionaries(st.text(), VALUES, max_size=2),
)
PLACE = st.text() | st.builds("node_modules/{}".format, st.text(max_size=12))


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_untyped(content: bytes) -> None:
    with suppress(ClocheError):
        read_lock("package-lock.json", content)


@given(st.dictionaries(PLACE, ENTRY, max_size=4))
def test_no_lock_raises_anything_untyped(packages: dict[str, Any]) -> None:
    content = json.dumps({"lockfileVersion": 3, "packages": packages}).encode()
    with suppress(ClocheError):
        lock = read_lock("package-lock.json", content)
        lock.digest()
        lint_lock(lock, (), None)


@pytest.mark.parametrize("version", [1, None, "3", 4])
def test_only_formats_2_and_3_are_read(version: object) -> None:
    with pytest.raises(LockTooOld) as refusal:
        read_lock("package-lock.json", json.dumps({"lockfileVersion": version}).encode())
    assert "npm install" in refusal.value.remedy


def test_the_digest_follows_what_is_installed_and_not_the_spelling(make_lock: Any, ms: Any) -> None:
    text = make_lock(**{"node_modules/ms": ms})
    spaced = json.dumps(json.loads(text), indent=4)
    changed = text.replace("2.1.3", "2.1.2")
    digests = [read_lock("l", content.encode()).digest() for content in (text, spaced, changed)]
    assert digests[0] == digests[1] != digests[2]


def test_an_alias_is_known_by_its_name_in_the_registry(make_lock: Any, ms: Any) -> None:
    lock = read_lock("l", make_lock(**{"node_modules/alias": {**ms, "name": "ms"}}).encode())
    assert lock.entries[0].name == "ms"
