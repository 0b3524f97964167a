"""When a step may have taken the disk that is gone, and when it is worth measuring."""

from dataclasses import replace

from cloche.kernel.quota import Space, freest, has_shrunk, judge_space
from cloche.model.limits import GIB, LIMIT_CLASSES

LIMITS = replace(LIMIT_CLASSES["run"], disk_bytes=GIB, inodes=16_000)
START = Space(free_bytes=50 * GIB, total_bytes=100 * GIB, free_inodes=1_000_000)


def test_what_no_walk_sees_counts_when_the_disk_is_nearly_full() -> None:
    nearly_full = replace(START, free_bytes=4 * GIB)
    assert judge_space(START, nearly_full, LIMITS)[0] == "disk_bytes"


def test_a_disk_that_others_fill_breaches_nothing_while_there_is_room() -> None:
    assert judge_space(START, replace(START, free_bytes=20 * GIB), LIMITS) == ("", "")


def test_a_step_that_stays_below_its_limit_may_run_on_a_full_disk() -> None:
    start = replace(START, free_bytes=3 * GIB)
    assert judge_space(start, replace(start, free_bytes=5 * GIB // 2), LIMITS) == ("", "")


def test_a_layer_is_measured_when_a_part_of_a_limit_is_gone() -> None:
    assert not has_shrunk(START, replace(START, free_bytes=START.free_bytes - 1), LIMITS)
    assert has_shrunk(START, replace(START, free_bytes=START.free_bytes - GIB // 8), LIMITS)
    assert has_shrunk(START, replace(START, free_inodes=START.free_inodes - 2_000), LIMITS)


def test_what_others_free_meanwhile_does_not_hide_what_is_written_after_it() -> None:
    freed = replace(START, free_bytes=START.free_bytes + 4 * GIB)
    written = replace(freed, free_bytes=freed.free_bytes - GIB // 8)
    assert not has_shrunk(START, written, LIMITS)
    assert has_shrunk(freest(START, freed), written, LIMITS)
    assert freest(freed, written) == freed
