#!/usr/bin/env python3
"""Durable sessions that nobody is connected to: what one costs in memory, and how long a start
takes.

Writes N sessions, each with a client identifier of 24 bytes and two filters of 32 bytes (one of its
own, one that all share, unless --own says that both are), into the state.db of an empty store,
starts the broker on it and looks at its resident memory against a start on the empty store. With
--publish it also publishes that many QoS 1 messages to the filter that all share, a hundred in
flight, and says how fast they were acknowledged: by the design this does not depend on how many
sessions wait. With --drain all sessions then come back, 3000 at a time, take these messages (at
most 100), acknowledge them and leave. With --bystander ten pairs that want nothing of all this
exchange QoS 0 messages meanwhile, 500 a second together: how long theirs are under way before
anything happens, while the others publish, and while the others drain.

With --live clients make the sessions instead: they connect to the broker, subscribe to their
filters and leave, 3000 at a time, and five seconds later its memory is looked at, too.

    sessions_at_rest.py STENTOR [--sessions N] [--shards N] [--own] [--live] [--expiry SECONDS]
        [--publish N [--drain] [--bystander]]
"""
import argparse
import contextlib
import json
import os
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time

from broker_process import BrokerProcess

NEVER = 0xFFFFFFFF  # a session that does not expire
TOPIC = b"broadcast/to/everybody/no/000001"
PAYLOAD = bytes(100)


def client_of(i):
    return f"client-{i:017d}".encode()


def filters_of(i, own):
    second = f"user/{i:014d}/command/abcdef".encode()[:32] if own else TOPIC
    return f"user/{i:014d}/notification".encode()[:32], second


def fill(directory, sessions, own, expiry):
    db = sqlite3.connect(os.path.join(directory, "state.db"))
    db.execute("PRAGMA synchronous=OFF")
    rows = ((client_of(i), 5, expiry, 0, 0, b"", 0, 0, b"", b"", 0, None) for i in range(sessions))
    db.executemany("INSERT INTO session VALUES(?,?,?,?,?,?,?,?,?,?,?,?,0,0)", rows)

    def subscriptions():
        for i in range(sessions):
            for place, text in enumerate(filters_of(i, own)):
                yield client_of(i), place, text, 1, 0, 0, None, 0

    db.executemany("INSERT INTO subscription VALUES(?,?,?,?,?,?,?,?,NULL)", subscriptions())
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def text(octets):
    return struct.pack("!H", len(octets)) + octets


def come_and_go(port, sessions, own, expiry):
    for begin in range(0, sessions, 3000):
        clients = []
        for i in range(begin, min(sessions, begin + 3000)):
            connect = text(b"MQTT") + b"\x05\x00\x00\x05\x05\x11" + struct.pack("!I", expiry)
            connect += text(client_of(i))
            wanted = b"\x00\x01\x00" + b"".join(text(each) + b"\x01" for each in filters_of(i, own))
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(b"\x10" + bytes([len(connect)]) + connect
                           + b"\x82" + bytes([len(wanted)]) + wanted)
            clients.append(client)
        for client in clients:
            got = b""
            while len(got) < 2 or len(got) < got[1] + 2 + 7:  # CONNACK, then SUBACK of 7 bytes
                part = client.recv(4096)
                if not part:
                    sys.exit("the broker has closed a connection")
                got += part
        time.sleep(0.2)
        for client in clients:
            client.sendall(b"\xe0\x00")
            client.close()


def take(client, size):
    got = b""
    while len(got) < size:
        part = client.recv(size - len(got))
        if not part:
            sys.exit("the broker has closed a connection")
        got += part
    return got


def drain(port, sessions, expiry, messages):
    """Sessions that got all they waited for, a second."""
    head = len(TOPIC) + 5  # of a PUBLISH, until the packet identifier
    size = head + 3 + len(PAYLOAD)
    began = time.monotonic()
    for begin in range(0, sessions, 3000):
        clients = []
        for i in range(begin, min(sessions, begin + 3000)):
            connect = text(b"MQTT") + b"\x05\x00\x00\x05\x05\x11" + struct.pack("!I", expiry)
            connect += text(client_of(i))
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(b"\x10" + bytes([len(connect)]) + connect)
            clients.append(client)
        for client in clients:
            take(client, take(client, 2)[1])  # CONNACK
            got = take(client, messages * size)
            acknowledgements = b""
            for at in range(0, len(got), size):
                if got[at + 5:at + head] != TOPIC:
                    sys.exit("something else came")
                acknowledgements += b"\x40\x02" + got[at + head:at + head + 2]
            client.sendall(acknowledgements + b"\xe0\x00")
        for client in clients:
            client.recv(1)  # until the broker has closed, too
            client.close()
    return sessions / (time.monotonic() - began)


