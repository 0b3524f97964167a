"""Checks of the sources: clippy, where the toolchain has it."""

from cloche.model.step import Plan
from cloche.runtimes.provider import HostFacts
from cloche.runtimes.rust.build import compile_step
from cloche.runtimes.rust.source import RustProject


def plan_validate(project: RustProject, facts: HostFacts) -> Plan:
    """Plan clippy, which may only warn: a toolchain may be without it, and the build has passed."""
    step = compile_step("clippy", "Lint", ("clippy", "--release"), project, facts, optional=True)
    return Plan(verb="validate", steps=(step,))
