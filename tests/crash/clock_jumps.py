#!/usr/bin/env python3
"""Expiry of sessions and messages across restarts, and across clocks that jump (rule 11).

    clock_jumps.py STENTOR

One store is made, then copied for every case and opened by a broker whose wall clock libfaketime
has moved: by half an hour and by two hours, what was to expire meanwhile has; in 1970 (a device
without a battery) or in fifty years, nothing has, and coming back from there changes nothing.
Two more are made by brokers whose clock is set by a day, forward and back, when they have nothing
left to do: half an hour later by that clock is half an hour.
The monotonic clock stays true.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from mqtt import NEVER, PATIENCE, Client

HOUR = 3600
DAY = 24 * HOUR
# How long the scripts themselves may take on a busy machine.
SLACK = 300


def find_library():
    for place in ("/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime"):
        path = os.path.join(place, "libfaketimeMT.so.1")
        if os.path.exists(path):
            return path
    sys.exit("libfaketimeMT.so.1 is missing: install the package faketime")


class Broker:
    """Whose clock is moved by `clock`, or by what the file `clock_file` says at the time."""

    def __init__(self, stentor, data, clock=None, clock_file=None):
        environment = dict(os.environ)
        if clock is not None or clock_file is not None:
            environment.update(LD_PRELOAD=find_library(), FAKETIME_DONT_FAKE_MONOTONIC="1",
                               FAKETIME_NO_CACHE="1")
        if clock is not None:
            environment["FAKETIME"] = clock
        if clock_file is not None:
            environment["FAKETIME_TIMESTAMP_FILE"] = clock_file
        self.process = subprocess.Popen(
            [stentor, "serve", "--listen", "mqtt://127.0.0.1:0", "--data", data,
             "--set", "logging.level=error"],
            stdout=subprocess.PIPE, text=True, env=environment)
        url = next((line for line in self.process.stdout if "listening url=" in line), None)
        assert url is not None, "the broker did not start"
        self.port = int(url.rsplit(":", 1)[1])

    def __del__(self):
        if self.process.poll() is None:
            self.process.kill()

    def end(self, how):
        self.process.send_signal(how)
        self.process.communicate(timeout=PATIENCE)

    def client(self, name, expiry_seconds):
        """Connected; the CONNACK's session present flag beside it."""
        client = Client(self.port, 5, name)
        client.socket.sendall(client.connect(expiry_seconds))
        return client, client.receive(0x20)[2] == 1


def set_clock(clock_file, seconds):
    with open(clock_file + ".new", "w", encoding="ascii") as file:
        file.write(f"{seconds:+d}")
    os.rename(clock_file + ".new", clock_file)


def stats(stentor, data):
    return json.loads(subprocess.run([stentor, "store", "stats", data, "--json"], check=True,
                                     stdout=subprocess.PIPE, text=True).stdout)


def wait_until_idle(stentor, data):
    """Nothing has been committed for a while: a commit would bring the clock with it."""
    last, since = None, time.monotonic()
    while time.monotonic() - since < 3:
        found = stats(stentor, data)["log_last"]
        if found != last:
            last, since = found, time.monotonic()


def wait_until_written(stentor, data, wall_unix_seconds):
    """Until the store has the machine's clock, give or take an hour."""
    end = time.monotonic() + PATIENCE
    while abs(stats(stentor, data)["wall_unix_ms"] / 1000 - wall_unix_seconds) > HOUR:
        assert time.monotonic() < end, "the clock that was set is not written"


