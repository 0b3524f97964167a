"""What the cache takes of a fetch: a package that is what it is called, and what a lock says of it."""

import hashlib
import io
import zipfile
from base64 import b64encode

from cloche.runtimes.dotnet.cached import cache_entry

PLACE = "0123456789abcdef/fedcba9876543210"
NUSPEC = "<package><metadata><id>Dep</id><version>1.0.0</version></metadata></package>"


def package(nuspec: str = NUSPEC) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("Dep.nuspec", nuspec)
    return out.getvalue()


def fault(content: bytes, digests: dict[str, str]) -> str:
    name = hashlib.sha512(content).hexdigest().upper()
    entry = cache_entry(f"{PLACE}/dep.1.0.0+{name}.nupkg", digests)
    assert entry is not None
    assert entry.fault is not None
    assert entry.digest == hashlib.sha512(content).hexdigest()
    return entry.fault(io.BytesIO(content))


def test_a_package_is_held_against_the_lock_that_names_it() -> None:
    content = package()
    right = b64encode(hashlib.sha512(content).digest()).decode()
    assert fault(content, {}) == ""
    assert fault(content, {"dep.1.0.0": right}) == ""
    assert fault(content, {"other.1.0.0": "x"}) == ""
    assert "not the lock's" in fault(content, {"dep.1.0.0": right[::-1]})


def test_a_package_that_is_another_is_refused_without_a_lock() -> None:
    assert "it says that it is" in fault(package(NUSPEC.replace("Dep", "Newtonsoft.Json")), {})
    assert "no archive" in fault(b"x" * 100, {})


def test_a_fetch_that_brought_nothing_leaves_an_empty_mark_and_no_other_file() -> None:
    mark = cache_entry(f"{PLACE}/fetched", {})
    assert mark is not None
    assert mark.digest == hashlib.sha256(b"").hexdigest()
    for path in (f"{PLACE}/fetched/x", "0123456789abcdef/fetched", f"{PLACE}/x/fetched", "fetched"):
        assert cache_entry(path, {}) is None
