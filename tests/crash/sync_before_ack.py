#!/usr/bin/env python3
"""Shows with strace that an acknowledgement means on disk: between reading a packet and sending its
acknowledgement, the log holds what it promises and has been synced. kill -9 cannot show that.

    sync_before_ack.py STENTOR

Runs the broker once per `store.acknowledge_after`. With `disk` every acknowledgement must come
after a sync; with `os` it must come after the write, and the same check must notice that the sync
is missing: it would otherwise prove nothing. Exits with 77 where processes may not be traced.
"""
import os
import re
import signal
import subprocess
import sys
import tempfile

from mqtt import PATIENCE, Client, identifier

SKIPPED = 77
CALLS = "recvfrom,recvmsg,read,readv,sendto,sendmsg,write,writev,pwrite64,pwritev,fsync,fdatasync"


class Promise:
    """What was sent, what came back, and what must be on disk between the two."""

    def __init__(self, what, request, answer, kept):
        self.what, self.request, self.answer, self.kept = what, request, answer, kept.encode()


def exchange(client, promises, what, request, first, kept):
    client.socket.sendall(request)
    answer = client.receive(first)
    promises.append(Promise(f"{what} of {client.name}", request, answer, kept))
    return answer


def exchanges(port, promises):
    """One of everything whose acknowledgement is a promise, in both versions."""
    for level in (4, 5):
        client = Client(port, level, f"durable-client-{level}")
        name = client.name

        def step(what, request, first, kept, client=client):
            return exchange(client, promises, what, request, first, kept)

        step("CONNACK", client.connect(), 0x20, name)
        step("SUBACK", client.subscribe(1, f"kept-{level}/filter"), 0x90, f"kept-{level}/filter")
        topic = f"away-{level}/topic"
        step("SUBACK", client.subscribe(2, topic), 0x90, topic)
        publisher = Client(port, level, f"publisher-{level}")
        exchange(publisher, promises, "CONNACK", publisher.connect(), 0x20, publisher.name)
        for number in range(1, 6):
            mark = f"message-{level}-qos1-{number}"
            exchange(publisher, promises, "PUBACK",
                     publisher.publish(1, number, topic, mark), 0x40, mark)
            received = client.receive(0x30)
            client.socket.sendall(b"\x40\x02" + identifier(received))
        for number in range(6, 9):
            mark = f"message-{level}-qos2-{number}"
            exchange(publisher, promises, "PUBREC",
                     publisher.publish(2, number, topic, mark), 0x50, mark)
            release = b"\x62\x02" + number.to_bytes(2, "big")
            exchange(publisher, promises, "PUBCOMP", release, 0x70, publisher.name)
            received = client.receive(0x30)
            # The receiver's side: PUBREL says that "received" is on disk.
            step("PUBREL", b"\x50\x02" + identifier(received), 0x60, name)
            client.socket.sendall(b"\x70\x02" + identifier(received))
        mark = f"retained-{level}"
        exchange(publisher, promises, "PUBACK",
                 publisher.publish(1, 9, f"value/{level}", mark, retain=1), 0x40, mark)
        step("UNSUBACK", client.unsubscribe(3, topic), 0xB0, topic)
        burst(publisher, promises, f"kept-{level}/filter")
        client.socket.close()
        publisher.socket.close()


def burst(publisher, promises, topic):
    """Many at once: they are committed in groups."""
    numbers = range(100, 160)
    requests = []
    for number in numbers:
        mark = f"message-{publisher.level}-burst-{number}"
        # Twice: the end of one of the database's pages splits one of them at most.
        request = publisher.publish(1, number, topic, mark + 40 * "." + mark)
        requests.append((mark, request))
    publisher.socket.sendall(b"".join(request for _, request in requests))
    for mark, request in requests:
        answer = publisher.receive(0x40)
        promises.append(Promise(f"PUBACK of {publisher.name}", request, answer, mark))


# ---- what strace saw

class Call:
    """A system call: when it was entered and left (line numbers), what it carried."""

    def __init__(self, name, text, entered):
        self.name, self.entered, self.left, self.text = name, entered, None, text

    def finish(self, text, left):
        self.text += text
        self.left = left
        strings = re.findall(r'"((?:\\x[0-9a-f]{2})*)"', self.text)
        self.data = bytes.fromhex("".join(strings).replace("\\x", ""))
        path = re.match(r"\d+<((?:\\x[0-9a-f]{2})+|TCP)", self.text)
        self.path = path.group(1) if path else ""
        if self.path.startswith("\\x"):
            self.path = bytes.fromhex(self.path.replace("\\x", "")).decode()
        self.failed = bool(re.search(r"= -1 ", self.text))


