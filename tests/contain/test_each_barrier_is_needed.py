"""The tests tested: with one barrier removed from a copy of the source, its test must fail.

A barrier whose removal is caught by its read-back (the sandbox then refuses to
start) counts as noticed too: it could not be lost in silence.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloche.platforms.linux.cgroup import open_cgroups

ROOT = Path(__file__).resolve().parents[2]
HERE = "tests/contain"
ALONE = f"{HERE}/test_stands_alone.py"
REACH = f"{HERE}/test_cannot_reach_the_host.py"
TIER = f"{HERE}/test_without_namespaces.py"
SHARE = f"{HERE}/test_cannot_exceed_its_share.py"
NAMESPACE = f"{ALONE}::test_is_in_no_namespace_of_the_host"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A barrier, how it is removed, and the test that must notice."""

    barrier: str
    edits: tuple[tuple[str, str, str], ...]
    """(file below src, text, its replacement)"""
    test: str
    of_root: bool = False
    """Whether the barrier does something for root alone."""


LAUNCH = "cloche_launch"
V1 = "cloche/platforms/linux/cgroup_v1.py"
V2 = "cloche/platforms/linux/cgroup_v2.py"
PROCESS = "cloche/platforms/linux/process.py"
STREAMS = "cloche/platforms/linux/streams.py"
MUTANTS = (
    Mutant("1-user-namespace", ((f"{LAUNCH}/zygote.py", "abi.CLONE_NEWUSER\n", "0\n"),), NAMESPACE),
    Mutant(
        "2-inodes-of-its-own",
        (
            (
                f"{LAUNCH}/veil.py",
                'calls.mount("overlay", target, "overlay", _LAID_OVER, data)',
                "calls.mount(tree, target, None, abi.MS_BIND)",
            ),
        ),
        f"{ALONE}::test_a_file_of_the_system_is_an_inode_of_its_own",
    ),
    *(
        Mutant(
            f"{name}-namespace", ((f"{LAUNCH}/zygote.py", f"    | abi.{flag}\n", ""),), NAMESPACE
        )
        for name, flag in (
            ("2-mount", "CLONE_NEWNS"),
            ("3-pid", "CLONE_NEWPID"),
            ("4-network", "CLONE_NEWNET"),
            ("5-ipc", "CLONE_NEWIPC"),
            ("6-uts", "CLONE_NEWUTS"),
        )
    ),
    Mutant(
        "7-cgroup-namespace",
        ((f"{LAUNCH}/init.py", "calls.unshare(abi.CLONE_NEWCGROUP)", "pass"),),
        NAMESPACE,
    ),
    Mutant(
        "8-no-new-privileges",
        ((f"{LAUNCH}/privileges.py", "calls.prctl(abi.PR_SET_NO_NEW_PRIVS, 1)", "pass"),),
        f"{REACH}::test_has_no_capability_and_cannot_gain_one",
    ),
    Mutant(
        "9-no-capabilities",
        (
            (f"{LAUNCH}/init.py", "privileges.empty_bounding_set()", "pass"),
            (f"{LAUNCH}/payload.py", "privileges.drop_capabilities()", "pass"),
        ),
        f"{REACH}::test_has_no_capability_and_cannot_gain_one",
    ),
    Mutant(
        "10-resource-limits",
        (
            (
                f"{LAUNCH}/payload.py",
                "privileges.limit(plan.open_files, plan.file_bytes, plan.processes)",
                "pass",
            ),
        ),
        f"{ALONE}::test_resource_limits_are_those_of_the_plan",
    ),
    Mutant(
        "11-landlock",
        (
            (
                f"{LAUNCH}/landlock.py",
                "calls.syscall(_SYS_RESTRICT, self._descriptor, flags)",
                "pass",
            ),
        ),
        f"{ALONE}::test_landlock_alone_refuses_a_write_where_the_mount_is_writable",
    ),
    Mutant(
        "12-seccomp",
        ((f"{LAUNCH}/payload.py", "seccomp.install(seccomp_program)", "pass"),),
        f"{HERE}/test_cannot_make_dangerous_calls.py::test_a_dangerous_call_is_refused",
    ),
    Mutant(
        "13-new-session",
        ((f"{LAUNCH}/payload.py", ", setsid=True)", ")"),),
        f"{ALONE}::test_leads_its_own_session",
    ),
    Mutant(
        "14-closed-descriptors",
        (
            (f"{LAUNCH}/payload.py", "    calls.close_range(3, report - 1)\n", ""),
            (f"{LAUNCH}/payload.py", "    calls.close_range(report + 1, 0xFFFF_FFFF)\n", ""),
        ),
        f"{ALONE}::test_a_descriptor_left_inheritable_is_closed",
    ),
    Mutant(
        "15-empty-environment",
        (
            ("cloche/platforms/linux/launcher.py", "env={},", "env=None,"),
            (
                f"{LAUNCH}/payload.py",
                "plan.argv, environment, setsid",
                "plan.argv, dict(os.environb) | environment, setsid",
            ),
        ),
        f"{REACH}::test_has_only_the_plans_environment",
    ),
    Mutant(
        "16-not-the-hosts-root",
        ((f"{LAUNCH}/privileges.py", "os.setresuid(uid, uid, uid)", "pass"),),
        f"{REACH}::test_a_setuid_file_gives_nothing",
        of_root=True,
    ),
    Mutant(
        "17-memory-limit",
        (
            (V1, 'write_value(memory / "memory.limit_in_bytes", limits.memory_bytes)', "pass"),
            (V2, 'write_value(self._path / "memory.max", limits.memory_bytes)', "pass"),
        ),
        f"{SHARE}::test_cannot_take_more_memory",
    ),
    Mutant(
        "18-cpu-limit",
        (
            (
                V1,
                'write_value(cpu / "cpu.cfs_quota_us", limits.cpu_percent * _PERIOD // 100)',
                "pass",
            ),
            (V2, 'write_value(self._path / "cpu.max", f"{self._quota()} {_PERIOD}")', "pass"),
        ),
        f"{SHARE}::test_cannot_take_more_of_the_processor",
    ),
    Mutant(
        "19-process-limit",
        (
            (V1, 'write_value(self._paths["pids"] / "pids.max", limits.processes)', "pass"),
            (V2, 'write_value(self._path / "pids.max", limits.processes)', "pass"),
            (
                f"{LAUNCH}/privileges.py",
                "resource.setrlimit(resource.RLIMIT_NPROC",
                "(lambda *_: None)(resource.RLIMIT_NPROC",
            ),
        ),
        f"{SHARE}::test_a_fork_bomb_stays_small",
    ),
    Mutant(
        "20-disk-limit",
        (("cloche/kernel/quota.py", "if used > limits.disk_bytes:", "if False:"),),
        f"{HERE}/test_a_whole_run.py::test_cannot_fill_the_disk",
    ),
    Mutant(
        "21-wall-clock",
        ((PROCESS, "if now - self._began > self._limits.wall_seconds:", "if False:"),),
        f"{SHARE}::test_time_runs_out_for_the_grandchildren_too",
    ),
    Mutant(
        "22-output-limit",
        ((STREAMS, "room = self._limit - self._taken", "room = 1 << 40"),),
        f"{SHARE}::test_output_is_kept_to_its_limit_and_the_rest_drained",
    ),
    Mutant(
        "23-tree-kill",
        ((f"{LAUNCH}/zygote.py", "    | abi.CLONE_NEWPID\n", ""),),
        f"{SHARE}::test_a_daemon_does_not_outlive_the_step",
    ),
    Mutant(
        "24-egress-filter",
        ((f"{LAUNCH}/nftables.py", "netlink.transact(messages, count)", "pass"),),
        f"{HERE}/test_a_whole_run.py::test_each_attempt_to_leave_is_refused_and_told",
    ),
    Mutant(
        "25-transaction-overlay",
        ((f"{LAUNCH}/mounts.py", ",upperdir=.,workdir={home}/{work}", ""),),
        f"{ALONE}::test_changes_go_to_the_upper_layer_only",
    ),
)
IN_PLACE = (
    Mutant(
        "landlock-tier-11-landlock",
        (
            (
                f"{LAUNCH}/landlock.py",
                "    rules.enforce()\n    return version",
                "    return version",
            ),
        ),
        f"{TIER}::test_only_what_is_stated_gets_out",
    ),
    Mutant(
        "landlock-tier-12-second-filter",
        ((f"{LAUNCH}/keeper.py", "for program in filters:", "for program in filters[1:]:"),),
        f"{TIER}::test_only_what_is_stated_gets_out",
    ),
    Mutant(
        "landlock-tier-12-first-filter",
        ((f"{LAUNCH}/keeper.py", "for program in filters:", "for program in filters[:1]:"),),
        f"{TIER}::test_only_what_is_stated_gets_out",
    ),
    Mutant(
        "landlock-tier-23-tree-kill",
        (
            (
                f"{LAUNCH}/keeper.py",
                "    while True:\n        if alone:",
                "    while False:\n        if alone:",
            ),
            (f"{LAUNCH}/zygote.py", "            self._end_adopted()\n", ""),
        ),
        f"{HERE}/test_nothing_outlives_the_tier.py::test_nothing_outlives_the_step",
    ),
    Mutant(
        "landlock-tier-hidden-files",
        (("cloche/kernel/places.py", "hidden=grounds.hidden if of_project else ()", "hidden=()"),),
        f"{TIER}::test_what_the_policy_hides_is_not_there",
    ),
    Mutant(
        "landlock-tier-25-transaction",
        (("cloche/kernel/pipeline.py", "        await in_thread(replica.fold)\n", ""),),
        f"{TIER}::test_effects_are_one_change",
    ),
)


@pytest.mark.parametrize("mutant", [*MUTANTS, *IN_PLACE], ids=lambda mutant: mutant.barrier)
def test_without_it_a_test_fails(mutant: Mutant, tmp_path: Path) -> None:
    if V1 in {file for file, _, _ in mutant.edits} and open_cgroups().kind == "none":
        pytest.skip(f"{mutant.barrier}: this user can make no control group on this machine")
    if mutant.of_root and os.geteuid() != 0:
        pytest.skip(f"{mutant.barrier}: an ordinary user is not, so there is nothing to remove")
    source = tmp_path / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    for place in (tmp_path, *tmp_path.parents[:3]):
        if place.stat().st_uid == os.geteuid() and place != Path("/tmp"):
            place.chmod(0o755)
    for file, text, replacement in mutant.edits:
        content = (source / file).read_text()
        assert text in content, f"{file} no longer says {text!r}"
        (source / file).write_text(content.replace(text, replacement))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"),
            *("-k", "root or not ordinary" if os.geteuid() == 0 else "not root", mutant.test),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={**os.environ, "CLOCHE_TEST_SOURCE": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 1, f"{mutant.test} did not notice:\n{done.stdout[-2000:]}"
