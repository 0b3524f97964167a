"""Which parser reads which step."""

from cloche.runtimes.provider import CannotPlan, OutputParser
from cloche.runtimes.rust.diagnostics.cargo import CargoParser
from cloche.runtimes.rust.diagnostics.harness import HarnessParser
from cloche.runtimes.rust.diagnostics.rustc import RustcParser


def choose_parser(name: str) -> OutputParser:
    """Give a fresh parser. Raises CannotPlan."""
    match name:
        case "cargo-fetch":
            return CargoParser()
        case "cargo":
            return RustcParser()
        case "cargo-test":
            return HarnessParser()
    raise CannotPlan(f"parser {name!r}", "there is none of this name")
