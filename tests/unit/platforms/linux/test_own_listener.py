"""A port on the host's loopback is everybody's to find, and our user's alone to use."""

import os
import socket
import subprocess

import pytest

from cloche.platforms.linux.in_place import open_listener

CONNECT = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10) as peer:
    try: print(len(peer.recv(1)))
    except ConnectionResetError: print(0)
"""


def test_who_is_not_our_user_is_hung_up_on() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else")
    with open_listener() as listener:
        port = listener.getsockname()[1]
        words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        stranger = subprocess.Popen(
            [*words, "/usr/bin/python3", "-c", CONNECT, str(port)], stdout=subprocess.PIPE
        )
        with socket.create_connection(("127.0.0.1", port)) as friend:
            listener.settimeout(10)
            connection, peer = listener.accept()
            connection.close()
            assert peer == friend.getsockname()
        listener.settimeout(2)
        with pytest.raises(TimeoutError):
            listener.accept()
        assert stranger.communicate(timeout=10)[0] == b"0\n"
