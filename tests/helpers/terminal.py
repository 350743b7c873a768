"""A terminal of its own for a command."""

import os
import pty
import subprocess
import termios
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def output_on_terminal(command: Sequence[str], log: Path | None = None, **options: Any) -> str:
    """Return what a terminal of 120 columns shows of a command that succeeds; standard error may go to a log."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(leader, (24, 120))
    stderr = log.open("w") if log else None
    streams = {"stdin": follower, "stdout": follower, "stderr": stderr or follower}
    with subprocess.Popen(command, start_new_session=True, **streams, **options) as process:
        os.close(follower)
        output = b""
        while True:
            try:
                output += (part := os.read(leader, 4096))
            except OSError:  # on Linux the end: no process holds the other side
                break
            if not part:
                break
    os.close(leader)
    if stderr:
        stderr.close()
    assert process.returncode == 0, output.decode()
    return output.decode()
