#!/usr/bin/env python3
"""Rates, and that what is dropped is said: against the real binary, with raw sockets.

    test_limits.py STENTOR SHARDS
"""

import os
import signal
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "kit"))

from broker import BrokerProcess
from wire import CONNECT, PUBLISH, packet, text

STENTOR = os.path.abspath(os.environ.get("STENTOR_BINARY", sys.argv[1]))
SHARDS = sys.argv[2]
PATIENCE = 20


def connect(name, properties=b""):
    return packet(CONNECT, text("MQTT") + b"\x05\x02\x00\x00" + bytes([len(properties)]) +
                  properties + text(name))


def publish(topic, payload, qos=0, identifier=0):
    where = text(topic) + (identifier.to_bytes(2, "big") if qos else b"")
    return packet(PUBLISH, where + b"\x00" + payload, qos << 1)


class Limits(unittest.TestCase):
    def serve(self, *settings):
        arguments = ["--set", "listener.0.url=mqtt://127.0.0.1:0", "--data", ":memory:"]
        for setting in (f"node.shards={SHARDS}", *settings):
            arguments += ["--set", setting]
        self.broker = BrokerProcess(STENTOR, *arguments, patience=PATIENCE)
        self.addCleanup(self.broker.stop)
        self.assertTrue(self.broker.wait_until_ready(), "not ready")
        self.port = self.broker.ports[0]

    def open(self, name=None, properties=b""):
        stream = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        self.addCleanup(stream.close)
        if name:
            stream.sendall(connect(name, properties))
            head = self.take(stream, 2)
            self.assertEqual(head[0], 0x20)
            self.take(stream, head[1])
        return stream

    @staticmethod
    def take(stream, size):
        """MSG_WAITALL does not wait on sockets with a time-out."""
        data = b""
        while len(data) < size:
            piece = stream.recv(size - len(data))
            if not piece:
                raise ConnectionError(f"closed after {data!r}")
            data += piece
        return data

    def test_connections_beyond_the_rate_are_shed_before_connack(self):
        self.serve("limits.connects_per_second_max=5")
        answers = []
        for i in range(40):
            stream = self.open()
            try:
                stream.sendall(connect(f"c{i}"))
                answers.append(stream.recv(1))
            except ConnectionError:
                answers.append(b"")
        # However long it takes: every second lets five in, and this took at least a part of one.
        self.assertIn(b"", answers)
        self.assertGreaterEqual(answers.count(b"\x20"), 5)
        self.broker.said(event="connection_shed")

    def test_a_listener_takes_no_more_connections_than_it_may(self):
        self.serve("listener.0.max_connections=2")
        first = self.open("a")
        self.open("b")  # over all shards, and wherever a connection moves

        def comes_in(name):
            stream = self.open()
            try:
                stream.sendall(connect(name))
                return stream.recv(1) == b"\x20"
            except ConnectionError:
                return False

        for name in "cdef":
            self.assertFalse(comes_in(name), name)
        self.broker.said(event="connection_refused")
        first.close()
        # The broker sees the close in its own time.
        self.assertTrue(any(comes_in(f"g{i}") for i in range(10_000)))
        self.assertFalse(comes_in("h"))

    def test_messages_beyond_the_rate_wait_and_none_is_lost(self):
        self.serve("limits.messages_per_second_max=20")
        stream = self.open("fast")
        begin = time.monotonic()
        stream.sendall(b"".join(publish("t", b"x", 1, i + 1) for i in range(60)))
        size = 5  # PUBACK with 0x10, no matching subscribers
        acks = self.take(stream, 60 * size)
        # One second's worth at once, the other forty in two seconds; less would be no bound.
        self.assertGreaterEqual(time.monotonic() - begin, 1.8)
        self.assertEqual([acks[i + 2:i + 4] for i in range(0, 60 * size, size)],
                         [(i + 1).to_bytes(2, "big") for i in range(60)])

    def test_a_broker_that_was_stopped_closes_nobody_whom_it_has_not_heard(self):
        """More clients than one turn of its loops asks for; their PINGREQs came while it stood."""
        self.serve()
        keep_alive = 6
        streams = [self.open() for _ in range(1000)]
        for i, stream in enumerate(streams):
            stream.sendall(packet(CONNECT, text("MQTT") + b"\x05\x02" +
                                  keep_alive.to_bytes(2, "big") + b"\x00" + text(f"k{i}")))
        for stream in streams:
            self.take(stream, self.take(stream, 2)[1])
        os.kill(self.broker.process.pid, signal.SIGSTOP)
        try:
            for stream in streams:
                stream.sendall(b"\xc0\x00")
            time.sleep(1.6 * keep_alive)  # no wait for anything: so long a stop is what is tested
        finally:
            os.kill(self.broker.process.pid, signal.SIGCONT)
        self.assertEqual({self.take(stream, 2) for stream in streams}, {b"\xd0\x00"})

    def test_a_flood_neither_fills_memory_nor_keeps_others_waiting(self):
        """Each message of it goes to many, who say that it is too large for them."""
        self.serve()
        for i in range(300):
            small = self.open(f"s{i}", b"\x27\x00\x00\x00\x14")  # Maximum Packet Size 20
            small.sendall(bytes([0x82, 7]) + b"\x00\x01\x00" + text("q")[:3] + b"\x00")
            self.assertEqual(self.take(small, 6)[0], 0x90)
        before = self.resident_bytes()
        flood, patient = self.open("flood"), self.open("patient")
        end = threading.Event()
        sent = []

        def send():
            many = publish("q", b"x" * 40) * 2000
            while not end.is_set():
                flood.sendall(many)
                sent.append(len(many))

        sending = threading.Thread(target=send)
        sending.start()
        try:
            for i in range(5):
                # More than a turn may have room for, and what comes behind it.
                patient.sendall(publish("q", b"y" * 40) * 300 + b"\xc0\x00")
                self.assertEqual(self.take(patient, 2), b"\xd0\x00")
                late = self.open()
                late.sendall(connect(f"l{i}") + bytes([0x82, 7]) + b"\x00\x01\x00" +
                             text("z")[:3] + b"\x00")
                self.take(late, self.take(late, 2)[1])
                self.assertEqual(self.take(late, 6)[0], 0x90)
            self.assertTrue(sending.is_alive(), "nobody waited for its end")
            while sum(sent) < 20_000_000:
                patient.sendall(b"\xc0\x00")
                self.take(patient, 2)
            self.assertLess(self.resident_bytes() - before, 64 << 20)
        finally:
            end.set()
            sending.join()

    def resident_bytes(self):
        with open(f"/proc/{self.broker.process.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def test_a_full_queue_says_so(self):
        self.serve("limits.transient_queue_messages_max=3")
        slow = self.open("slow", b"\x21\x00\x01")  # Receive Maximum 1
        slow.sendall(bytes([0x82, 7]) + b"\x00\x01\x00" + text("q")[:3] + b"\x01")
        self.assertEqual(self.take(slow, 6)[0], 0x90)
        fast = self.open("fast")
        for i in range(8):
            fast.sendall(publish("q", b"x", 1, i + 1))
            self.assertEqual(self.take(fast, 4)[0], 0x40)
        line = self.broker.said(event="message_dropped", client="slow", reason="queue_full")
        self.assertEqual(line["level"], "warn")

    def test_a_slow_reader_says_so(self):
        self.serve("limits.outbox_bytes_max=64KiB")
        slow = self.open("slow")
        slow.sendall(bytes([0x82, 7]) + b"\x00\x01\x00" + text("q")[:3] + b"\x00")
        self.assertEqual(self.take(slow, 6)[0], 0x90)
        fast = self.open("fast")
        for _ in range(400):
            fast.sendall(publish("q", b"x" * 50_000))
        fast.sendall(publish("q", b"x", 1, 1))
        self.assertEqual(self.take(fast, 4)[0], 0x40)
        self.broker.said(event="message_dropped", client="slow", reason="outbox_full")

    def connack(self, name, version=5, keeps=True):
        """(session present, reason) of a client whose session outlives its connection, or not."""
        stream = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        self.addCleanup(stream.close)
        properties = (b"\x05\x11\x00\x00\x0e\x10" if keeps else b"\x00") if version == 5 else b""
        flags = 0 if keeps else 2
        stream.sendall(packet(CONNECT, text("MQTT") + bytes([version, flags, 0, 0]) + properties +
                              text(name)))
        head = self.take(stream, 2)
        body = self.take(stream, head[1])
        return body[0], body[1]

    def test_sessions_are_bounded_and_those_that_exist_come_back(self):
        self.serve("limits.sessions_max=10")
        answers = {name: self.connack(name) for name in (f"s{i}" for i in range(300))}
        kept = [name for name, answer in answers.items() if answer == (0, 0)]
        self.assertEqual(len(kept), 10)
        self.assertEqual({answer for answer in answers.values() if answer != (0, 0)}, {(0, 0x97)})
        self.assertEqual({self.connack(name) for name in kept}, {(1, 0)})
        self.broker.said(event="session_refused")
        self.assertEqual(self.connack("v4", version=4), (0, 3))
        self.assertEqual(self.connack("transient", keeps=False), (0, 0))
        self.assertEqual(self.connack(kept[0], keeps=False), (0, 0))  # its session ends

    def subscribed(self, stream, topic_filter):
        body = b"\x00\x01\x00" + text(topic_filter) + b"\x01"
        stream.sendall(packet(8, body, 2))
        head = self.take(stream, 2)  # the one code is behind what explains it
        return self.take(stream, head[1])[-1]

    def test_filters_are_bounded_by_bytes_and_small_ones_have_room(self):
        self.serve(f"limits.sessions_bytes_max={int(SHARDS) * 100}KiB")
        greedy = self.open("greedy")
        answers = [self.subscribed(greedy, f"{i}/" + "x" * 1000) for i in range(200)]
        granted = answers.count(1)
        self.assertEqual(answers, [1] * granted + [0x97] * (200 - granted))
        self.assertGreater(granted, 80)
        self.assertLess(granted, 110)
        modest = [self.open(f"modest{i}") for i in range(20)]
        self.assertEqual({self.subscribed(each, "t") for each in modest}, {1})
        self.assertEqual(self.subscribed(greedy, "0/" + "x" * 1000), 1, "it has that one")

    def retained(self, topic):
        """The sizes of the retained messages of a topic: all that comes before the marker's, whose
        subscription is behind it."""
        stream = self.open("reader")
        stream.sendall(packet(8, b"\x00\x01\x00" + text(topic) + b"\x00" + text("marker") + b"\x00",
                              2))
        self.take(stream, 7)
        sizes = []
        while True:
            self.assertEqual(self.take(stream, 1)[0] >> 4, PUBLISH)
            length = shift = 0
            octet = 0x80
            while octet >= 0x80:
                octet = self.take(stream, 1)[0]
                length |= (octet & 0x7F) << shift
                shift += 7
            body = self.take(stream, length)
            if body[2:].startswith(b"marker"):
                stream.close()
                return sizes
            sizes.append(length - 3 - len(topic))

    def test_retained_messages_are_bounded_by_bytes(self):
        self.serve(f"limits.retained_bytes_max={int(SHARDS) * 10}KiB")
        writer = self.open("writer")
        identifier = 0

        def retain(topic, payload):
            nonlocal identifier
            identifier += 1
            body = text(topic) + identifier.to_bytes(2, "big") + b"\x00" + payload
            writer.sendall(packet(PUBLISH, body, 3))
            self.assertEqual(self.take(writer, self.take(writer, 2)[1])[:2],
                             identifier.to_bytes(2, "big"))

        retain("marker", b"x")
        retain("t", b"x" * 5000)
        self.assertEqual(self.retained("t"), [5000])
        retain("t", b"x" * 11_000)
        self.assertEqual(self.retained("t"), [], "neither the new one nor what it has replaced")
        self.broker.said(event="retained_refused", topic="t")
        retain("t", b"small")
        self.assertEqual(self.retained("t"), [5])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
