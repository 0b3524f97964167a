"""What of a project is looked through, for planners and for what is to be hidden."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cloche.kernel.session import TransactionView
from cloche.kernel.trees import not_sources
from cloche.model.paths import JailPath
from cloche.runtimes.rust.vocabulary import TARGET
from cloche.workspace.transaction import Transaction
from cloche.workspace.workspace import Workspace

TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# made by cargo\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name in ("src/target/mod.rs", "target/release/app", "target/deps/x.rs", "Cargo.toml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    return root


@pytest.fixture
def transaction(project: Path, tmp_path: Path) -> Iterator[Transaction]:
    with closing(Workspace.open(project, tmp_path / "state")) as workspace:
        made = workspace.begin()
        yield made
        made.rollback()


def view(transaction: Transaction) -> TransactionView:
    return TransactionView(transaction, not_sources((TARGET,), transaction))


@pytest.mark.parametrize(
    ("sign", "content"),
    [("CACHEDIR.TAG", TAG), (".rustc_info.json", '{"rustc_fingerprint":1,"outputs":{}}')],
)
def test_a_target_directory_is_passed_over_where_cargo_made_it(
    sign: str, content: str, project: Path, transaction: Transaction
) -> None:
    assert "target/deps/x.rs" in view(transaction).names("*.rs")
    (project / "target" / sign).write_text(content)
    assert view(transaction).names("*.rs") == ("src/target/mod.rs",)
    assert view(transaction).names("*app") == ()
    assert view(transaction).names("target/release/app") == ("target/release/app",)


def test_no_other_directory_is_and_none_that_a_run_put_a_tag_in(
    project: Path, transaction: Transaction
) -> None:
    (project / "src/CACHEDIR.TAG").write_text(TAG)
    (project / "src/target/CACHEDIR.TAG").write_text(TAG)
    transaction.put(JailPath.parse("target/CACHEDIR.TAG"), TAG.encode())
    assert "/target" not in not_sources((TARGET,), transaction)
    (project / "target/CACHEDIR.TAG").write_text("Signature: other")
    assert view(transaction).names("*.rs") == ("src/target/mod.rs", "target/deps/x.rs")


@pytest.mark.parametrize("name", ["", "src", "none", "../project/Cargo.toml", "src//target/mod.rs"])
def test_a_plain_name_is_that_of_a_file_that_is_there(name: str, transaction: Transaction) -> None:
    assert view(transaction).names(name) == ()
    assert view(transaction).names("Cargo.toml") == ("Cargo.toml",)


def test_a_target_directory_of_another_part_is_passed_over_as_well(
    project: Path, transaction: Transaction
) -> None:
    (project / "api/target").mkdir(parents=True)
    (project / "api/target/CACHEDIR.TAG").write_text(TAG)
    assert "/api/target" not in not_sources((TARGET,), transaction)
    assert "/api/target" in not_sources((TARGET,), transaction, ("api", "web"))


def test_in_a_part_what_is_passed_over_is_below_it(project: Path, transaction: Transaction) -> None:
    for name in ("api/target/x.rs", "api/src/lib.rs", "api/src/target/y.rs"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("x")
    (project / "api/target/CACHEDIR.TAG").write_text(TAG)
    part = transaction.part("api")
    found = TransactionView(part, not_sources((TARGET,), part)).names("*.rs")
    assert found == ("src/lib.rs", "src/target/y.rs")
