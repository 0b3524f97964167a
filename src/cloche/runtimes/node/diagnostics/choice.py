"""Which parser reads which step."""

from cloche.runtimes.node.diagnostics.bundler import BundlerParser
from cloche.runtimes.node.diagnostics.eslint import EslintParser
from cloche.runtimes.node.diagnostics.gyp import GypParser
from cloche.runtimes.node.diagnostics.npm import NpmParser
from cloche.runtimes.node.diagnostics.shell import ShellParser
from cloche.runtimes.node.diagnostics.tsc import TypeScriptParser
from cloche.runtimes.provider import CannotPlan, OutputParser, Reading


class ScriptParser:
    """Reads a script of the project, in which any tool may speak."""

    def __init__(self) -> None:
        # What a machine lacks says more than what was tried before: node-gyp ends before the bundler.
        self._parts: tuple[OutputParser, ...] = (
            TypeScriptParser(),
            GypParser(),
            ShellParser(),
            BundlerParser(),
            NpmParser(),
        )

    def line(self, stream: str, text: str) -> Reading:
        """Take one line; the first that understands it wins."""
        for part in self._parts:
            reading = part.line(stream, text)
            if reading.diagnostics:
                return reading
        return Reading()

    def end(self, exit_status: int) -> Reading:
        """Give what the tools said last; npm's own complaint repeats theirs, so it comes only alone."""
        for part in self._parts[:-1]:
            reading = part.end(exit_status)
            if reading.diagnostics:
                return reading
        return Reading()


def choose_parser(name: str) -> OutputParser:
    """Give a fresh parser. Raises CannotPlan."""
    match name:
        case "npm-http":
            return NpmParser()
        case "tsc":
            return TypeScriptParser()
        case "eslint":
            return EslintParser()
        case "build":
            return ScriptParser()
    raise CannotPlan(f"parser {name!r}", "there is none of this name")
