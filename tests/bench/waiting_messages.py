#!/usr/bin/env python3
"""Messages that wait for durable sessions nobody is connected to: what they cost in memory, on disk
and at a start.

Makes N sessions with a filter each, publishes M QoS 1 messages of 64 bytes to them, evenly, and
looks at the broker's resident memory then, after a stop and a start, and after a kill and a start,
and at how long the starts took. At the end one of the sessions comes back and gets what is its own.

    waiting_messages.py STENTOR [--messages M] [--sessions N] [--shards N] [--payload BYTES]
"""
import argparse
import os
import signal
import socket
import struct
import sys
import tempfile
import time

from broker_process import BrokerProcess

WINDOW = 2000  # messages under way


def start(arguments, directory):
    return BrokerProcess(arguments.stentor, directory, f"node.shards={arguments.shards}",
                         f"limits.receive_maximum={WINDOW}", "limits.inflight_maximum=1000")


def resident(broker):
    return broker.memory() / (1 << 20)


def disk(directory):
    return sum(os.path.getsize(os.path.join(where, name))
               for where, _, files in os.walk(directory) for name in files) / (1 << 20)


def quiet(directory):
    """Until the files stay as they are: everything is applied, sealed and tidied."""
    before = None
    while (now := disk(directory)) != before:
        before = now
        time.sleep(3)


def text(octets):
    return struct.pack("!H", len(octets)) + octets


def packet(first, body):
    length = len(body)
    head = bytearray([first])
    while True:
        length, low = length >> 7, length & 0x7F
        head.append(low | (0x80 if length else 0))
        if not length:
            return bytes(head) + body


class Connection:
    def __init__(self, port, client, clean=False):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        flags = 2 if clean else 0
        self.socket.sendall(packet(0x10, text(b"MQTT") + bytes([4, flags, 0, 0]) + text(client)))
        self.take(4)

    def take(self, size):
        got = b""
        while len(got) < size:
            part = self.socket.recv(size - len(got))
            if not part:
                sys.exit("the broker has closed a connection")
            got += part
        return got

    def close(self):
        self.socket.sendall(b"\xe0\x00")
        self.socket.close()


def topic(session):
    return f"waiting/{session:07d}/messages".encode()


def make_sessions(port, sessions):
    for session in range(sessions):
        client = Connection(port, f"waiting-{session:07d}".encode())
        client.socket.sendall(packet(0x82, b"\x00\x01" + text(topic(session)) + b"\x01"))
        client.take(5)
        client.close()


def publish(port, messages, sessions, payload):
    """A window at a time, two of them under way: acknowledged ones are counted, not read."""
    client = Connection(port, b"publisher", clean=True)
    half = WINDOW // 2
    windows = (messages + half - 1) // half
    waiting = 0
    for window in range(windows):
        first = 1 + (window % 2) * half
        body = bytearray()
        for i in range(half):
            number = window * half + i
            body += packet(0x32, text(topic(number % sessions)) + struct.pack("!H", first + i)
                           + payload)
        client.socket.sendall(body)
        waiting += half
        while waiting > half:
            client.take(4)  # PUBACK
            waiting -= 1
            rest = min(waiting - half, 16384)
            if rest > 0:
                client.take(4 * rest)
                waiting -= rest
    client.take(4 * waiting)
    client.close()
    return windows * half


def come_back(port, session, expected):
    """Takes what waits for the session, acknowledging it."""
    client = Connection(port, f"waiting-{session:07d}".encode())
    stream = client.socket.makefile("rb", buffering=1 << 20)
    for _ in range(expected):
        stream.read(1)
        length = shift = 0
        while True:
            octet = stream.read(1)[0]
            length |= (octet & 0x7F) << shift
            shift += 7
            if octet < 0x80:
                break
        body = stream.read(length)
        name = struct.unpack("!H", body[:2])[0]
        if body[2:2 + name] != topic(session):
            sys.exit("somebody else's message")
        client.socket.sendall(b"\x40\x02" + body[2 + name:4 + name])
    client.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("stentor")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--payload", type=int, default=64)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stentor-bench-") as directory:
        def start_again(how):
            broker = start(arguments, directory)
            time.sleep(2)
            print(f"after a {how}: {resident(broker):.1f} MiB, ready after {broker.seconds:.2f} s",
                  flush=True)
            return broker

        broker = start(arguments, directory)
        print(f"empty: {resident(broker):.1f} MiB, ready after {broker.seconds:.2f} s", flush=True)
        make_sessions(broker.port, arguments.sessions)
        began = time.monotonic()
        count = publish(broker.port, arguments.messages, arguments.sessions,
                        bytes(arguments.payload))
        rate = count / (time.monotonic() - began)
        quiet(directory)
        print(f"{count} messages wait for {arguments.sessions} sessions, {arguments.shards} shards:"
              f" {resident(broker):.1f} MiB, {disk(directory):.0f} MiB on disk,"
              f" published at {rate:.0f}/s", flush=True)
        broker.end()
        broker = start_again("stop")
        broker.end(signal.SIGKILL)
        broker = start_again("kill")
        began = time.monotonic()
        come_back(broker.port, 0, count // arguments.sessions)
        print(f"one session got its {count // arguments.sessions} in"
              f" {time.monotonic() - began:.2f} s, then {resident(broker):.1f} MiB")
        broker.end()


main()