def calls_of(trace):
    found, open_calls = [], {}
    with open(trace, encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines):
            begun = re.match(r"(\d+) +(\w+)\((.*)", line)
            resumed = re.match(r"(\d+) +<\.\.\. (\w+) resumed>(.*)", line)
            if resumed:
                call = open_calls.pop(resumed.group(1), None)
                if call:
                    call.finish(resumed.group(3), number)
                    found.append(call)
            elif begun:
                call = Call(begun.group(2), begun.group(3), number)
                if line.rstrip().endswith("<unfinished ...>"):
                    open_calls[begun.group(1)] = call
                else:
                    call.finish("", number)
                    found.append(call)
    return found


def first(what, calls):
    call = next(calls, None)
    assert call is not None, f"strace does not show {what}, which this client has seen"
    return call


def unkept(promises, calls, needed_directories):
    """What each promise lacked: {what: "write" or "sync"}. Without the directories that lead to it
    a file is not there, however often it was synced."""
    reads = [c for c in calls if c.name.startswith("re") and c.path.startswith("TCP")]
    sends = [c for c in calls if c.name.startswith(("send", "write")) and c.path.startswith("TCP")]
    logged = [c for c in calls if "/log/" in c.path and not c.failed]
    writes = [c for c in logged if c.name.startswith("pwrite")]
    syncs = [c for c in logged if c.name in ("fsync", "fdatasync")]
    assert reads and sends and writes, "strace shows no traffic: the broker uses other calls now"
    lacking = {}
    first_answer = min(c.entered for c in sends)
    for what in needed_directories:
        if not any(c.name == "fsync" or c.name == "fdatasync" for c in calls
                   if c.path == what and c.left < first_answer):
            lacking[f"the directory {what}"] = "sync"
    after = -1
    for number, promise in enumerate(promises):
        read = first(f"the request of {number} {promise.what}",
                     (c for c in reads if c.left >= after and promise.request in c.data))
        send = first(f"the answer of {number} {promise.what}, {promise.answer.hex()}",
                     (c for c in sends if c.entered > read.left and promise.answer in c.data))
        after = read.left
        written = [c for c in writes if c.entered > read.left and c.left < send.entered
                   and promise.kept in c.data]
        if not written:
            lacking[f"{number} {promise.what}"] = "write"
        elif not any(c.entered > w.left and c.left < send.entered and c.path == w.path
                     for w in written for c in syncs):
            lacking[f"{number} {promise.what}"] = "sync"
    return lacking


# ---- running it

def trace_broker(stentor, mode, directory):
    """Returns the promises made and the calls seen."""
    trace = os.path.join(directory, "trace")
    data = os.path.join(directory, "data")
    environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")  # it cannot under ptrace
    command = ["strace", "-f", "-qq", "-yy", "-xx", "-s", "100000", "-e", "trace=" + CALLS,
               "-o", trace, stentor, "serve", "--listen", "mqtt://127.0.0.1:0", "--data", data,
               "--set", "node.shards=2", "--set", "store.acknowledge_after=" + mode,
               "--set", "logging.level=warn"]
    broker = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True,
                              start_new_session=True)
    promises = []
    try:
        url = next((line for line in broker.stdout if "listening url=" in line), None)
        assert url is not None, "the broker did not start"
        exchanges(int(url.rsplit(":", 1)[1]), promises)
        # The broker alone: strace lets signals wait while it has a program to trace, and ends after
        # it. Killed, it could take the line of the last answer with it.
        os.killpg(broker.pid, signal.SIGTERM)
        broker.communicate(timeout=PATIENCE)
    except BaseException:
        os.killpg(broker.pid, signal.SIGKILL)
        broker.communicate(timeout=PATIENCE)
        raise
    return promises, calls_of(trace)


def may_trace():
    """None, or why processes cannot be traced here."""
    tried = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True,
                           check=False)
    if tried.returncode == 0:
        return None
    if re.search(r"not permitted|PTRACE|ptrace", tried.stderr):
        return tried.stderr.strip()
    raise RuntimeError("strace does not work: " + tried.stderr)


def main():
    reason = may_trace()
    if reason is not None:
        print(f"skipped: this machine does not let us trace processes ({reason})")
        return SKIPPED
    failures = []
    for mode in ("disk", "os"):
        with tempfile.TemporaryDirectory() as directory:
            promises, calls = trace_broker(sys.argv[1], mode, directory)
            directories = [os.path.join(directory, name) for name in ("", "data", "data/log")]
        lacking = unkept(promises, calls, [os.path.realpath(name) for name in directories])
        syncs = sum(c.name in ("fsync", "fdatasync") for c in calls)
        print(f"{mode}: {len(promises)} acknowledgements, {syncs} syncs, "
              f"{len(lacking)} acknowledgements before a sync")
        wrong = lacking if mode == "disk" else {k: v for k, v in lacking.items() if v == "write"}
        failures += [f"{mode}: {what}: an answer left before the {lack}"
                     for what, lack in wrong.items()]
        # A sync that the background needs may fall between by chance; not between most.
        if mode == "os" and len(lacking) * 2 < len(promises):
            failures.append("os: nearly everything was synced; this check sees nothing")
    print("\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