def publish(port, messages):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(b"\x10\x13\x00\x04MQTT\x04\x02\x00\x00\x00\x07loading")
    connection.recv(100)
    window = 100
    began = time.monotonic()
    sent = acknowledged = 0
    while acknowledged < messages * 4:
        burst = b""
        while sent < messages and sent - acknowledged // 4 < window:
            sent += 1
            identifier = struct.pack("!H", sent % 60000 + 1)
            body = text(TOPIC) + identifier + PAYLOAD
            burst += b"\x32" + bytes([len(body) & 0x7F | 0x80, len(body) >> 7]) + body
        connection.sendall(burst)
        acknowledged += len(connection.recv(65536))  # PUBACK is four bytes
    connection.close()
    return messages / (time.monotonic() - began)


@contextlib.contextmanager
def bystander(arguments, broker, meanwhile):
    if not arguments.bystander:
        yield
        return
    pairs = subprocess.Popen(
        [arguments.stentor, "bench", "pairs", "--pairs", "10", "-q", "0", "--rate", "500",
         "--duration", "600", "-p", str(broker.port), "--json", "--quiet"],
        stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(1)  # until they are connected; what follows is a measurement, not a test
        yield
    finally:
        pairs.send_signal(signal.SIGINT)
        said = json.loads(pairs.communicate(timeout=60)[0])
    seen = next(each for each in said["phases"] if each["name"] == "traffic")["delivery_ms"]
    print(f"{meanwhile}: a bystander's QoS 0 messages are under way {seen['p50']:.2f} ms (p50),"
          f" {seen['p99']:.2f} (p99), at most {seen['max']:.1f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("stentor")
    parser.add_argument("--sessions", type=int, default=200_000)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--own", action="store_true")
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--expiry", type=int, default=NEVER)
    parser.add_argument("--publish", type=int, default=0)
    parser.add_argument("--drain", action="store_true")
    parser.add_argument("--bystander", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stentor-bench-") as directory:
        def start():
            return BrokerProcess(arguments.stentor, directory, f"node.shards={arguments.shards}")

        broker = start()
        empty, empty_seconds = broker.memory(), broker.seconds
        if arguments.live:
            come_and_go(broker.port, arguments.sessions, arguments.own, arguments.expiry)
            time.sleep(5)
            live = (broker.memory() - empty) / arguments.sessions
            print(f"{live:.0f} B each when they have left")
        broker.end()
        if not arguments.live:
            fill(directory, arguments.sessions, arguments.own, arguments.expiry)
        broker = start()
        time.sleep(2)
        full, most = broker.memory(), broker.memory("VmHWM")
        if arguments.bystander:
            with bystander(arguments, broker, "nothing happens"):
                time.sleep(5)
        rate = drained = 0
        if arguments.publish:
            with bystander(arguments, broker, f"{arguments.publish} messages for all"):
                rate = publish(broker.port, arguments.publish)
        if arguments.drain:
            with bystander(arguments, broker, "all come back"):
                drained = drain(broker.port, arguments.sessions, arguments.expiry,
                                arguments.publish)
        broker.end()
        each = (full - empty) / arguments.sessions
        peak = (most - empty) / arguments.sessions
        print(f"{arguments.sessions} sessions, {arguments.shards} shards: {each:.0f} B each at"
              f" rest, {peak:.0f} B each at the peak of the start; ready after"
              f" {broker.seconds:.2f} s (empty: {empty_seconds:.2f} s)"
              + (f"; {rate:.0f} published to all a second" if rate else "")
              + (f"; {drained:.0f} sessions a second came back, got"
                 f" {drained * arguments.publish:.0f} messages and left" if drained else ""))


main()
