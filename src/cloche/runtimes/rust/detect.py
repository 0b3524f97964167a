"""Recognising a Rust project from its files alone."""

from cloche.runtimes.project import ProjectView
from cloche.runtimes.provider import CannotPlan, Detection
from cloche.runtimes.rust.manifest import Manifest, read_manifest
from cloche.runtimes.rust.source import MANIFEST

SERVERS = ("axum", "actix-web", "rocket", "warp", "poem", "salvo", "tide", "ntex", "hyper")
_RUNTIME = "rust"


def detect_rust(view: ProjectView) -> Detection | None:
    """Say what kind of Rust project this is; None when there is no Cargo.toml."""
    content = view.read(MANIFEST)
    if content is None:
        return None
    try:
        manifest = read_manifest(MANIFEST, content)
    except CannotPlan as problem:
        # It is ours, though broken: the verbs will say how.
        return _detection("unreadable", 0.5, str(problem))
    if not manifest.is_package and not manifest.is_workspace:
        return None
    stack, evidence = _stack(manifest, view)
    return _detection(stack, 0.9, f"{MANIFEST} is there", *evidence)


def server_of(manifest: Manifest) -> str:
    """Give the web framework that a package depends on; "" when it has none."""
    return next((name for name in SERVERS if manifest.depends_on(name)), "")


def _stack(manifest: Manifest, view: ProjectView) -> tuple[str, tuple[str, ...]]:
    if server := server_of(manifest):
        return f"server ({server})", (f"{server} is a dependency",)
    if not manifest.is_package:
        return "workspace", (f"it has {len(manifest.members)} patterns of members",)
    if view.read("src/lib.rs", limit=16 << 20) is not None and view.read("src/main.rs") is None:
        return "library", ("src/lib.rs is there",)
    return "program", ()


def _detection(stack: str, confidence: float, *evidence: str) -> Detection:
    return Detection(runtime_id=_RUNTIME, stack=stack, confidence=confidence, evidence=evidence)
