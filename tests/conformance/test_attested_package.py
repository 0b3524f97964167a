"""A package shipped for real, and its signed receipt as a stranger checks it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cloche_launch.trials import BARRIERS

NAME = "app-0.1.0.cloche.tar"
BESIDE = f"{NAME}.intoto.jsonl"


def cloche(home: Path, *arguments: str) -> tuple[int, str, str]:
    places = {"XDG_STATE_HOME": str(home / "state"), "XDG_CACHE_HOME": str(home / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", "cloche", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **places},
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which a project was shipped, with what was made of it."""
    home = tmp_path_factory.mktemp("shipped")
    assert cloche(home, "scaffold", "static", str(home / "app"))[0] == 0
    status, said, error = cloche(home, "ship", str(home / "app"))
    if "no-toolchain" in error or "is needed, found" in error:
        pytest.skip("toolchain: neither node with npm on this machine nor the extra of Cloche")
    assert status == 0, said + error
    return home


@pytest.fixture
def copy(shipped: Path, tmp_path: Path) -> Path:
    """A copy of the package and its attestation, as somebody else gets them."""
    for name in (NAME, BESIDE):
        shutil.copy(shipped / "app/artifacts" / name, tmp_path / name)
    return tmp_path / NAME


def changed(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_the_signer_and_a_stranger_with_the_public_key_can_check_it(
    shipped: Path, copy: Path, tmp_path: Path
) -> None:
    status, said, error = cloche(shipped, "verify", str(copy))
    assert (status, error) == (0, "")
    assert "NOT HELD" not in said
    assert "trials held" in said
    key = tmp_path / "key.pem"
    key.write_text(cloche(shipped, "key")[1])  # the last line, its id, is for people
    status, said, _ = cloche(tmp_path, "verify", "--json", "--key", str(key), str(copy))
    assert status == 0
    found: dict[str, Any] = json.loads(said)
    assert found["key"] == json.loads(cloche(shipped, "key", "--json")[1])["id"]
    steps = {step["step"]: step for step in found["receipt"]["steps"]}
    assert {trial["name"] for trial in steps["build"]["trials"]} == {*BARRIERS, "hear-refusals"}
    assert not [t for step in steps.values() for t in step["trials"] if t["verdict"] == "not held"]
    assert found["receipt"]["policy"]
    assert not (tmp_path / "state").exists()  # a stranger needs no key to check, and gets none


def test_openssl_finds_the_signature_good(shipped: Path, copy: Path, tmp_path: Path) -> None:
    if shutil.which("openssl") is None or shutil.which("jq") is None:
        pytest.skip("openssl and jq: the commands of docs/attestation.md need both")
    script = (Path(__file__).parents[2] / "docs/attestation.md").read_text().split("```")[3]
    (tmp_path / "key.pem").write_text(cloche(shipped, "key")[1])
    (tmp_path / "NAME.intoto.jsonl").write_bytes(copy.with_name(BESIDE).read_bytes())
    done = subprocess.run(
        ["bash", "-ec", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    if "unknown option" in done.stderr or "-rawin" in done.stderr:
        pytest.skip("openssl: older than 3")
    assert "Signature Verified Successfully" in done.stdout, done.stderr
    sums = subprocess.run(["sha256sum", str(copy)], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == sums.stdout.split()[0]


@pytest.mark.parametrize("place", [0, 40, 4_000, -3, -30])
def test_a_byte_of_the_attestation_changed_is_a_typed_refusal(
    shipped: Path, copy: Path, place: int
) -> None:
    changed(copy.with_name(BESIDE), place)
    status, said, _ = cloche(shipped, "verify", str(copy))
    assert (status in (123, 124), said) == (True, "")


@pytest.mark.parametrize("place", [0, 600, 5_000, -1])
def test_a_byte_of_the_package_changed_is_another_package(
    shipped: Path, copy: Path, place: int
) -> None:
    changed(copy, place)
    status, _, error = cloche(shipped, "verify", str(copy))
    assert (status, "what was signed has" in error) == (104, True)


def test_without_an_attestation_or_a_key_there_is_nothing_to_believe(
    shipped: Path, copy: Path, tmp_path: Path
) -> None:
    assert cloche(tmp_path, "verify", str(copy))[0] == 103
    assert cloche(tmp_path, "key")[0] == 0
    status, _, error = cloche(tmp_path, "verify", str(copy))
    assert (status, "it names the key" in error) == (124, True)
    copy.with_name(BESIDE).unlink()
    assert cloche(shipped, "verify", str(copy))[0] == 122


def test_a_key_that_others_may_read_signs_and_checks_nothing(shipped: Path, copy: Path) -> None:
    key = shipped / "state/cloche/signing-key.pem"
    content = key.read_bytes()
    try:
        key.chmod(0o640)
        assert cloche(shipped, "package", str(shipped / "app"))[0] == 103
        assert cloche(shipped, "verify", str(copy))[0] == 103
        key.write_bytes(b"no key")
        key.chmod(0o600)
        assert cloche(shipped, "key")[0] == 103
    finally:
        key.write_bytes(content)
        key.chmod(0o600)


def test_validate_refuses_what_somebody_else_signed(shipped: Path, tmp_path: Path) -> None:
    shutil.copytree(shipped / "app", tmp_path / "app")
    app = str(tmp_path / "app")
    assert cloche(shipped, "validate", app)[0] == 0
    assert cloche(tmp_path, "validate", app)[0] == 124
    beside = tmp_path / "app/artifacts" / BESIDE
    beside.unlink()
    assert cloche(shipped, "validate", app)[0] == 122


def test_a_run_that_fails_signs_nothing(tmp_path: Path) -> None:
    assert cloche(tmp_path, "scaffold", "static", str(tmp_path / "app"))[0] == 0
    manifest = json.loads((tmp_path / "app/package.json").read_text())
    manifest["scripts"]["build"] = "exit 3"
    (tmp_path / "app/package.json").write_text(json.dumps(manifest))
    status, _, error = cloche(tmp_path, "ship", str(tmp_path / "app"))
    if "is needed, found" in error:
        pytest.skip("toolchain: neither node with npm on this machine nor the extra of Cloche")
    assert status == 113
    assert not (tmp_path / "app/artifacts").exists()
    assert not (tmp_path / "state/cloche/signing-key.pem").exists()
