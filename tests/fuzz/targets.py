"""Every reader of a stranger's bytes, as a function that may raise its own refusal and nothing else."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloche.artifact.attestation import read_attestation
from cloche.artifact.envelope import seal
from cloche.artifact.errors import PackageInvalid
from cloche.artifact.key import SigningKey
from cloche.artifact.read import verify_package
from cloche.egress.denial import Refused
from cloche.egress.dns import parse
from cloche.egress.http_head import parse_head
from cloche.egress.nflog import refused_packets
from cloche.egress.tls import server_name
from cloche.errors import ClocheError
from cloche.model.paths import JailPath
from cloche.policy.load import load_policy
from cloche.runtimes.node.lint import lint_lock
from cloche.runtimes.node.lock import read_lock
from cloche.runtimes.node.npmrc import read_settings
from cloche.runtimes.provider import RegistryFacts
from cloche.workspace.journal import decode as decode_journal
from cloche_launch.plan import PlanRefused, decode, decode_ground

Target = Callable[[bytes], None]
_KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))


def policy(data: bytes) -> None:
    """A policy file: refused with every mistake and its line."""
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(data)
        file.flush()
        _typed(lambda: load_policy(Path(file.name)))


def npm_lock(data: bytes) -> None:
    """A package-lock.json: read, then linted."""
    registry = RegistryFacts(urls=("https://mirror.example.org/",))
    _typed(lambda: lint_lock(read_lock("package-lock.json", data), ("lib",), registry))


def npmrc(data: bytes) -> None:
    """A project's .npmrc."""
    _typed(lambda: read_settings(data))


def plan(data: bytes) -> None:
    """A plan document and a ground document, as the launcher reads them."""
    for reader in (decode, decode_ground):
        memory = os.memfd_create("plan")
        try:
            os.write(memory, data)
            reader(memory)
        except PlanRefused:
            pass
        finally:
            os.close(memory)


def dns_query(data: bytes) -> None:
    """A datagram that a program sent to its resolver."""
    parse(data)


def tls_hello(data: bytes) -> None:
    """The first bytes of a connection."""
    server_name(data)


def http_head(data: bytes) -> None:
    """A request's head."""
    with contextlib.suppress(Refused):
        parse_head(data).body_length()


def netlink_log(data: bytes) -> None:
    """What the kernel tells of packets it refused; their content is the program's."""
    list(refused_packets(data))


def journal(data: bytes) -> None:
    """A journal on a disk that somebody else could write to."""
    _typed(lambda: decode_journal(data, "journal"))


def package(data: bytes) -> None:
    """A package of a stranger's."""
    with tempfile.NamedTemporaryFile(suffix=".cloche.tar") as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(PackageInvalid):
            verify_package(Path(file.name))


def attestation(data: bytes) -> None:
    """An attestation of a stranger's, and a statement that a known key signed."""
    _typed(lambda: read_attestation("attestation", data, _KEY.public))
    sealed = seal(data, _KEY.public.id, _KEY.sign)
    _typed(lambda: read_attestation("attestation", sealed.encode(), _KEY.public))


def path(data: bytes) -> None:
    """A name out of a sandbox."""
    _typed(lambda: JailPath.parse(os.fsdecode(data)))


def _typed(act: Callable[[], object]) -> None:
    with contextlib.suppress(ClocheError):
        act()


TARGETS: dict[str, Target] = {
    "policy": policy,
    "npm-lock": npm_lock,
    "npmrc": npmrc,
    "plan": plan,
    "dns-query": dns_query,
    "tls-hello": tls_hello,
    "http-head": http_head,
    "netlink-log": netlink_log,
    "journal": journal,
    "package": package,
    "attestation": attestation,
    "path": path,
}
