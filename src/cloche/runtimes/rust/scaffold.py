"""The templates of Rust, and which names cargo takes."""

from cloche.runtimes.provider import CannotPlan
from cloche.runtimes.rust.names import is_new_name
from cloche.runtimes.templates import Templates


def _called(name: str) -> str:
    if not is_new_name(name):
        raise CannotPlan(
            f"name {name!r}",
            "cargo would not take it",
            "use lower case letters, digits, - _, and no word of the language",
        )
    return name


TEMPLATES = Templates(
    "cloche.runtimes.rust",
    {
        "rust-bin": "A program in Rust with a test",
        "rust-lib": "A library in Rust with tests",
        "rust-axum": "An HTTP interface in Rust on axum 0.8, with tests",
    },
    _called,
)
