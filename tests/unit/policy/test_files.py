"""What the built-in policy says of files, and what an exemption takes back."""

import pytest

from cloche.model.action import WriteFile
from cloche.model.paths import JailPath
from cloche.policy.decision import Effect
from cloche.policy.engine import evaluate
from cloche.policy.load import load_default


def may_write(path: str) -> bool:
    action = WriteFile(path=JailPath.parse(path))
    return evaluate(load_default(), action).effect is Effect.ALLOW


@pytest.mark.parametrize(
    "path",
    [".husky/pre-commit", "packages/a/.vscode/tasks.json", "node_modules/.vscode/x", ".yarnrc.yml"],
)
def test_files_that_make_other_programs_run_code_are_refused(path: str) -> None:
    assert not may_write(path)


@pytest.mark.parametrize(
    "path",
    [
        "node_modules/pino-abstract-transport/.husky/pre-commit",
        "node_modules/@scope/plugin/.yarnrc.yml",
        "packages/a/node_modules/b/.vscode/settings.json",
        "node_modules/a/test/.env",
    ],
)
def test_what_published_packages_carry_inside_of_them_is_not_meant(path: str) -> None:
    assert may_write(path)


def test_a_repository_inside_of_a_package_is_refused_all_the_same() -> None:
    assert not may_write("node_modules/a/.git/config")
    assert not may_write("node_modules/a/.ssh/config")
