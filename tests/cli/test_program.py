"""A program that runs beside a command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from comet_mcp.cli.program import Signals, wait_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


def test_a_signal_that_does_not_interrupt_the_wait_is_handed_on_all_the_same() -> None:
    """As one that comes in the instant before the wait begins; here another thread takes it from the system."""
    ready, go = threading.Event(), threading.Event()

    def send() -> None:
        ready.set()
        go.wait()
        os.kill(os.getpid(), signal.SIGUSR1)

    sender = threading.Thread(target=send)
    sender.start()
    ready.wait()
    with Signals() as signals, subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as program:
        signals.hand_to(program)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        try:
            go.set()
            assert wait_for(program) == -signal.SIGUSR1
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            program.kill()
    sender.join()
