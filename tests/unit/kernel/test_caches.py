"""A shared cache takes only what is what its name says."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from cloche.kernel.caches import Cache
from cloche.kernel.errors import CacheUnusable, PackageRefused
from cloche.runtimes.toolchain import CacheEntry


def judge(path: str) -> CacheEntry | None:
    if path.startswith("content/"):
        return CacheEntry(algorithm="sha512", digest=path.removeprefix("content/"))
    return CacheEntry() if path.startswith("index/") else None


def layer(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def test_content_under_its_digest_is_taken_and_the_rest_dropped(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "caches", "npm")
    name = f"content/{hashlib.sha512(b'tarball').hexdigest()}"
    upper = layer(tmp_path / "up", {name: b"tarball", "index/a": b"line", "tmp/x": b"junk"})
    assert cache.promote(upper, judge) == 2
    assert (cache.content / name).read_bytes() == b"tarball"
    assert not (cache.content / "tmp").exists()


def test_content_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "caches", "npm")
    name = f"content/{hashlib.sha512(b'tarball').hexdigest()}"
    with pytest.raises(CacheUnusable):
        cache.promote(layer(tmp_path / "up", {name: b"poison"}), judge)
    assert not (cache.content / name).exists()


def test_content_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "caches", "npm")
    name = f"content/{hashlib.sha512(b'tarball').hexdigest()}"
    cache.promote(layer(tmp_path / "one", {name: b"tarball"}), judge)
    assert cache.promote(layer(tmp_path / "two", {name: b"tarball"}), judge) == 0


def test_what_is_there_is_hashed_again_and_stays_what_it_was(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "caches", "cargo")

    def saying(content: bytes) -> Callable[[str], CacheEntry | None]:
        entry = CacheEntry(algorithm="sha256", digest=hashlib.sha256(content).hexdigest())
        return lambda path: entry if path == "a.crate" else None

    cache.promote(layer(tmp_path / "one", {"a.crate": b"one"}), saying(b"one"))
    cache.check(saying(b"one"))
    cache.check(lambda _: CacheEntry())
    # Another lock says otherwise: it gets nothing, and those who have the first keep it.
    assert cache.promote(layer(tmp_path / "two", {"a.crate": b"two"}), saying(b"two")) == 0
    with pytest.raises(CacheUnusable):
        cache.check(saying(b"two"))
    assert (cache.content / "a.crate").read_bytes() == b"one"


def test_a_link_in_the_layer_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    upper = layer(tmp_path / "up", {"index/a": b"line"})
    (upper / "index/b").symlink_to(secret)
    cache = Cache(tmp_path / "caches", "npm")
    assert cache.promote(upper, judge) == 1
    assert not (cache.content / "index/b").exists()


def test_a_key_is_remembered_until_it_is_forgotten(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "caches", "npm")
    cache.record("ab12")
    assert cache.keys() == {"ab12"}
    cache.forget("ab12")
    assert cache.keys() == frozenset()


def test_a_key_cannot_name_another_place(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "caches", "npm")
    cache.record("../../escape")
    assert not (tmp_path / "escape").exists()
    assert cache.keys() == frozenset()


def test_a_file_with_a_second_name_takes_the_room_of_one(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "caches", "nuget")
    digest = hashlib.sha512(b"package").hexdigest()

    def shared(_: str) -> CacheEntry:
        return CacheEntry(algorithm="sha512", digest=digest, also="all/package")

    cache.promote(layer(tmp_path / "one", {"one/package": b"package"}), shared)
    cache.promote(layer(tmp_path / "two", {"two/package": b"package"}), shared)
    places = [cache.content / name for name in ("one/package", "two/package", "all/package")]
    assert {place.stat().st_ino for place in places} == {places[0].stat().st_ino}


def test_what_a_provider_finds_wrong_with_a_file_keeps_it_out(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "caches", "nuget")
    digest = hashlib.sha512(b"package").hexdigest()

    def wanting(known: str) -> Callable[[str], CacheEntry]:
        return lambda _: CacheEntry(
            algorithm="sha512",
            digest=digest,
            also="all/package",
            fault=lambda file: "" if file.read().decode() == known else "another",
        )

    upper = layer(tmp_path / "one", {"one/package": b"package"})
    with pytest.raises(PackageRefused, match="another"):
        cache.promote(upper, wanting("parcel"))
    assert [path for path in cache.content.rglob("*") if path.is_file()] == []
    assert cache.promote(upper, wanting("package")) == 1
