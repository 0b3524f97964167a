"""The sandbox's init: puts up the outer barriers, starts the program, and ends with it."""

import contextlib
import os
import signal
import socket

from cloche_launch import abi, calls, message, mounts, network, payload, privileges
from cloche_launch.plan import Ground, LaunchPlan, PlanRefused, decode
from cloche_launch.rehearsal import rehearse
from cloche_launch.sources import Sources
from cloche_launch.supervise import end_the_rest, supervise, tell


def run(
    ground: Ground,
    channel: socket.socket,
    sources: "Sources | None",
    tasks: list[int],
    seccomp_program: bytes,
) -> None:
    """Be pid 1 of the sandbox; never returns. `tasks` are open files of control groups to go into."""
    status = 125
    try:
        _join(tasks)
        status = _live(ground, channel, sources, seccomp_program)
    except (OSError, PlanRefused) as error:
        call = getattr(error, "call", "init")
        tell(channel, {"kind": "failed", "call": call, "detail": str(error)})
    finally:
        os._exit(status)


def _join(tasks: list[int]) -> None:
    """Go into control groups (version 1), whose files are open.

    A process that writes "0" to `tasks` moves itself alone, for which the kernel
    takes no lock of all processes (cgroup_procs_write_start in kernel/cgroup/cgroup.c):
    being moved by another waits for a grace period of RCU, 6 to 16 ms on an idle machine.
    """
    for descriptor in tasks:
        os.write(descriptor, b"0")
        os.close(descriptor)


def _live(
    ground: Ground,
    channel: socket.socket,
    sources: "Sources | None",
    seccomp_program: bytes,
) -> int:
    root = enter(ground, channel, sources or Sources(ground.mounts))
    exec_read, exec_write = os.pipe2(os.O_CLOEXEC)
    orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    top = os.open(root.place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        orders.close()
        payload.start(theirs, top, seccomp_program, exec_write)
    theirs.close()
    os.close(exec_write)
    os.close(top)
    rehearse()
    plan = _finish(root, channel, orders)
    if plan is None:
        return 125  # the host changed its mind, or is gone
    for line in payload.lines(exec_read, child):
        if line["kind"] == "spawned":
            child = line["pid"]
            break  # whoever wrote this has ended, and the program must not speak for it
        tell(channel, line | {"shared": root.shared})
        if line["kind"] == "failed":
            os.waitpid(child, 0)
            return 125
    os.close(exec_read)
    tell(channel, {"kind": "started"})
    status = supervise(plan, channel, child, end_the_rest)
    _wait_hung_up(channel)
    return status


def _wait_hung_up(channel: socket.socket) -> None:
    """Stay, alone, until the host has heard the end: it would wait while the namespaces are taken down."""
    with contextlib.suppress(OSError):
        while True:
            fields, descriptors = message.receive(channel)
            for descriptor in descriptors:
                os.close(descriptor)
            if fields is None:
                return


def enter(ground: Ground, channel: socket.socket, sources: Sources) -> mounts.Root:
    """Put up what can stand before the program is known; numbers as in docs/threat-model.md."""
    if os.getpid() != 1:  # (3) (23)
        raise PlanRefused("init is not the first process of a namespace of its own")
    calls.unshare(abi.CLONE_NEWCGROUP)  # (7) now that this process is in its own group
    privileges.become(
        ground.inside_uid, ground.inside_gid
    )  # (1) (16) the other namespaces came with clone3
    calls.prctl(
        abi.PR_SET_PDEATHSIG, signal.SIGKILL
    )  # (23) after the change of user, which clears it
    privileges.share_counts()  # (10)
    root = mounts.Root()  # (2)
    root.apply(ground.mounts, sources)
    sockets, level = network.furnish(observed=ground.observed)  # (4) (24)
    names = [name for name, _ in sockets]
    message.send(
        channel,
        {"kind": "network", "names": names, "level": level},
        [s.fileno() for _, s in sockets],
    )
    for _, each in sockets:
        each.close()
    socket.sethostname("cloche")  # (6)
    calls.prctl(abi.PR_SET_DUMPABLE, 0)  # (15) no one inside may look into this process
    privileges.no_new_privileges()  # (8)
    privileges.empty_bounding_set()  # (9) what is still held ends with the last mount
    return root


def _finish(
    root: mounts.Root, channel: socket.socket, orders: socket.socket
) -> "LaunchPlan | None":
    """Wait for the plan, pass it on, and make the root complete while the program's process prepares."""
    fields, descriptors = message.receive(channel)
    if fields is None:
        return None
    names, trees = fields["trees"], descriptors[4:]
    message.send(orders, {"kind": "launch"}, descriptors[:4])
    plan = decode(descriptors[0])
    for descriptor in descriptors[:4]:
        os.close(descriptor)
    sources = Sources(plan.mounts) if names is None else Sources.received(names, trees)
    root.apply(plan.mounts, sources)
    root.enter()  # (2)
    message.send(orders, {"kind": "rooted"})
    root.leave_old()
    privileges.drop_capabilities()  # (9) init needs none from here on
    message.send(orders, {"kind": "go"})
    orders.close()
    return plan
