"""No limit can be left open, and the stricter of two holds."""

from dataclasses import fields, replace

import pytest

from cloche.errors import InvalidValue
from cloche.model.limits import LEAST_LIMITS, LIMIT_CLASSES, Limits


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_limit_is_above_nothing(name: str, value: float) -> None:
    with pytest.raises(InvalidValue):
        replace(LIMIT_CLASSES["build"], **{name: value})


@pytest.mark.parametrize("name", LIMIT_CLASSES)
def test_the_least_is_within_every_class(name: str) -> None:
    assert LIMIT_CLASSES[name].capped_by(LEAST_LIMITS) == LEAST_LIMITS
    assert LIMIT_CLASSES[name].capped_by(LIMIT_CLASSES[name]) == LIMIT_CLASSES[name]
