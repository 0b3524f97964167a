"""From what a person typed to the choice of a commit."""

import pytest

from cloche.errors import InvalidValue
from cloche.kernel.context import RunOptions
from cloche.kernel.execution import choice_of


@pytest.mark.parametrize("pattern", ["dist", "dist/", "dist/**"])
def test_a_directory_means_itself_and_all_in_it(pattern: str) -> None:
    only = choice_of(RunOptions(only=(pattern,))).only
    assert only is not None
    assert [path for path in ("dist", "dist/a/b", "distant", "src/dist") if only(path)] == [
        "dist",
        "dist/a/b",
    ]


def test_nothing_named_means_everything_and_nonsense_is_refused() -> None:
    assert choice_of(RunOptions()).only is None
    with pytest.raises(InvalidValue):
        choice_of(RunOptions(only=("a//b",)))
