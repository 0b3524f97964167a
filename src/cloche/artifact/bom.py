"""The bill of materials: CycloneDX 1.6 JSON of what the lock says, the same bytes each time."""

import json
import uuid
from datetime import UTC, datetime

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component as BomComponent
from cyclonedx.model.component import ComponentScope, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from cloche.model.step import ArtifactSpec, Component

_NAMESPACE = uuid.UUID("9a9c3a8e-6c1b-5b6e-8f5e-2b7b0c9d1e10")


def bill_of_materials(spec: ArtifactSpec, epoch: int) -> bytes:
    """Give the document for `spec`; its serial number is a digest of what it lists."""
    listed = json.dumps([[c.purl, c.sha512 or c.sha256] for c in spec.components])
    bom = Bom(
        serial_number=uuid.uuid5(_NAMESPACE, f"{spec.name}\0{spec.version}\0{listed}"),
        version=1,
    )
    bom.metadata.timestamp = datetime.fromtimestamp(epoch, tz=UTC)
    application = BomComponent(
        name=spec.name, version=spec.version, type=ComponentType.APPLICATION, bom_ref="application"
    )
    bom.metadata.component = application
    for component in sorted(spec.components, key=lambda c: c.purl):
        bom.components.add(_component(component))
    bom.register_dependency(application, bom.components)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


def _component(component: Component) -> BomComponent:
    stated = (
        (HashAlgorithm.SHA_256, component.sha256),
        (HashAlgorithm.SHA_512, component.sha512),
    )
    hashes = [HashType(alg=kind, content=digest) for kind, digest in stated if digest]
    licences = [DisjunctiveLicense(name=component.licence)] if component.licence else []
    return BomComponent(
        name=component.name,
        version=component.version,
        type=ComponentType.LIBRARY,
        bom_ref=component.purl,
        purl=PackageURL.from_string(component.purl),
        hashes=hashes,
        licenses=licences,
        scope=ComponentScope.EXCLUDED if component.development else ComponentScope.REQUIRED,
    )
