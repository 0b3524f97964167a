"""`cloche verify` and `cloche key`: what a package's attestation says, and who said so. No kernel, no sandbox."""

import argparse
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

from cloche.artifact.attestation import Attested, check_attestation
from cloche.artifact.errors import KeyUnusable
from cloche.artifact.key import FILE, PublicKey, find_key, open_key, read_public_key
from cloche.artifact.read import verify_package
from cloche.artifact.receipt import StepReceipt
from cloche.assembly import find_state_home
from cloche.model.trial import Verdict
from cloche.workspace.screen import shown

_LONGEST_ARGV = 80


def verify(arguments: argparse.Namespace) -> int:
    """Check a package and the attestation beside it. Raises what `check_attestation` raises, KeyUnusable."""
    package: Path = arguments.package
    key = read_public_key(arguments.key) if arguments.key else _own_key()
    attested = check_attestation(package, key)
    members = len(verify_package(package).manifest.members)
    if arguments.json:
        receipt = json.loads(attested.statement.encode())["predicate"]
        said = {"sha256": attested.statement.sha256, "key": attested.key_id, "files": members}
        found = {"type": "verified", "package": str(package), **said, "receipt": receipt}
        print(json.dumps(found))
        return 0
    for line in _summary(attested, members):
        print(shown(line))
    return 0


def key(arguments: argparse.Namespace) -> int:
    """Print the public half of this user's key, made now if there is none yet."""
    public = open_key(find_state_home()).public
    if arguments.json:
        print(json.dumps({"type": "key", "id": public.id, "pem": public.pem}))
    else:
        print(f"{public.pem}key {public.id}")
    return 0


def _own_key() -> PublicKey:
    home = find_state_home()
    found = find_key(home)
    if found is None:
        raise KeyUnusable(str(home / FILE), "you have none yet; give the signer's with --key")
    return found.public


def _summary(attested: Attested, members: int) -> Iterator[str]:
    statement, receipt = attested.statement, attested.statement.receipt
    yield f"{statement.name}: {members} files, each as its manifest says"
    yield f"  sha256  {statement.sha256}"
    yield f"  signed  {receipt.signed} by the key {attested.key_id}"
    yield f"  by      Cloche {receipt.cloche} on Linux {receipt.kernel} {receipt.architecture}"
    yield f"  policy  {receipt.policy or 'the default'}"
    yield f"  tools   {', '.join(f'{t.name} {t.version}' for t in receipt.tools) or 'none'}"
    for step in receipt.steps:
        yield from _step(step)
    yield (
        f"  {receipt.refused_count} refusals" if receipt.refused_count else "  nothing was refused"
    )
    for refused in receipt.refused:
        yield f"    [{refused.rule}] {refused.step}: {refused.tried}"


def _step(step: StepReceipt) -> Iterator[str]:
    full = sum(barrier.support == "full" for barrier in step.barriers)
    held = sum(trial.verdict is Verdict.HELD for trial in step.trials)
    yield f"  step {step.step}, network {step.network}: {' '.join(step.argv)[:_LONGEST_ARGV]}"
    yield f"    {full} of {len(step.barriers)} barriers in full, {held} of {len(step.trials)} trials held"
    for barrier in step.barriers:
        if barrier.support != "full":
            yield f"    {barrier.support.upper():8} {barrier.name:22} {barrier.why}"
    for trial in step.trials:
        if trial.verdict is not Verdict.HELD:
            yield f"    {trial.verdict.value.upper():8} {trial.name:22} {trial.detail}"
    peaks = {k: v for k, v in dataclasses.asdict(step.peaks).items() if v is not None}
    yield f"    took {', '.join(f'{name} {value}' for name, value in peaks.items())}"
