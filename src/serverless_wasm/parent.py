"""What a process of ours owes to the one that started it: to end with it, and to stay within its rights.

The number of the parent comes in; the kernel is told.
It must never leave a process running that nobody looks after.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_SET_PARENT_DEATH_SIGNAL, _SET_NO_NEW_PRIVILEGES = 1, 38
"""Of prctl(2); Python does not name them."""


def end_with(parent: int) -> None:
    """Has the kernel end this process with the thread that started it, and never give it more rights.

    Elsewhere than on Linux the end of a pipe must do. Ends the process if the parent has gone already.
    """
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel was told
        os._exit(1)
