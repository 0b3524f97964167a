"""An attestation is what was signed, in its one form, or an error with a name."""

import base64
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.unit.artifact.receipts import RECEIPT

from cloche.artifact import envelope
from cloche.artifact.attestation import SUFFIX, attest, check_attestation, read_attestation
from cloche.artifact.errors import (
    AttestationInvalid,
    AttestationMissing,
    KeyUnusable,
    PackageInvalid,
    PackageReplaced,
    SignatureRefused,
)
from cloche.artifact.key import FILE, SigningKey, find_key, open_key, read_public_key
from cloche.artifact.receipt import Statement, canonical, decode

DIGEST = "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7"  # of b"data"


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return open_key(tmp_path / "home")


@pytest.fixture
def package(tmp_path: Path, key: SigningKey) -> Path:
    path = tmp_path / "app.cloche.tar"
    path.write_bytes(b"data")
    path.with_name(path.name + SUFFIX).write_bytes(attest("app.cloche.tar", DIGEST, RECEIPT, key))
    return path


def test_what_was_signed_is_read(package: Path, key: SigningKey) -> None:
    attested = check_attestation(package, key.public)
    assert attested.statement.receipt == RECEIPT
    assert attested.key_id == key.public.id
    moved = package.rename(package.with_name("other"))
    package.with_name(package.name + SUFFIX).rename(moved.with_name(moved.name + SUFFIX))
    assert check_attestation(moved, key.public) == attested


def test_the_encoding_that_is_signed_is_that_of_dsse() -> None:
    assert envelope.to_sign(b"hello") == b"DSSEv1 28 application/vnd.in-toto+json 5 hello"


def test_another_package_another_key_and_none_are_different_errors(
    package: Path, key: SigningKey, tmp_path: Path
) -> None:
    with pytest.raises(SignatureRefused, match=key.public.id):
        check_attestation(package, open_key(tmp_path / "other").public)
    package.write_bytes(b"datb")
    with pytest.raises(PackageReplaced, match=DIGEST):
        check_attestation(package, key.public)
    package.with_name(package.name + SUFFIX).unlink()
    with pytest.raises(AttestationMissing):
        check_attestation(package, key.public)


def test_a_pipe_or_a_directory_is_no_package_and_no_attestation(
    package: Path, key: SigningKey
) -> None:
    package.unlink()
    os.mkfifo(package)
    with pytest.raises(PackageInvalid):
        check_attestation(package, key.public)
    beside = package.with_name(package.name + SUFFIX)
    beside.unlink()
    beside.mkdir()
    with pytest.raises(AttestationInvalid):
        check_attestation(package, key.public)


def rewritten(content: bytes, **changes: Any) -> bytes:
    return canonical(json.loads(content) | changes) + b"\n"


def test_the_same_envelope_in_another_form_is_refused(key: SigningKey) -> None:
    content = attest("app", DIGEST, RECEIPT, key)
    fields = json.loads(content)
    signature = fields["signatures"][0]
    others = (
        content.rstrip(),
        content + b"\n",
        json.dumps(fields).encode(),
        rewritten(content, more=1),
        rewritten(content, payloadType="text/plain"),
        rewritten(content, signatures=[]),
        rewritten(content, signatures=[signature, signature]),
        rewritten(content, payload=fields["payload"] + "\n"),
        content.replace(b"{", b'{"payload":"",', 1),
        b"[" * 100_000,
        b" " * (envelope.MOST_BYTES + 1),
    )
    for other in others:
        with pytest.raises(AttestationInvalid):
            read_attestation("app", other, key.public)


def test_a_key_id_that_is_not_the_keys_is_refused(key: SigningKey) -> None:
    content = attest("app", DIGEST, RECEIPT, key)
    with pytest.raises(SignatureRefused, match="names the key 'mine'"):
        read_attestation("app", content.replace(key.public.id.encode(), b"mine"), key.public)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b'{"subject":[]}',
        Statement(name="app", sha256=DIGEST, receipt=RECEIPT).encode() + b" ",
        Statement(name="app", sha256=DIGEST, receipt=RECEIPT).encode().replace(b"v1", b"v2"),
    ],
)
def test_what_a_key_signed_need_not_be_a_statement(payload: bytes, key: SigningKey) -> None:
    sealed = envelope.seal(payload, key.public.id, key.sign).encode()
    with pytest.raises(AttestationInvalid, match="statement"):
        read_attestation("app", sealed, key.public)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("predicate", "cloche"), 1),
        (("predicate", "steps"), {}),
        (("predicate", "steps", 0, "limits", "processes"), True),
        (("predicate", "steps", 0, "limits", "processes"), 0),
        (("predicate", "steps", 0, "trials", 0, "verdict"), []),
        (("predicate", "steps", 0, "more"), 1),
        (("subject", 0, "name"), None),
    ],
)
def test_a_field_of_another_kind_is_refused(path: tuple[Any, ...], value: object) -> None:
    document = json.loads(Statement(name="app", sha256=DIGEST, receipt=RECEIPT).encode())
    place = document
    for each in path[:-1]:
        place = place[each]
    place[path[-1]] = value
    with pytest.raises(ValueError, match=r"kind|Verdict"):
        decode(canonical(document))


def test_the_key_is_made_once_and_is_its_users_alone(tmp_path: Path) -> None:
    assert find_key(tmp_path) is None
    first = open_key(tmp_path)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert open_key(tmp_path).public.id == first.public.id
    assert [each.name for each in tmp_path.iterdir()] == [FILE]


def test_a_public_key_is_read_as_it_is_printed(tmp_path: Path) -> None:
    public = open_key(tmp_path / "home").public
    (tmp_path / "key.pem").write_text(public.pem)
    assert read_public_key(tmp_path / "key.pem").id == public.id


def test_a_key_that_is_not_what_it_must_be_is_refused_by_name(tmp_path: Path) -> None:
    open_key(tmp_path)
    path = tmp_path / FILE
    path.chmod(0o644)
    with pytest.raises(KeyUnusable, match="mode 644"):
        open_key(tmp_path)
    path.chmod(0o600)
    path.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with pytest.raises(KeyUnusable, match="no private key"):
        open_key(tmp_path)
    path.write_bytes(b"A" * 10_000)
    with pytest.raises(KeyUnusable, match="longer"):
        open_key(tmp_path)
    rsa = generate_private_key(public_exponent=65_537, key_size=2048)
    path.write_bytes(rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(KeyUnusable, match="Ed25519"):
        open_key(tmp_path)
    path.unlink()
    path.symlink_to("elsewhere")
    with pytest.raises(KeyUnusable):
        open_key(tmp_path)
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(KeyUnusable, match="regular"):
        open_key(tmp_path)


def test_a_key_of_another_user_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("root: only it can give a file to another user")
    open_key(tmp_path)
    os.chown(tmp_path / FILE, 65_534, 65_534)
    with pytest.raises(KeyUnusable, match="user 65534"):
        open_key(tmp_path)


def test_base64_of_the_same_bytes_written_otherwise_is_refused(key: SigningKey) -> None:
    content = attest("app", DIGEST, RECEIPT, key)
    text = json.loads(content)["signatures"][0]["sig"]
    assert text.endswith("==")  # 64 bytes: four bits of the last letter mean nothing
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = text[:-3] + alphabet[alphabet.index(text[-3]) ^ 1] + "=="
    assert base64.b64decode(other) == base64.b64decode(text)
    with pytest.raises(AttestationInvalid, match="canonical"):
        read_attestation("app", content.replace(text.encode(), other.encode()), key.public)
