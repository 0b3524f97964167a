"""What can be wrong with a package, or with what should go into one."""

from cloche.errors import ClocheError


class NotPackable(ClocheError):
    """Something that should go into the package is missing, or may not be in one."""

    code = "not-packable"
    exit_status = 120
    remedy = "Build first; then see that every declared output is there and holds no outward link."

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path!r} cannot be packaged: {why}")
        self.path, self.why = path, why


class PackageInvalid(ClocheError):
    """A package is not what its manifest says, or holds something no package may."""

    code = "package-invalid"
    exit_status = 121
    remedy = "Do not use it; package again, or get it again from where it came."

    def __init__(self, package: str, why: str) -> None:
        super().__init__(f"package {package!r} is refused: {why}")
        self.package, self.why = package, why


class AttestationMissing(ClocheError):
    """No attestation lies beside a package: nobody says how it was made."""

    code = "attestation-missing"
    exit_status = 122
    remedy = "Package again, or get the attestation from where the package came."

    def __init__(self, path: str) -> None:
        super().__init__(f"there is no attestation {path!r}")
        self.path = path


class AttestationInvalid(ClocheError):
    """An attestation is malformed, too long, or of another form."""

    code = "attestation-invalid"
    exit_status = 123
    remedy = "Do not trust the package; get both again from where they came, or package again."

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"attestation {path!r} is refused: {why}")
        self.path, self.why = path, why


class PackageReplaced(ClocheError):
    """A package is not the one that its attestation was signed for."""

    code = "package-replaced"
    exit_status = 104
    remedy = "Do not use it; get it again from where it came, or package again."

    def __init__(self, package: str, sha256: str, signed: str) -> None:
        super().__init__(f"package {package!r} has sha256 {sha256}; what was signed has {signed}")
        self.package, self.sha256, self.signed = package, sha256, signed


class SignatureRefused(ClocheError):
    """An attestation was not signed by the key it is checked with, or was changed since."""

    code = "signature-refused"
    exit_status = 124
    remedy = (
        "Give the signer's key with --key (`cloche key` prints one); if that is the right one, do "
        "not trust the package."
    )

    def __init__(self, path: str, key: str, said: str) -> None:
        why = "it was changed after it was signed" if said == key else f"it names the key {said!r}"
        super().__init__(f"attestation {path!r} is not signed by the key {key}: {why}")
        self.path, self.key, self.said = path, key, said


class KeyUnusable(ClocheError):
    """A key cannot be read, is of another kind, or is not its user's alone."""

    code = "key-unusable"
    exit_status = 103
    remedy = (
        "Mend what the message names. Without the private key a new one is made, and what the old "
        "one signed is checked with the old one's public key."
    )

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"the key {path!r} is refused: {why}")
        self.path, self.why = path, why
