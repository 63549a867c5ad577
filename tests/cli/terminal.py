"""Run the program with a real terminal as its stderr."""

from __future__ import annotations

import os
import subprocess
import sys


def run_on_terminal(*words: str, columns: int = 80) -> tuple[int, str, str]:
    """Run the program; return its exit code, its stdout, and what the terminal received."""
    import pty
    import termios

    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, columns))
    shown = b""
    with subprocess.Popen(
        [sys.executable, "-m", "styletransfer", *words], stdout=subprocess.PIPE, stderr=follower, text=True
    ) as process:
        os.close(follower)
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:  # how Linux says that the other side is closed
                break
            if not part:
                break
            shown += part
        os.close(leader)
        assert process.stdout is not None
        output = process.stdout.read()
    return process.returncode, output, shown.decode()