def make_store(stentor, data, how, set_by=None):
    """set_by: seconds by which the clock is set when there is nothing left to do."""
    clock_file = None if set_by is None else data + "-clock"
    if clock_file:
        set_clock(clock_file, 0)
    broker = Broker(stentor, data, clock_file=clock_file)
    for name, expiry in (("kept", NEVER), ("kept-an-hour", HOUR), ("there", HOUR)):
        client, _ = broker.client(name, expiry)
        client.socket.sendall(client.subscribe(1, "topic"))
        client.receive(0x90)
        if name != "there":
            client.socket.sendall(b"\xE0\x00")
            assert client.socket.recv(1) == b"", "the broker closes after DISCONNECT"
    publisher, _ = broker.client("publisher", 0)
    for number, (payload, expiry) in enumerate((("hour", HOUR), ("for ever", None)), 1):
        publisher.socket.sendall(publisher.publish(1, number, "topic", payload,
                                                   expiry_seconds=expiry))
        publisher.receive(0x40)
    if clock_file:
        wait_until_idle(stentor, data)
        set_clock(clock_file, set_by)
        wait_until_written(stentor, data, time.time() + set_by)
    broker.end(how)


def waiting(client):
    """Payload -> seconds left (None: for ever) of what the session gets, up to a marker."""
    client.socket.sendall(client.publish(1, 9, "topic", "marker"))
    found = {}
    while "marker" not in found:
        packet = client.receive_any()
        if packet[0] & 0xF0 != 0x30:
            continue
        rest = packet[2:]  # these packets are short
        rest = rest[2 + int.from_bytes(rest[:2], "big") + 2:]
        properties, payload = rest[1:1 + rest[0]], rest[1 + rest[0]:]
        left = int.from_bytes(properties[1:5], "big") if properties[:1] == b"\x02" else None
        found[payload.decode()] = left
    del found["marker"]
    return found


def look(stentor, data, clocks):
    """What is left after a broker at each of the clocks, one after the other."""
    for clock in clocks[:-1]:
        Broker(stentor, data, clock).end(signal.SIGTERM)
    broker = Broker(stentor, data, clocks[-1])
    kept, is_kept = broker.client("kept", NEVER)
    found = {"kept": is_kept, "messages": waiting(kept) if is_kept else {}}
    for name in ("kept-an-hour", "there"):
        _, found[name] = broker.client(name, HOUR)
    broker.end(signal.SIGKILL)
    return found


def check(case, found, hour_left):
    """hour_left: of the hour that the message and the session had; 0: they are gone."""
    wrong = []
    left = found["messages"].get("hour", 0)
    if not found["kept"]:
        wrong.append("a session that never expires is gone")
    if "for ever" not in found["messages"]:
        wrong.append("a message that never expires is gone")
    if not hour_left - SLACK <= left <= hour_left:
        wrong.append(f"the message has {left} s left instead of {hour_left}")
    if found["kept-an-hour"] != (hour_left != 0):
        wrong.append(f"the session of an hour: present {found['kept-an-hour']}")
    # After a kill its interval begins with the restart; an orderly stop detached it.
    if not found["there"] and (hour_left != 0 or "kill" in case):
        wrong.append("the session of a client that was connected is gone")
    return [f"{case}: {what}" for what in wrong]


def main():
    cases = {
        "half an hour later": (["+30m"], HOUR // 2),
        "two hours later": (["+2h"], 0),
        "in 1970": (["@1970-01-01 00:10:00"], HOUR),
        "in fifty years": (["+50y"], HOUR),
        "back from 1970": (["@1970-01-01 00:10:00", "+0"], HOUR),
        "back from the future": (["+50y", "+0"], HOUR),
    }
    failures = []
    for end, how in (("kill", signal.SIGKILL), ("stop", signal.SIGTERM)):
        with tempfile.TemporaryDirectory() as directory:
            original = os.path.join(directory, "original")
            make_store(sys.argv[1], original, how)
            for case, (clocks, hour_left) in cases.items():
                data = os.path.join(directory, case.replace(" ", "-"))
                shutil.copytree(original, data)
                failures += check(f"after a {end}, {case}", look(sys.argv[1], data, clocks),
                                  hour_left)
            for name, set_by in (("forward", DAY), ("back", -DAY)):
                data = os.path.join(directory, "set-" + name)
                make_store(sys.argv[1], data, how, set_by)
                found = look(sys.argv[1], data, [f"{set_by + HOUR // 2:+d}"])
                failures += check(f"set {name} by a day before a {end}", found, HOUR // 2)
    print("\n".join(failures) or f"{2 * len(cases) + 4} cases")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
