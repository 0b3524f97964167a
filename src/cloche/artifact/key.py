"""The key that signs: Ed25519 (RFC 8032), one of this user on this machine, made when first needed."""

import hashlib
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from cloche.artifact.errors import KeyUnusable

FILE = "signing-key.pem"
_MOST_BYTES = 8192


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that verifies."""

    _key: Ed25519PublicKey

    @property
    def pem(self) -> str:
        """Its text: SubjectPublicKeyInfo as PEM (RFC 7468)."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def id(self) -> str:
        """Its name: SHA-256 of its SubjectPublicKeyInfo in DER."""
        der = self._key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(der).hexdigest()

    def verifies(self, signature: bytes, content: bytes) -> bool:
        """Tell whether `signature` over `content` was made by this key."""
        try:
            self._key.verify(signature, content)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs."""

    _key: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        """The half that may be shown."""
        return PublicKey(self._key.public_key())

    def sign(self, content: bytes) -> bytes:
        """Give the signature over `content`, 64 bytes."""
        return self._key.sign(content)


def open_key(home: Path) -> SigningKey:
    """Give the key kept in the directory `home`, made there if there is none. Raises KeyUnusable."""
    try:
        return find_key(home) or _make(home)
    except OSError as error:
        raise KeyUnusable(str(home / FILE), error.strerror or str(error)) from error


def find_key(home: Path) -> SigningKey | None:
    """Give the key kept in the directory `home`, None when there is none. Raises KeyUnusable."""
    path = home / FILE
    try:
        content = _read(path, private=True)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeyUnusable(str(path), error.strerror or str(error)) from error
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(str(path), "it holds no private key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(str(path), "its key is not of Ed25519")
    return SigningKey(key)


def read_public_key(path: Path) -> PublicKey:
    """Read a public key that somebody gave, in PEM. Raises KeyUnusable."""
    try:
        key = load_pem_public_key(_read(path, private=False))
    except OSError as error:
        raise KeyUnusable(str(path), error.strerror or str(error)) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(str(path), "it holds no public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyUnusable(str(path), "its key is not of Ed25519")
    return PublicKey(key)


def _read(path: Path, *, private: bool) -> bytes:
    # Not blocking: a pipe in its place would be waited for.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_NOFOLLOW if private else 0)
    descriptor = os.open(path, flags)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise KeyUnusable(str(path), "it is not a regular file")
        if private and found.st_uid != os.geteuid():
            raise KeyUnusable(str(path), f"it belongs to user {found.st_uid}")
        if private and stat.S_IMODE(found.st_mode) & 0o077:
            mode = f"{stat.S_IMODE(found.st_mode):o}"
            raise KeyUnusable(str(path), f"others have rights on it (mode {mode}, not 600)")
        content = os.read(descriptor, _MOST_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > _MOST_BYTES:
        raise KeyUnusable(str(path), f"it is longer than {_MOST_BYTES} bytes")
    return content


def _make(home: Path) -> SigningKey:
    """Make a key whole or not at all; of two that are made at once, the first stays."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = Ed25519PrivateKey.generate()
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    temporary = home / f".{FILE}.{secrets.token_hex(8)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, home / FILE)
        directory = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        os.fsync(directory)
        os.close(directory)
    except FileExistsError:
        pass
    finally:
        temporary.unlink(missing_ok=True)
    made = find_key(home)
    if made is None:
        raise KeyUnusable(str(home / FILE), "it was taken away while it was made")
    return made
