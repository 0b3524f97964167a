"""What the documents say is what the command does."""

import argparse
import importlib
import pkgutil
import re
import subprocess

from tests.structure.source import ROOT

import cloche
from cloche.cli.parser import make_parser
from cloche.errors import exit_statuses

REGISTRY = re.compile(  # host names of registries: learned at run time, never written down
    r"registry\.np"
    r"mjs|np"
    r"mjs\.org|py"
    r"pi\.org|python"
    r"hosted|crates\."
    r"io|nuget\."
    r"org"
)
MACHINE = re.compile("/work/main|/root/|/home/[a-z]+/")
MAY_NAME_ROOTS_HOME = re.compile(r"^(tests/|src/cloche_launch/|examples/hostile)")


def commands() -> set[str]:
    parser = make_parser()
    (choices,) = (a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    assert choices is not None
    return set(choices)


def tracked() -> list[str]:
    done = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_the_readme_and_the_help_name_the_same_commands() -> None:
    named = set(re.findall(r"`cloche ([a-z]+)", (ROOT / "README.md").read_text()))
    assert named == commands()


def test_every_command_has_help() -> None:
    assert all(name in make_parser().format_help() for name in commands())


def test_no_registry_and_no_path_of_a_machine_is_written_down() -> None:
    for name in tracked():
        path = ROOT / name
        if not path.is_file() or path.is_symlink():
            continue
        text = path.read_text(errors="replace")
        assert not REGISTRY.search(text), name
        if not MAY_NAME_ROOTS_HOME.match(name):
            assert not MACHINE.search(text), name


def test_every_barrier_of_the_threat_model_names_tests_that_exist() -> None:
    text = (ROOT / "docs/threat-model.md").read_text()
    named = set(re.findall(r"`(tests/[a-z_/]+\.py)::(test_[a-z0-9_]+)`", text))
    assert len(named) >= 20
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(), f"{file}::{test}"


def test_every_exit_status_is_in_the_registry_and_no_other() -> None:
    for found in pkgutil.walk_packages(cloche.__path__, "cloche."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    text = (ROOT / "docs/exit-statuses.md").read_text()
    rows = re.findall(r"^\| ([0-9]+) \| ([a-z-]+) \| (.+) \|$", text, re.MULTILINE)
    assert rows == [
        (str(status), error.code, (error.__doc__ or "").partition("\n")[0])
        for status, error in exit_statuses().items()
    ]
