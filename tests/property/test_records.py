"""What is read back from a disk or a stranger is what was written, or is refused by name."""

import hashlib
import json
import os
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.artifact.receipts import RECEIPT

from cloche.artifact.attestation import attest, read_attestation
from cloche.artifact.envelope import seal
from cloche.artifact.errors import AttestationInvalid, PackageInvalid, SignatureRefused
from cloche.artifact.key import SigningKey
from cloche.artifact.read import extract_package, verify_package
from cloche.artifact.receipt import canonical
from cloche.workspace.errors import JournalDamaged
from cloche.workspace.journal import (
    Action,
    Fingerprint,
    Journal,
    Kind,
    Metadata,
    Operation,
    Tally,
    decode,
    encode,
)

KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))
ATTESTATION = attest("app", "0" * 64, RECEIPT, KEY)
ENVELOPE = ("payload", "payloadType", "signatures")
numbers = st.integers(0, 1 << 62)
# Names on a disk are bytes: what is no UTF-8 travels as lone surrogates.
paths = st.binary(min_size=1, max_size=30).map(os.fsdecode)
fingerprints = st.builds(
    Fingerprint,
    inode=numbers,
    mode=numbers,
    size=numbers,
    modified=numbers,
)
operations = st.builds(
    Operation,
    action=st.sampled_from(Action),
    path=paths,
    store=paths,
    incoming=st.none() | fingerprints,
    outgoing=st.none() | fingerprints,
)
metadata = st.builds(
    Metadata, path=paths, mode=numbers, accessed=numbers, modified=numbers, times=st.booleans()
)
journals = st.builds(
    Journal,
    kind=st.sampled_from(Kind),
    transaction=paths,
    directory=paths,
    number=numbers,
    began=numbers,
    operations=st.lists(operations, max_size=4).map(tuple),
    metadata=st.lists(metadata, max_size=3).map(tuple),
    before=st.lists(metadata, max_size=3).map(tuple),
    owned=st.lists(paths, max_size=3).map(tuple),
    tally=st.builds(Tally, added=numbers, replaced=numbers, deleted=numbers),
)


@given(journals)
def test_a_journal_says_what_was_written(journal: Journal) -> None:
    assert decode(encode(journal), "journal") == journal


@given(journals, st.data())
def test_a_journal_with_one_byte_changed_or_cut_is_refused(
    journal: Journal, data: st.DataObject
) -> None:
    raw = bytearray(encode(journal))
    place = data.draw(st.integers(0, len(raw) - 1))
    if data.draw(st.booleans()):
        raw[place] ^= data.draw(st.integers(1, 255))
    else:
        del raw[place:]
    with pytest.raises(JournalDamaged):
        decode(bytes(raw), "journal")


@given(st.binary(max_size=300))
def test_bytes_with_a_true_checksum_are_still_no_journal(body: bytes) -> None:
    raw = hashlib.sha256(body).hexdigest().encode() + b"\n" + body
    with pytest.raises(JournalDamaged):
        decode(raw, "journal")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = ("kind", "transaction", "directory", "number", "began", "operations", "metadata", "before",
         "owned", "tally")  # fmt: skip


@given(st.fixed_dictionaries(dict.fromkeys(NAMES, anything)) | anything)
def test_json_of_any_shape_with_a_true_checksum_is_refused(value: object) -> None:
    body = json.dumps(value).encode()
    raw = hashlib.sha256(body).hexdigest().encode() + b"\n" + body
    with pytest.raises(JournalDamaged):
        decode(raw, "journal")


@given(st.binary(max_size=4096) | st.binary(max_size=2000).map(lambda b: b.ljust(10_240, b"\0")))
def test_any_bytes_are_no_package(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        package = Path(name, "p.cloche.tar")
        package.write_bytes(content)
        with pytest.raises(PackageInvalid):
            verify_package(package)
        into = Path(name, "into")
        into.mkdir()
        with pytest.raises(PackageInvalid):
            extract_package(package, into)
        assert list(into.iterdir()) == []


@given(st.data())
def test_an_attestation_with_anything_changed_never_verifies(data: st.DataObject) -> None:
    content = bytearray(ATTESTATION)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        deed = data.draw(st.sampled_from(("change", "insert", "cut")))
        if deed == "change":
            content[place] ^= data.draw(st.integers(1, 255))
        elif deed == "insert":
            content.insert(place, data.draw(st.integers(0, 255)))
        else:
            del content[place : place + data.draw(st.integers(1, 40))]
    if bytes(content) == ATTESTATION:
        return
    with pytest.raises((AttestationInvalid, SignatureRefused)):
        read_attestation("app", bytes(content), KEY.public)


@given(anything)
def test_json_of_any_shape_with_a_true_signature_is_no_statement(value: object) -> None:
    sealed = seal(json.dumps(value).encode(), KEY.public.id, KEY.sign).encode()
    with pytest.raises(AttestationInvalid):
        read_attestation("app", sealed, KEY.public)


@given(anything | st.fixed_dictionaries(dict.fromkeys(ENVELOPE, anything)))
def test_json_of_any_shape_is_no_envelope(value: object) -> None:
    with pytest.raises(AttestationInvalid):
        read_attestation("app", canonical({"": 0} | {"x": value}), KEY.public)
    with pytest.raises(AttestationInvalid):
        read_attestation("app", json.dumps(value).encode(), KEY.public)
