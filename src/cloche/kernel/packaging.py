"""From a built tree to a package in the transaction, and the proof that the package lives."""

import json
import os
from importlib import import_module
from pathlib import Path
from types import ModuleType

from cloche.artifact.bom import bill_of_materials
from cloche.artifact.package import write_package
from cloche.artifact.read import extract_package, verify_package
from cloche.kernel.ends import in_thread
from cloche.kernel.errors import OutputRefused
from cloche.kernel.service import serve
from cloche.kernel.session import Session
from cloche.model.event import ArtifactMade, Note
from cloche.model.paths import JailPath
from cloche.model.step import ArtifactSpec, Plan
from cloche.model.tier import Tier

DIRECTORY = "artifacts"
SUFFIX = ".cloche.tar"
_NOT_TRIED = (
    "every digest of the package holds; it was not started, since that takes a network namespace"
)


def artifact_path(spec: ArtifactSpec, session: Session) -> JailPath:
    """Say where in the project the package of `spec` goes: two parts may have one name and version."""
    name = f"{spec.name}-{spec.version}".replace("/", "-").lstrip("@.")
    return JailPath.parse(f"{DIRECTORY}/{session.transaction.prefix}/{name}{SUFFIX}")


def make_package(plan: Plan, session: Session) -> ArtifactMade:
    """Write the package of `plan` and its attestation into the transaction. Blocks; raises what artifact raises."""
    spec = _spec(plan)
    target = artifact_path(spec, session)
    out = session.transaction.scratch("package") / target.name
    made = write_package(
        session.transaction,
        spec,
        out,
        {
            "bom.cdx.json": bill_of_materials(spec, session.epoch),
            "containment.json": _containment(session),
        },
        session.epoch,
    )
    attestation = signing().write_attestation(out, made.sha256, session)
    session.made = made.sha256
    session.whole.take(out, target)
    session.whole.take(attestation, JailPath((*target.parts[:-1], attestation.name)))
    return ArtifactMade(
        path=str(target), sha256=made.sha256, size=made.size, files=made.files, part=session.part
    )


def _spec(plan: Plan) -> ArtifactSpec:
    if plan.artifact is None:
        raise OutputRefused(plan.verb, "package", "the provider says nothing of what goes in")
    return plan.artifact


def _containment(session: Session) -> bytes:
    """Give what was in force around each step of this run: it travels with the artifact."""
    steps = [
        {
            "step": step,
            "barriers": [{"barrier": b, "support": s, "why": w} for b, s, w in rows],
            "trials": [
                {"trial": t.name, "barrier": t.barrier, "verdict": t.verdict.value, "why": t.detail}
                for t in session.trials[step]
            ],
        }
        for step, rows in session.containment.items()
    ]
    return json.dumps({"version": 1, "steps": steps}, indent=1, sort_keys=True).encode() + b"\n"


def signing() -> ModuleType:
    """Load what signs and checks: cryptography takes fifty milliseconds that most commands need not wait for."""
    return import_module("cloche.kernel.signing")


async def prove_package(plan: Plan, session: Session) -> None:
    """Read the package again, check every digest and the signature, then start it in a jar and see it answer."""
    spec = _spec(plan)
    path = artifact_path(spec, session)
    copy = session.transaction.scratch(f"proof-{session.steps_run}")
    package = copy / path.name
    extracted = copy / "content"
    await in_thread(_copy_out, session, path, package)
    await in_thread(verify_package, package)
    await in_thread(signing().check_own, package, path, session)
    extracted.mkdir()
    await in_thread(extract_package, package, extracted)
    if spec.serve is None:
        session.emit(Note(text="every digest of the package holds; it serves nothing to try"))
        return
    if session.machine.features.tier is Tier.LANDLOCK:
        session.emit(Note(text=_NOT_TRIED))
        return
    session.package = extracted
    serving = Plan(verb="validate", steps=(spec.serve,), projections=plan.projections)
    async with serve(spec.serve, serving, session) as service:
        session.emit(Note(text=f"the package was started in a jar and answered at {service.url}"))


def _copy_out(session: Session, path: JailPath, target: Path) -> None:
    descriptor = session.whole.open_file(path)
    with os.fdopen(descriptor, "rb") as source, target.open("xb") as out:
        while block := source.read(1 << 20):
            out.write(block)
