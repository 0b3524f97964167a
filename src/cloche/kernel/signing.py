"""The attestation of a package: signed with this user's key, and checked with it again."""

import os
from pathlib import Path

from cloche.artifact.attestation import SUFFIX, attest, check_attestation
from cloche.artifact.envelope import MOST_BYTES
from cloche.artifact.errors import AttestationMissing, PackageReplaced
from cloche.artifact.key import open_key
from cloche.kernel.receipts import receipt_of_run
from cloche.kernel.session import Session
from cloche.model.paths import JailPath


def write_attestation(package: Path, sha256: str, session: Session) -> Path:
    """Write what this run has done so far beside `package`, signed. Raises KeyUnusable."""
    key = open_key(session.machine.key_home)
    path = package.with_name(package.name + SUFFIX)
    path.write_bytes(attest(package.name, sha256, receipt_of_run(session), key))
    return path


def check_own(copy: Path, path: JailPath, session: Session) -> None:
    """Check `copy` of the package at `path` against its attestation in the transaction and this user's key.

    It must be what this run made, if it made one: an older one, signed as well, may be in its place.
    Raises what `check_attestation` raises, KeyUnusable.
    """
    here = JailPath((*path.parts[:-1], path.parts[-1] + SUFFIX))
    target = copy.with_name(copy.name + SUFFIX)
    try:
        descriptor = session.whole.open_file(here)
    except FileNotFoundError as error:
        raise AttestationMissing(str(here)) from error
    with os.fdopen(descriptor, "rb") as source, target.open("xb") as out:
        out.write(source.read(MOST_BYTES + 1))
    signed = check_attestation(copy, open_key(session.machine.key_home).public).statement.sha256
    if session.made and signed != session.made:
        raise PackageReplaced(str(path), signed, session.made)
