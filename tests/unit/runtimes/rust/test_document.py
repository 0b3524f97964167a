"""TOML of strangers: what would take hours to read is refused, and what people write is not."""

import pytest

from cloche.runtimes.provider import CannotPlan
from cloche.runtimes.rust.document import read_table

LONG = 100_000
PACKAGE = """
[[package]]
name = "some-name-{0}"
version = "1.20.{0}"
source = "registry+https://github.example.org/index.of.packages"
checksum = "{1}"
dependencies = [
 "other 1.2.3",
]
"""


@pytest.mark.parametrize(
    "content",
    [
        "[" + "a." * LONG + "b]\n",
        "a." * LONG + "b = 1\n",
        "a = {" + '"=".' * LONG + "b = 1}\n",
        "[" + "a . " * 1000 + "b]\n" + "".join(f"c{number} = 1\n" for number in range(LONG)),
        "".join(f"[a{number}." + "a." * 100 + "b]\n" for number in range(1000)),
    ],
    ids=["header", "key", "quoted", "below", "many"],
)
def test_keys_of_too_many_parts_are_refused_unread(content: str) -> None:
    with pytest.raises(CannotPlan, match="too many parts"):
        read_table("Cargo.toml", content.encode())


def test_a_lock_of_ten_thousand_packages_is_read() -> None:
    text = "version = 4\n" + "".join(PACKAGE.format(n, "a" * 64) for n in range(10_000))
    assert len(read_table("Cargo.lock", text.encode())["package"]) == 10_000


def test_long_lines_that_people_write_are_read() -> None:
    names = ", ".join(f'"file.{number}.txt"' for number in range(500))
    assert len(read_table("Cargo.toml", f"include = [{names}]\n".encode())["include"]) == 500
