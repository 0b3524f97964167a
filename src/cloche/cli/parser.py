"""The command line as data: every command, its arguments and its help."""

import argparse
import re
from pathlib import Path
from typing import Any

import shtab

from cloche.model.conflicts import Conflicts

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_VERBS = {
    "resolve": "lock, fetch and install the dependencies",
    "build": "build, without network",
    "test": "run the project's own tests, without network",
    "package": "package what is built",
    "validate": "check the package: every digest, and that what it serves answers",
    "ship": "resolve, build, package and validate in one transaction",
}
_ABOUT = {
    "undo": "take the last commits back",
    "diff": "show what a held run would change, or what the last commit changed",
    "commit": "commit the held run, or a part of it",
    "discard": "throw the held run away",
    "where": "print the directory that holds the transactions, the readers' lock and the generation",
    "recover": "finish or discard what a crash left",
}


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of `cloche`."""
    parser = argparse.ArgumentParser(
        prog="cloche",
        description="Build, preview, package and run code that nobody trusts, contained.",
    )
    shtab.add_argument_to(parser, "--print-completion")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = _common()
    scaffold = commands.add_parser(
        "scaffold", parents=[common], help="make a new project from a template"
    )
    scaffold.add_argument("template", help="a name that `cloche scaffold list -` prints")
    scaffold.add_argument("directory", type=Path)
    terms = _terms()
    for verb, text in _VERBS.items():
        command = commands.add_parser(verb, parents=[common, terms], help=text)
        command.add_argument("directory", type=Path)
        _add_part(command)
        if verb == "ship":
            command.add_argument(
                "--fresh",
                action="store_true",
                help="use nothing that earlier runs left: run all steps, build from nothing",
            )
    preview = commands.add_parser(
        "preview",
        parents=[common, terms],
        help="serve the development server until interrupted, or run the program with what you type",
    )
    preview.add_argument("directory", type=Path)
    _add_part(preview)
    preview.add_argument("--port", type=int, default=0, help="on this machine; 0: any that is free")
    _add_run(commands.add_parser("run", parents=[common, terms], help="run any command contained"))
    for name, text in _ABOUT.items():
        command = commands.add_parser(name, parents=[common], help=text)
        command.add_argument("directory", type=Path)
        if name == "undo":
            command.add_argument("--count", type=int, default=1, help="how many commits")
        elif name == "diff":
            command.add_argument("--text", action="store_true", help="show the lines that differ")
            command.add_argument("--stat", action="store_true", help="show the totals alone")
        elif name == "commit":
            command.add_argument(
                "--only",
                action="append",
                metavar="GLOB",
                help="what to commit, a directory with all in it; the rest is thrown away",
            )
            _add_conflicts(command)
    _add_looking(commands, common)
    _add_policy(commands, common)
    return parser


_Commands = Any  # argparse keeps the type of its commands to itself


def _add_looking(commands: _Commands, common: argparse.ArgumentParser) -> None:
    verify = commands.add_parser(
        "verify", parents=[common], help="check a package against its attestation"
    )
    verify.add_argument("package", type=Path)
    verify.add_argument(
        "--key",
        type=Path,
        metavar="FILE",
        help="the signer's public key, in PEM; yours if left out",
    )
    commands.add_parser(
        "key", parents=[common], help="print your public key: others check your packages with it"
    )
    commands.add_parser(
        "jobs", parents=[common], help="say which runs hold this machine's memory, and which wait"
    )
    commands.add_parser("doctor", parents=[common], help="say what this machine can enforce")
    redteam = commands.add_parser(
        "redteam", parents=[common], help="attack the jar on this machine, harmlessly"
    )
    redteam.add_argument("attack", nargs="*", help="layers or names; all if left out")
    redteam.add_argument("--peers", action="store_true", help="attack bwrap, firejail, unshare too")
    redteam.add_argument("--list", action="store_true", help="list the attacks and their sources")


def _add_policy(commands: _Commands, common: argparse.ArgumentParser) -> None:
    policy = commands.add_parser("policy", help="check or explain a policy")
    parts = policy.add_subparsers(dest="part", required=True, metavar="check|explain")
    check = parts.add_parser("check", parents=[common], help="read a policy file strictly")
    check.add_argument("file", type=Path)
    explain = parts.add_parser("explain", parents=[common], help="say why something is decided so")
    explain.add_argument("action", choices=("read", "write", "delete", "connect", "execute"))
    explain.add_argument("what", help="a path, HOST:PORT, or a program's name")


def _common() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="one JSON object a line")
    common.add_argument("--policy", type=Path, help="a policy file in place of yours")
    return common


def _terms() -> argparse.ArgumentParser:
    terms = argparse.ArgumentParser(add_help=False)
    terms.add_argument("--memory", type=_bytes, metavar="SIZE", help="such as 512M; at most")
    terms.add_argument(
        "--cpu", type=int, metavar="PERCENT", help="of one core; 150 is one and a half"
    )
    terms.add_argument("--pids", type=int, metavar="N", help="processes and threads at once")
    terms.add_argument("--timeout", type=float, metavar="SECONDS", help="of each step")
    terms.add_argument(
        "--wait",
        type=float,
        metavar="SECONDS",
        help="for the project and a share of the machine that other runs hold; 0: fail at once, left out: no limit",
    )
    terms.add_argument(
        "--hold", action="store_true", help="hold the changes for `cloche commit` in place of it"
    )
    _add_conflicts(terms)
    terms.add_argument("--log", action="store_true", help="show all that the steps print")
    return terms


def _add_part(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--part",
        action="append",
        default=[],
        metavar="DIR",
        help="work on this part of the project alone, or on several; all if left out",
    )


def _add_conflicts(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--conflicts",
        choices=[choice.value for choice in Conflicts],
        default=Conflicts.ABORT.value,
        help="where you changed the same: commit nothing, keep yours, or commit and put yours aside",
    )
    command.add_argument(
        "--check-reads",
        action="store_true",
        help="commit nothing when you changed anything that the run may have read",
    )


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--project", type=Path, default=Path(), help="the directory; this one if left out"
    )
    run.add_argument(
        "--network", default="none", metavar="none|registries|HOST,...", help="none if left out"
    )
    run.add_argument("--discard", action="store_true", help="commit nothing")
    run.add_argument("--keep", action="store_true", help="commit whatever the exit status")
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- ARGV")


def _bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+)([KMG]?)(?:i?B)?", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 512M")
    return int(found[1]) * _UNITS[found[2]]
