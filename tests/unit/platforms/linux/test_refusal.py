from dataclasses import replace

import pytest

from cloche.platforms.linux.refusal import Circumstances, read_circumstances, who_refused

OPEN = Circumstances(is_root=False)
CLONE = ("clone3", "clone3(): Operation not permitted (EPERM)")
MOUNT = ("mount", "mount(tmpfs at /sys): Permission denied (EACCES)")
CASES = {
    "a setting": (CLONE, {"exhausted": ("user.max_user_namespaces",)}, "max_user_namespaces = 0"),
    "a setting of the machine around": (
        ("clone3", "clone3(): No space left on device (ENOSPC)"),
        {},
        "as many namespaces",
    ),
    "Debian's setting": (CLONE, {"userns_clone": "0"}, "unprivileged_userns_clone = 0"),
    "Ubuntu's setting": (MOUNT, {"apparmor_restricts": "1"}, "AppArmor"),
    "a chroot": (CLONE, {"in_chroot": True}, "chroot"),
    "a user without a mapping": (CLONE, {"is_mapped": False}, "no mapping"),
    "a rootless container": (CLONE, {"is_root": True, "owns_machine": False}, "rootless"),
    "a covered proc": (("mount", "mount(proc at /x): (EPERM)"), {}, "/proc are covered"),
    "the file system": (("mount", "mount(overlay at /x): (EINVAL)"), {}, "state directory"),
    "a file system without identities": (
        ("mount_setattr", "mount_setattr(0x100000): Invalid argument (EINVAL)"),
        {"is_root": True},
        "maps no identities",
    ),
    "a filter": (CLONE, {"is_filtered": True}, "seccomp"),
    "a poor root": (CLONE, {"is_root": True, "can_administer": False}, "CAP_SYS_ADMIN"),
    "a profile": (MOUNT, {"label": "docker-default (enforce)"}, "docker-default"),
    "nothing in sight": (CLONE, {}, "the kernel refused clone3(): "),
}


@pytest.mark.parametrize("name", CASES)
def test_the_layer_that_refused_is_named_with_its_mend(name: str) -> None:
    (call, detail), circumstances, said = CASES[name]
    refusal = who_refused(call, detail, replace(OPEN, **circumstances))
    assert said in refusal.why
    assert detail in refusal.why
    assert refusal.mend


def test_settings_for_ordinary_users_are_not_blamed_for_a_refusal_of_root() -> None:
    around = replace(OPEN, is_root=True, userns_clone="0", apparmor_restricts="1")
    assert "kernel refused" in who_refused(*CLONE, around).why


def test_what_is_around_this_very_process_can_be_read() -> None:
    assert read_circumstances().is_mapped
