"""Runs in the booted system of test_package.py: asks systemd about the service; one JSON object."""

import ctypes
import json
import os
import pathlib
import subprocess
import time

PATIENCE = 60
SEIZE, INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)


def shown(*names):
    lines = run("systemctl", "show", "stentor", "-p", ",".join(names)).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines)


def wait_until(condition):
    """systemd tells nobody but its log of what has become of a service."""
    end = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)


def process():
    status = pathlib.Path(f"/proc/{shown('MainPID')['MainPID']}/status").read_text()
    return dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)


def state():
    return shown("ActiveState", "SubState", "Result", "NRestarts", "StatusText")


def stop_one_shard():
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    tasks = pathlib.Path(f"/proc/{shown('MainPID')['MainPID']}/task").iterdir()
    shard = next(int(task.name) for task in tasks
                 if (task / "comm").read_text().strip() == "shard-0")
    return shard, [libc.ptrace(SEIZE, shard, None, None), libc.ptrace(INTERRUPT, shard, None, None)]


def has_ended(thread):
    _, status = os.waitpid(thread, WALL | os.WNOHANG)
    return os.WIFSIGNALED(status)


found = {"start": state(), "process": process()}
found["pub"] = run("stentor", "pub", "-t", "x", "-m", "hello", "-q", "1").returncode
found["reload"] = run("systemctl", "reload", "stentor").returncode
found["after reload"] = state()
found["restart"] = run("systemctl", "restart", "stentor").returncode
wait_until(lambda: "clients on" in state()["StatusText"])
found["after restart"] = state()

before = shown("MainPID")["MainPID"]
upgraded = run("dpkg", "--no-triggers", "-i", "/mnt/new.deb")
found["upgrade"] = [upgraded.returncode, upgraded.stdout + upgraded.stderr]
found["processes of the upgrade"] = [before, shown("MainPID")["MainPID"]]
found["after upgrade"] = state()

# A watchdog that does not make this wait a minute.
dropin = pathlib.Path("/run/systemd/system/stentor.service.d/quick.conf")
dropin.parent.mkdir(parents=True)
dropin.write_text("[Service]\nWatchdogSec=8s\nRestartSec=0\n")
run("systemctl", "daemon-reload")
run("systemctl", "restart", "stentor")
stopped, found["stopped shard"] = stop_one_shard()
# Its end is told to who traces it, and only then to its parent.
wait_until(lambda: has_ended(stopped))
wait_until(lambda: state()["NRestarts"] == "1" and state()["ActiveState"] == "active")
found["after watchdog"] = state()
found["log"] = run("journalctl", "-o", "cat", "--no-pager").stdout

found["stop"] = run("systemctl", "stop", "stentor").returncode
found["after stop"] = state()
# Who purges a running service has it stopped first.
run("systemctl", "start", "stentor")
purged = run("dpkg", "--no-triggers", "--purge", "stentor")
found["purge"] = [purged.returncode, purged.stdout + purged.stderr]
found["after purge"] = [shown("LoadState")["LoadState"], os.path.exists("/var/lib/stentor"),
                        run("pgrep", "-x", "stentor").stdout]
print(json.dumps(found))
