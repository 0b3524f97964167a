"""The attestation beside a package: written with it, checked by anybody who has the signer's public key."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from cloche.artifact import envelope as envelopes
from cloche.artifact import receipt as receipts
from cloche.artifact.errors import (
    AttestationInvalid,
    AttestationMissing,
    PackageInvalid,
    PackageReplaced,
    SignatureRefused,
)
from cloche.artifact.key import PublicKey, SigningKey
from cloche.artifact.receipt import Receipt, Statement

SUFFIX = ".intoto.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """A package whose attestation holds: what was signed, and by whom."""

    statement: Statement
    key_id: str


def attest(name: str, sha256: str, receipt: Receipt, key: SigningKey) -> bytes:
    """Give the attestation of the package `name`, as its file holds it."""
    payload = Statement(name=name, sha256=sha256, receipt=receipt).encode()
    return envelopes.seal(payload, key.public.id, key.sign).encode()


def check_attestation(package: Path, key: PublicKey, attestation: Path | None = None) -> Attested:
    """Check a package against the attestation beside it; nothing of either is believed before.

    Raises AttestationMissing, AttestationInvalid, SignatureRefused,
    PackageReplaced, and PackageInvalid for what is no readable file.
    """
    path = attestation or package.with_name(package.name + SUFFIX)
    statement = read_attestation(path.name, _content(path), key)
    digest = _digest(package)
    # By its digest alone: a package may be called otherwise where it arrives.
    if digest != statement.sha256:
        raise PackageReplaced(package.name, digest, statement.sha256)
    return Attested(statement=statement, key_id=key.id)


def read_attestation(name: str, content: bytes, key: PublicKey) -> Statement:
    """Give what `key` signed. Raises AttestationInvalid, SignatureRefused; `name` is for their texts."""
    try:
        envelope = envelopes.decode(content)
    except ValueError as error:
        raise AttestationInvalid(name, str(error)) from error
    # The signature first: what nobody known has signed is read no further.
    signed = key.verifies(envelope.signature, envelopes.to_sign(envelope.payload))
    if not signed or envelope.key_id != key.id:
        raise SignatureRefused(name, key.id, envelope.key_id[:64])
    try:
        return receipts.decode(envelope.payload)
    except ValueError as error:
        raise AttestationInvalid(name, f"its statement is refused: {error}") from error


def _content(path: Path) -> bytes:
    try:
        with os.fdopen(_open(path), "rb") as file:
            return file.read(envelopes.MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise AttestationMissing(str(path)) from error
    except OSError as error:
        raise AttestationInvalid(path.name, error.strerror or str(error)) from error


def _digest(package: Path) -> str:
    try:
        with os.fdopen(_open(package), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PackageInvalid(package.name, error.strerror or str(error)) from error


def _open(path: Path) -> int:
    """Open a regular file; a pipe in its place would be waited for. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{str(path)!r} is not a regular file")
    return descriptor
