"""The sandbox on kernels that are not this machine's. `make kernels` builds what these tests boot."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.kernels.image import IMAGES, ROOT, Image, find_images
from tests.kernels.machine import QEMU, Guest, Session, boot

PYTHON = "/usr/bin/python3"
PYTEST = (
    *(PYTHON, "-m", "pytest", "-o", "addopts=--import-mode=importlib", "-p", "no:terminal"),
    *("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "tests.kernels.reporter"),
)
CONTAIN = "tests/contain"
SHARE = (f"{CONTAIN}/test_control_groups.py", f"{CONTAIN}/test_cannot_exceed_its_share.py")
WALLS = (
    f"{CONTAIN}/test_stands_alone.py",
    f"{CONTAIN}/test_cannot_reach_the_host.py",
    f"{CONTAIN}/test_cannot_make_dangerous_calls.py",
    f"{CONTAIN}/test_probe_leaves_nothing.py",
    f"{CONTAIN}/test_made_ahead.py",
)
MUTANTS = ("-k", "17 or 18 or 19", f"{CONTAIN}/test_each_barrier_is_needed.py")
INSIDE = "tests/kernels/inside.py"
DOCTOR = (PYTHON, "-m", "cloche", "doctor", "--json")
REDTEAM = (PYTHON, "-P", "-m", "cloche", "redteam", "--json")
USER = 1000

V2 = (
    Session(name="root-doctor", argv=DOCTOR),
    Session(name="alone-doctor", argv=DOCTOR, user=USER, place="alone"),
    Session(name="crowded-doctor", argv=DOCTOR, user=USER, place="crowded"),
    Session(name="below-doctor", argv=DOCTOR, user=USER, place="below"),
    Session(name="root", argv=(*PYTEST, *SHARE, *WALLS)),
    Session(name="root-mutants", argv=(*PYTEST, *MUTANTS)),
    Session(name="below", argv=(*PYTEST, INSIDE, *SHARE, *WALLS[:1]), user=USER, place="below"),
    Session(name="alone", argv=(*PYTEST, INSIDE, SHARE[0]), user=USER, place="alone"),
    Session(name="root-redteam", argv=REDTEAM),
    Session(name="alone-redteam", argv=REDTEAM, user=USER, place="alone"),
    # The settings stay, so these come last.
    Session(
        name="refused-clone",
        argv=DOCTOR,
        user=USER,
        settings={"kernel.unprivileged_userns_clone": "0"},
    ),
    Session(name="refused-all", argv=DOCTOR, settings={"user.max_user_namespaces": "0"}),
)
V1 = (Session(name="root-doctor", argv=DOCTOR), Session(name="root", argv=(*PYTEST, *SHARE)))

MUST_HOLD = (
    "test_the_kernel_shows_the_limits_of_the_plan",
    "test_a_closed_sandbox_leaves_no_group",
    "test_cannot_take_more_memory",
    "test_connections_to_oneself_cannot_hold_more_memory",
    "test_a_fork_bomb_stays_small",
    "test_cannot_take_more_of_the_processor",
)
LIMITS = ("memory-limit", "process-limit", "cpu-limit")


def _images() -> list[object]:
    """Give the images that `make kernels` made and names: booting them takes minutes, so nothing else does."""
    why = ""
    if "CLOCHE_TEST_KERNELS" not in os.environ:
        why = "other kernels are booted by make kernels alone, which says so in CLOCHE_TEST_KERNELS"
    elif shutil.which(QEMU) is None:
        why = f"needs {QEMU} (Debian: apt install qemu-system-x86)"
    images = [] if why else find_images()
    if images:
        return [pytest.param(image, id=image.directory.name) for image in images]
    why = why or f"needs an image of another kernel in {IMAGES.relative_to(ROOT)}: run make kernels"
    return [pytest.param(None, marks=pytest.mark.skip(why))]


@pytest.fixture(scope="module", params=_images())
def image(request: pytest.FixtureRequest) -> Image:
    assert isinstance(request.param, Image)
    return request.param


def _booted(image: Image, groups: str, sessions: tuple[Session, ...]) -> Iterator[Guest]:
    with tempfile.TemporaryDirectory(prefix="cloche-guest-") as scratch:
        booted = boot(image, groups, sessions, Path(scratch))
        if booted.lacks:
            pytest.skip(f"memory-limit: Linux {booted.kernel} was built without {booted.lacks}")
        yield booted


@pytest.fixture(scope="module")
def guest(image: Image) -> Iterator[Guest]:
    """A machine with control groups of version 2 alone, after all its sessions."""
    yield from _booted(image, "v2", V2)


@pytest.fixture(scope="module")
def old_guest(image: Image) -> Iterator[Guest]:
    """The same with version 1."""
    yield from _booted(image, "v1", V1)


def support(guest: Guest, session: str) -> dict[str, str]:
    """Give what a doctor said: barrier to support."""
    (said,) = guest.sessions[session].fields()
    return {name: level for name, level, _, _ in said["barriers"]}


def check_tests(guest: Guest, session: str, *, must_hold: tuple[str, ...], who: str) -> None:
    """Insist that no test failed, and that each of `must_hold` passed and was not skipped for `who`."""
    told = guest.sessions[session]
    verdicts = told.fields()
    failed = [v for v in verdicts if v["outcome"] == "failed"]
    assert not failed, "\n\n".join(f"{v['test']}\n{v['detail']}" for v in failed)
    assert told.status == 0, told.lines[-20:]
    passed = [v["test"] for v in verdicts if v["outcome"] == "passed"]
    for name in must_hold:
        mine = [v for v in verdicts if f"::{name}" in v["test"] and not _is_others(v["test"], who)]
        assert mine, f"{name} was not run"
        assert all(v["test"] in passed for v in mine), mine
    assert told.left == ()


def _is_others(test: str, who: str) -> bool:
    found = re.search(r"\[(root|ordinary)", test)
    return found is not None and found[1] != who


@pytest.mark.slow
@pytest.mark.parametrize(
    ("session", "who", "must_hold"),
    [
        ("root", "root", MUST_HOLD),
        ("below", "ordinary", MUST_HOLD),
        ("alone", "ordinary", MUST_HOLD[:2]),
    ],
)
def test_the_sandbox_holds_with_control_groups_of_version_2(
    guest: Guest, session: str, who: str, must_hold: tuple[str, ...]
) -> None:
    check_tests(guest, session, must_hold=must_hold, who=who)


@pytest.mark.slow
def test_the_sandbox_holds_with_control_groups_of_version_1(old_guest: Guest) -> None:
    check_tests(old_guest, "root", must_hold=MUST_HOLD, who="root")
    assert {support(old_guest, "root-doctor")[name] for name in LIMITS} == {"full"}


@pytest.mark.slow
def test_without_a_limit_of_version_2_a_test_fails(guest: Guest) -> None:
    check_tests(guest, "root-mutants", must_hold=("test_without_it_a_test_fails",), who="root")


@pytest.mark.slow
@pytest.mark.parametrize("session", ["root-redteam", "alone-redteam"])
def test_no_attack_gets_out(guest: Guest, session: str) -> None:
    told = guest.sessions[session]
    verdicts = [line for line in told.fields() if line["type"] == "verdict"]
    assert len(verdicts) > 120, told.lines[-20:]
    assert not [each for each in verdicts if each["verdict"] == "escaped"]
    assert told.status == 0
    assert told.left == ()


@pytest.mark.slow
@pytest.mark.parametrize("session", ["root-doctor", "alone-doctor", "below-doctor"])
def test_limits_are_the_kernels_own_where_a_group_was_handed_over(
    guest: Guest, session: str
) -> None:
    assert {support(guest, session)[name] for name in LIMITS} == {"full"}


@pytest.mark.slow
def test_beside_others_in_a_group_the_report_says_that_a_watcher_counts(guest: Guest) -> None:
    found = support(guest, "crowded-doctor")
    assert [found[name] for name in LIMITS] == ["partial", "partial", "none"]


@pytest.mark.slow
def test_an_older_landlock_is_partial(guest: Guest) -> None:
    numbers = re.match(r"(\d+)\.(\d+)", guest.kernel)
    assert numbers is not None
    # ABI 6 came with Linux 6.12. landlock(7)
    newest = (int(numbers[1]), int(numbers[2])) >= (6, 12)
    assert support(guest, "root-doctor")["landlock"] == ("full" if newest else "partial")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("session", "setting"),
    [
        ("refused-clone", "kernel.unprivileged_userns_clone"),
        ("refused-all", "user.max_user_namespaces"),
    ],
)
def test_the_doctor_names_the_setting_that_refuses(
    guest: Guest, session: str, setting: str
) -> None:
    told = guest.sessions[session]
    assert told.status == 80
    assert setting in json.dumps(told.fields())
