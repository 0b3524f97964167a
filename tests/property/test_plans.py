"""A plan says the same to the launcher as to us, or the launcher refuses it."""

import json
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.model.limits import LIMIT_CLASSES
from cloche.sandbox.codec import encode, encode_ground
from cloche.sandbox.ground import Ground
from cloche.sandbox.mounts import (
    BindReadOnly,
    BindWritable,
    Dev,
    FileContent,
    Masked,
    MountOp,
    Overlay,
    Proc,
    SymbolicLink,
    Tmpfs,
)
from cloche.sandbox.plan import NetworkPlan, SandboxPlan
from cloche_launch.plan import OPERATIONS, PlanRefused, decode, decode_ground

# As the file system has them: any bytes but NUL, carried as surrogates where they are not UTF-8.
NAMES = (
    st.binary(min_size=1, max_size=12)
    .map(lambda raw: raw.replace(b"\0", b"x").replace(b"/", b"y"))
    .map(os.fsdecode)
)
PATHS = st.lists(NAMES.filter(lambda name: name not in (".", "..")), min_size=1, max_size=3).map(
    lambda parts: "/" + "/".join(parts)
)
SIZES = st.integers(1, 1 << 50)
OPERATION: st.SearchStrategy[MountOp] = st.one_of(
    st.builds(
        BindReadOnly, source=PATHS, target=PATHS, optional=st.booleans(), of_user=st.booleans()
    ),
    st.builds(BindWritable, source=PATHS, target=PATHS),
    st.builds(
        Overlay,
        lowers=st.lists(PATHS, min_size=1, max_size=3).map(tuple),
        upper=PATHS,
        work=PATHS,
        target=PATHS,
    ),
    st.builds(Tmpfs, target=PATHS, size_bytes=SIZES, inodes=SIZES, mode=st.integers(0, 0o1777)),
    st.builds(FileContent, target=PATHS, content=st.text(max_size=20).map(lambda t: t.encode("utf-8", "ignore"))),
    st.builds(SymbolicLink, target=PATHS, to=NAMES),
    st.builds(Masked, target=PATHS),
    st.builds(Proc, target=PATHS),
    st.builds(Dev, target=PATHS, shm_bytes=SIZES),
)  # fmt: skip
MOUNTS = st.lists(OPERATION, max_size=6).map(tuple)
PLANS = st.builds(
    SandboxPlan,
    step=st.just("step"),
    argv=st.lists(NAMES, min_size=1, max_size=4).map(tuple),
    env=st.dictionaries(NAMES, NAMES, max_size=4),
    cwd=PATHS,
    mounts=MOUNTS,
    writable=st.lists(PATHS, max_size=3).map(tuple),
    limits=st.sampled_from(list(LIMIT_CLASSES.values())),
    network=st.builds(NetworkPlan, observed=st.booleans(), inbound=st.booleans()),
    mirror=st.booleans(),
    canary=PATHS,
)


def in_file(content: bytes) -> int:
    descriptor = os.memfd_create("plan")
    os.write(descriptor, content)
    return descriptor


def read(content: bytes) -> dict[str, Any]:
    descriptor = in_file(content)
    try:
        return vars(decode(descriptor))
    finally:
        os.close(descriptor)


def words(plan: SandboxPlan) -> bytes:
    return encode(plan, plan.mounts, landlock=True, host_pid=7, insists=("mount",))


@given(PLANS)
def test_what_is_written_is_what_is_read(plan: SandboxPlan) -> None:
    got = read(words(plan))
    assert got["argv"] == list(plan.argv)
    assert got["env"] == dict(plan.env)
    assert got["cwd"] == plan.cwd
    assert got["writable"] == list(plan.writable)
    assert got["landlock"] is True
    assert (got["canary"], got["host_pid"], got["insists"]) == (plan.canary, 7, ["mount"])
    assert (got["inbound"], got["mirror"]) == (plan.network.inbound, plan.mirror)
    limits = ("file_bytes", "open_files", "processes")
    assert [got[name] for name in limits] == [getattr(plan.limits, name) for name in limits]
    assert len(got["mounts"]) == len(plan.mounts)
    for seen, meant in zip(got["mounts"], plan.mounts, strict=True):
        assert seen["target"] == meant.target
        for name in ("source", "optional", "of_user", "upper", "work", "to", "size_bytes", "mode"):
            if hasattr(meant, name):
                assert seen[name] == getattr(meant, name)
        if isinstance(meant, Overlay):
            assert seen["lowers"] == list(meant.lowers)
        if isinstance(meant, FileContent):
            assert seen["content"].encode() == meant.content


@given(st.builds(Ground, mounts=MOUNTS, observed=st.booleans()), SIZES, SIZES)
def test_a_ground_is_read_as_it_was_written(ground: Ground, uid: int, gid: int) -> None:
    content = encode_ground(ground, host_uid=uid, host_gid=gid, group="/y", tasks_files=("/x",))
    descriptor = in_file(content)
    try:
        got = decode_ground(descriptor)
    finally:
        os.close(descriptor)
    assert (got.host_uid, got.host_gid, got.observed) == (uid, gid, ground.observed)
    assert [m["target"] for m in got.mounts] == [m.target for m in ground.mounts]


ODD = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3) | st.just([]) | st.just({}) | st.just([1]) | st.just({"a": 1})  # fmt: skip


@given(PLANS, st.data())
def test_a_key_too_many_too_few_or_of_another_type_is_refused(
    plan: SandboxPlan, data: st.DataObject
) -> None:
    document = json.loads(words(plan))
    places = [document, *document["mounts"]]
    place = data.draw(st.sampled_from(places))
    key = data.draw(st.sampled_from(sorted(place)))
    kind, before = data.draw(st.sampled_from(["drop", "add", "change"])), place[key]
    if kind == "drop":
        del place[key]
    elif kind == "add":
        place[f"{key}_"] = before
    else:
        odd = data.draw(ODD.filter(lambda value: _differs(value, before)))
        place[key] = odd
    with pytest.raises(PlanRefused):
        read(json.dumps(document).encode())


def _differs(value: Any, before: Any) -> bool:
    """Tell whether a value is one that nobody could take for the one before."""
    if type(value) is not type(before):
        return True
    if isinstance(value, list | dict):
        return value in ([1], {"a": 1})
    return False


@given(st.binary(max_size=60) | ODD.map(lambda value: json.dumps(value).encode()))
def test_what_is_no_plan_is_refused(content: bytes) -> None:
    with pytest.raises(PlanRefused):
        read(content)


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b"\xff", b"", b'{"version": 2}', b'{"version": 1}']
)
def test_what_would_break_a_reader_is_refused(content: bytes) -> None:
    with pytest.raises(PlanRefused):
        read(content)


@pytest.mark.parametrize("target", ["relative", "/a/../b", "", ".."])
def test_a_target_that_could_lead_elsewhere_is_refused(target: str) -> None:
    plan = SandboxPlan(
        step="s", argv=("x",), env={}, cwd="/", mounts=(Masked(target=target),), writable=(),
        limits=LIMIT_CLASSES["tool"], network=NetworkPlan(),
    )  # fmt: skip
    with pytest.raises(PlanRefused):
        read(words(plan))


def test_every_operation_has_a_reader() -> None:
    assert len(OPERATIONS) == 8
