"""The table of the parts of a project."""

from cloche.cli.portions import Portions
from cloche.model.event import ArtifactMade, StepFinished, UsageMeasured


def usage(seconds: float, memory: int) -> UsageMeasured:
    return UsageMeasured(
        step="build",
        wall_seconds=seconds,
        cpu_seconds=None,
        memory_peak_bytes=memory << 20,
        processes_peak=None,
        network_bytes=0,
    )


def finished(part: str, outcome: str) -> StepFinished:
    return StepFinished(step=f"{part}/build", part=part, outcome=outcome, exit_status=0)


def test_each_part_has_a_line_with_what_it_took() -> None:
    portions = Portions(("api", "web"))
    portions.finish(finished("api", "ok"), "Fetch", usage(1.0, 30))
    portions.finish(finished("api", "ok"), "Build", usage(2.0, 20))
    portions.make(ArtifactMade(part="api", path="artifacts/api/a.tar", sha256="0", size=1, files=1))
    rows = list(portions.rows(ok=True))
    assert rows[0].split() == [
        "api",
        "2",
        "steps",
        "3.0",
        "s",
        "30",
        "MiB",
        "ok",
        "artifacts/api/a.tar",
    ]
    assert rows[1].split()[:3] == ["web", "0", "steps"]


def test_of_a_run_that_failed_it_names_the_step_and_calls_nothing_done() -> None:
    portions = Portions(("api", "web"))
    portions.finish(finished("api", "ok"), "Build", None)
    portions.finish(finished("web", "limit"), "Build", None)
    rows = list(portions.rows(ok=False))
    assert rows[0].endswith("not done")
    assert rows[1].endswith("FAILED: Build")


def test_names_of_directories_cannot_act_on_the_terminal() -> None:
    (row,) = Portions(("\x1b[2J",)).rows(ok=True)
    assert "\x1b" not in row


def test_a_project_of_one_part_has_no_table() -> None:
    portions = Portions(())
    portions.finish(finished("", "ok"), "Build", None)
    assert list(portions.rows(ok=True)) == []
