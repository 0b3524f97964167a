"""The same examples on every machine, so that a red run is everybody's; the search itself is `--hypothesis-seed`.

HYPOTHESIS_PROFILE=long makes fifty times as many examples, others each time.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    max_examples=200,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "long", settings.get_profile("repeatable"), derandomize=False, max_examples=10_000
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
