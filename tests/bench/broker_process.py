"""A broker that a measurement starts, looks at and ends."""
import signal
import subprocess
import sys
import time


class BrokerProcess:
    """Listens on a port of the kernel's choice; `seconds`: from its start until it was ready."""

    def __init__(self, binary, directory, *settings):
        began = time.monotonic()
        command = [binary, "serve", "--listen", "mqtt://127.0.0.1:0", "--data", directory]
        for setting in ("logging.format=text", "logging.level=error", *settings):
            command += ["--set", setting]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.port = 0
        for line in self.process.stdout:
            if line.startswith("listening url=mqtt://"):
                self.port = int(line.strip().rpartition(":")[2])
            if line.strip() == "ready":
                self.seconds = time.monotonic() - began
                return
        sys.exit("the broker did not become ready: " + self.process.stderr.read())

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.communicate(timeout=300)

    def memory(self, name="VmRSS"):
        """Bytes; VmHWM is the most it ever was."""
        with open(f"/proc/{self.pid}/status") as status:
            for line in status:
                if line.startswith(name + ":"):
                    return int(line.split()[1]) * 1024
        sys.exit("the broker has ended")
