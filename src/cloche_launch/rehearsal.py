"""What a plan will ask for, done once to no effect, while there is time.

A page that two processes share since a fork is copied when one first writes to
it, and Python writes a count into whatever it uses: hundreds of pages between a
plan's arrival and its program, at up to two microseconds each.
"""

import os
import socket

from cloche_launch import message
from cloche_launch.plan import decode, specimen
from cloche_launch.sources import Sources


def rehearse() -> None:
    """Send, receive and read a plan that says nothing. Raises OSError."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    document = os.memfd_create("rehearsal", os.MFD_CLOEXEC)
    descriptors = [document]
    try:
        os.write(document, specimen())
        message.send(near, {"kind": "rehearsal", "trees": []}, [document])
        received = message.receive(far)[1]
        descriptors += received
        decode(*received)
        Sources.received([], [])
    finally:
        for each in descriptors:
            os.close(each)
        near.close()
        far.close()
