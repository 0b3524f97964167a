"""Packages' archives judged: what leads out of them, lies about itself or grows without end is not kept."""

import base64
import contextlib
import hashlib
import io
import random
import stat
import zipfile
from collections.abc import Mapping

import pytest

from cloche.runtimes.dotnet.archive import SIGNATURE, content_hash, fault_of, normal_version

NUSPEC = (
    "<package xmlns='urn:x'><metadata><id>Dep.One</id><version>1.2.0</version></metadata></package>"
)
LINK = stat.S_IFLNK | 0o777


def archive(
    files: Mapping[str, bytes | str], *, nuspec: str = NUSPEC, mode: int = 0, comment: bytes = b""
) -> io.BytesIO:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        if nuspec:
            made.writestr("Dep.One.nuspec", nuspec)
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.filename = entry.orig_filename = name  # as it stands, without this system's rules
            entry.external_attr = mode << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            made.writestr(entry, content)
        made.comment = comment
    return out


def test_an_honest_package_is_kept_whatever_form_its_version_has() -> None:
    files = {"lib/net10.0/Dep.One.dll": b"x", "_rels/.rels": "", "[Content_Types].xml": ""}
    assert fault_of("dep.one.1.2.0", archive(files)) == ""
    for version in ("1.2", "1.2.0.0", "01.2.0", "1.2.0+build.7"):
        told = NUSPEC.replace("1.2.0", version)
        assert fault_of("dep.one.1.2.0", archive(files, nuspec=told)) == ""


def test_versions_are_named_as_nuget_names_them() -> None:
    named = {
        "1": "1.0.0",
        "1.2.3.4": "1.2.3.4",
        "1.0.0-RC.1+x": "1.0.0-rc.1",
        "1.0-a-b": "1.0.0-a-b",
    }
    assert {version: normal_version(version) for version in named} == named


@pytest.mark.parametrize(
    "name",
    ["../x", "lib/../../x", "/etc/x", "..\\x", "lib\\..\\..\\x", "\\x", "C:/x", "C:\\x", "lib/.."],
)  # fmt: skip
def test_what_leads_out_of_the_archive_is_refused(name: str) -> None:
    assert "leads out" in fault_of("dep.one.1.2.0", archive({name: b""}))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices_are_refused(kind: int) -> None:
    assert "is no file" in fault_of("dep.one.1.2.0", archive({"lib/x": b"/etc"}, mode=kind | 0o777))


@pytest.mark.parametrize(
    "nuspec",
    [
        "",
        NUSPEC.replace("Dep.One", "Newtonsoft.Json"),
        NUSPEC.replace("1.2.0", "1.2.1"),
        "<!DOCTYPE a [<!ENTITY b 'x'><!ENTITY c '&b;&b;'>]>" + NUSPEC.replace("Dep.One", "&c;"),
        "<package />",
        "<" * 10_000,
        "<a>" * 10_000,
        " " * ((1 << 20) + 1),
    ],
)
def test_who_does_not_say_that_it_is_what_it_is_called_is_refused(nuspec: str) -> None:
    assert fault_of("dep.one.1.2.0", archive({"x": ""}, nuspec=nuspec))


def test_two_descriptions_are_refused() -> None:
    assert "one .nuspec" in fault_of("dep.one.1.2.0", archive({"Other.nuspec": NUSPEC}))


def test_more_than_could_be_laid_out_is_refused() -> None:
    made = bytearray(archive({"bomb": bytes(1000)}).getvalue())
    # The size that the directory declares, in the record of the last entry.
    place = made.rindex(b"PK\x01\x02") + 24
    made[place : place + 4] = b"\xff\xff\xff\xff"
    assert fault_of("dep.one.1.2.0", io.BytesIO(made))


def test_a_directory_that_counts_for_more_than_it_should_is_not_read() -> None:
    whole = archive({"x": ""}).getvalue()
    place = len(whole) - 22
    of_64_bits = whole[:place] + b"PK\6\7" + bytes(16) + whole[place:]
    longer = bytearray(whole)
    longer[place + 12 : place + 16] = (9 << 20).to_bytes(4, "little")
    for made in (
        of_64_bits,
        bytes(longer),
        whole + b"x",
        b"",
        archive({}, comment=b"c").getvalue(),
    ):
        assert "of the kind" in fault_of("dep.one.1.2.0", io.BytesIO(made))


def test_no_bytes_make_anything_but_an_answer() -> None:
    whole = archive({"lib/x": b"y" * 100}).getvalue()
    chance = random.Random(7)
    for _ in range(500):
        made = bytearray(whole[: chance.randrange(len(whole) + 1)] or whole)
        for _ in range(chance.randrange(4)):
            made[chance.randrange(len(made))] = chance.randrange(256)
        assert isinstance(fault_of("dep.one.1.2.0", io.BytesIO(made)), str)
        with contextlib.suppress(ValueError):
            content_hash(io.BytesIO(made))


@pytest.mark.parametrize("place", ["last", "first"])
def test_a_signature_does_not_count_for_what_the_content_is(place: str) -> None:
    """The signed archive with the signature's two records taken out is the unsigned one, byte by byte."""
    files: dict[str, bytes | str] = {"lib/a": b"1" * 50, "lib/b": b"2" * 50}
    plain = archive(files).getvalue()
    signed = archive({**files, SIGNATURE: b"s" * 99} if place == "last" else files)
    if place == "first":
        signed = archive({SIGNATURE: b"s" * 99, **files})
    expected = base64.b64encode(hashlib.sha512(plain).digest()).decode()
    assert content_hash(io.BytesIO(plain)) == expected
    assert content_hash(signed) == expected
    changed = archive({**files, "lib/b": b"3" * 50, SIGNATURE: b"s" * 99})
    assert content_hash(changed) != expected
    assert content_hash(archive(files, comment=b"c")) != expected


def test_what_nuget_would_not_sign_has_no_content_hash() -> None:
    signed = {SIGNATURE: b"s"}
    for made in (archive(signed, comment=b"c"), io.BytesIO(b""), io.BytesIO(b"x" * 100)):
        with pytest.raises(ValueError, match=r"."):
            content_hash(made)
