"""What the launcher's processes and the host say to each other, and in which order.

One datagram of a SOCK_SEQPACKET socket a message: JSON, with descriptors
beside it. From host to zygote: `prepare`, `keep`, `map`; back: `prepared`, `mapped` or
`failed`. From init to host, on the sandbox's own socket: `network`, `confined`,
then `started` or `failed`, then `exited`. From host to init: `launch`, then
`terminate`, `put`, `connect`. From init to the process that becomes the
program: `launch`, `rooted`, `go`. The sender is believed only as far as the
order goes; sizes are bounded by the receiver.
"""

import array
import json
import socket

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from typing import Any

LONGEST = 65_536
MOST_DESCRIPTORS = 250  # SCM_MAX_FD is 253

ORDER = {
    "": ("network", "failed"),
    "network": ("confined", "failed"),
    "confined": ("started", "failed"),
    "started": ("exited", "put-done", "sockets"),
    "put-done": ("exited", "put-done", "sockets"),
    "sockets": ("exited", "put-done", "sockets"),
}
"""Which kinds may follow which, from init."""


def send(
    channel: socket.socket,
    fields: "dict[str, Any]",
    descriptors: "list[int] | tuple[int, ...]" = (),
) -> None:
    """Send one message."""
    ancillary = []
    if descriptors:
        rights = array.array("i", descriptors)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
    channel.sendmsg([json.dumps(fields).encode()], ancillary)


def receive(channel: socket.socket) -> "tuple[dict[str, Any] | None, list[int]]":
    """Give (fields, descriptors), or (None, []) when the other side is gone."""
    space = socket.CMSG_SPACE(MOST_DESCRIPTORS * 4)
    data, ancillary, _, _ = channel.recvmsg(LONGEST, space, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, block in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(block[: len(block) - len(block) % descriptors.itemsize])
    if not data:
        return None, list(descriptors)
    return json.loads(data), list(descriptors)
