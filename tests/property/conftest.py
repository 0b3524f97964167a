"""The same examples on every machine, so that a red run is everybody's; the search itself is `--hypothesis-seed`."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "repeatable",
    derandomize=False,
    deadline=None,
    max_examples=1500,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")
