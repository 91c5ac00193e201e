"""`stentor serve` as a test's child: its doors, its log, its end."""

import ctypes
import json
import os
import re
import signal
import subprocess
import threading


def die_with_parent():
    """For preexec_fn: a test that is killed leaves no broker behind."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class BrokerProcess:
    """`STENTOR serve ARGUMENTS`, which the constructor only starts. After wait_until_ready() its
    TCP doors are in `ports`, in their order. A thread of its own collects what it logs."""

    def __init__(self, stentor, *arguments, patience, environment=None, **how):
        self.patience = patience
        self.ports = []
        self.lines = []  # of the log, as they came
        self.log_ended = False
        self.changed = threading.Condition()
        self.process = subprocess.Popen(
            [stentor, "serve", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=os.environ | (environment or {}), preexec_fn=die_with_parent, **how)
        self.reader = threading.Thread(target=self._read_log, daemon=True)
        self.reader.start()

    def wait_until_ready(self):
        """Whether it is; one that is not in time is killed."""
        end = threading.Timer(self.patience, self.process.kill)
        end.start()
        try:
            return self._reads_ready()
        finally:
            end.cancel()

    def _reads_ready(self):
        for line in self.process.stdout:
            if match := re.match(r"listening url=\S+?:(\d+)(/\S*)?$", line.strip()):
                self.ports.append(int(match.group(1)))
            if '"event":"ready"' in line or line.startswith("ready"):
                return True
        return False

    def _read_log(self):
        for line in self.process.stderr:
            with self.changed:
                self.lines.append(line)
                self.changed.notify_all()
        with self.changed:
            self.log_ended = True
            self.changed.notify_all()

    def mark(self):
        """Where the log is now."""
        with self.changed:
            return len(self.lines)

    def find(self, accepts, since, wanted):
        """(where, line) of the first line of the log from `since` on that `accepts`."""
        at = since
        with self.changed:
            def look():
                nonlocal at
                while at < len(self.lines) and not accepts(self.lines[at]):
                    at += 1
                return at < len(self.lines) or self.log_ended
            self.changed.wait_for(look, self.patience)
            if at == len(self.lines):
                raise AssertionError(f"nothing said {wanted}:\n{''.join(self.lines[since:][-60:])}")
            return at, self.lines[at]

    def said(self, since=0, **wanted):
        """The first event from `since` on that has what is wanted."""
        def accepts(line):
            # Sanitizers and crashes do not write JSON.
            return line.startswith("{") and wanted.items() <= json.loads(line).items()
        return json.loads(self.find(accepts, since, wanted)[1])

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        """Its exit code, once it has ended."""
        code = self.process.wait(self.patience)
        self.reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return code

    def end(self):
        """Stops it as an operator would; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def stop(self):
        """For a test's end: it must stop as it should."""
        code = self.end()
        assert code == 0, f"{code}: {''.join(self.lines[-60:])}"
