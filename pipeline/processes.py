"""What is asked of the kernel about processes, and between two of them over a socket."""

import ctypes
import os
import re
import signal
import socket
import sys

_PR_SET_PDEATHSIG = 1
_MEMORY_KIB = re.compile(rb"Vm(?:RSS|Swap):\s*(\d+)")


def die_with_parent(parent_pid: int) -> None:
    """This process is killed when the thread that started it ends; at once if that has ended.

    Call after any change of user: that clears the setting.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(0)


def memory_bytes(pid: int) -> int:
    """Resident and swapped memory of the process; 0 when it is gone or the system does not say."""
    try:
        # Asked ten times a second of each lint process: no buffer, no path, no line by itself.
        with open(f"/proc/{pid}/status", "rb", buffering=0) as status:
            told = status.readall()
    except OSError:
        return 0
    return sum(map(int, _MEMORY_KIB.findall(told))) * 1024


def receive_exactly(connection: socket.socket, size: int) -> bytes:
    """Return the next ``size`` bytes; ``EOFError`` when the other end has gone."""
    buffer = bytearray(size)
    view = memoryview(buffer)
    filled = 0
    while filled < size:
        count = connection.recv_into(view[filled:])
        if count == 0:
            raise EOFError
        filled += count
    return bytes(buffer)
