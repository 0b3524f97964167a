"""What a fetch step sees: the manifests, the lock, and empty sources where cargo demands some."""

from cloche.model.step import Projection
from cloche.runtimes.project import ProjectView
from cloche.runtimes.rust.source import LOCK, RustProject
from cloche.runtimes.rust.targets import sources_of

PROJECTION = "cargo"


def project_files(project: RustProject, view: ProjectView) -> Projection:
    """Give the projection of `project`.

    Manifests are the very bytes that were linted: nothing in them executes anything in a step that
    does not build, and cargo makes the same lock of them, byte for byte. No configuration is among them.
    """
    manifests = project.manifests()
    files = dict.fromkeys(sources_of(manifests, view), b"")
    files |= {manifest.path: manifest.content for manifest in manifests}
    if project.lock is not None:
        files[LOCK] = project.lock.content
    return Projection(ref=PROJECTION, files=files)
