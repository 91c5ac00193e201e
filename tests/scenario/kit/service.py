"""What systemd would be to the broker: its notification socket, and a thread of it that stands."""

import ctypes
import os
import pathlib
import signal
import socket
import threading


class NotifySocket:
    """A real datagram socket for NOTIFY_SOCKET; collects what it is told, in order."""

    def __init__(self, directory, patience):
        self.path = str(pathlib.Path(directory) / "notify")
        self.patience = patience
        self.lines = []  # NAME=VALUE
        self.changed = threading.Condition()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.socket.bind(self.path)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def environment(self, watchdog_seconds=None):
        environment = {"NOTIFY_SOCKET": self.path}
        if watchdog_seconds is not None:
            environment["WATCHDOG_USEC"] = f"{watchdog_seconds * 1e6:.0f}"
        return environment

    def _read(self):
        while datagram := self.socket.recv(65536):
            with self.changed:
                self.lines += [line for line in datagram.decode().split("\n") if line]
                self.changed.notify_all()

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.path)
        self.reader.join()
        self.socket.close()

    def mark(self):
        """Where it is now."""
        with self.changed:
            return len(self.lines)

    def wait_for(self, wanted, since=0):
        """Where the first line is that begins with `wanted`, or that `wanted` accepts."""
        def accepts(line):
            return wanted(line) if callable(wanted) else line.startswith(wanted)

        def look():
            return next((at for at in range(since, len(self.lines)) if accepts(self.lines[at])),
                        None)
        with self.changed:
            self.changed.wait_for(lambda: look() is not None, self.patience)
            if (at := look()) is None:
                raise AssertionError(f"nothing told {wanted}: {self.lines[since:]}")
            return at

    def between(self, begin, end):
        with self.changed:
            return self.lines[begin:end]


class StoppedThread:
    """One thread of a child of ours stands still while all others run: a tracer interrupts it.
    (A signal would stop the whole process.)"""

    SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
    WALL = 0x40000000

    def __init__(self, process, name):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        tasks = pathlib.Path(f"/proc/{process}/task").iterdir()
        self.thread = next(int(task.name) for task in tasks
                           if (task / "comm").read_text().strip() == name)
        self._trace(self.SEIZE)
        self._trace(self.INTERRUPT)
        os.waitpid(self.thread, self.WALL)

    def _trace(self, request):
        if self.libc.ptrace(request, self.thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def go_on(self):
        """To be called by the thread that has stopped it."""
        self._trace(self.DETACH)


def may_trace():
    """Whether a child's thread can be stopped here."""
    child = os.fork()
    if child == 0:
        signal.pause()
    try:
        name = pathlib.Path(f"/proc/{child}/comm").read_text().strip()
        StoppedThread(child, name).go_on()
        return True
    except OSError:
        return False
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
