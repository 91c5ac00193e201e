#!/usr/bin/env python3
"""Many at once, and all that shards have to do with each other: take-overs, shared subscriptions,
retained values, wills, sessions that are kept, over every kind of door, while rules and users are
reloaded and metrics are read. What each client gets is for other tests to judge; here everybody who
asks is answered or knows that another connection has taken over.

    SHARDS=N STENTOR=PATH test_crowd.py
"""

import os
import random
import ssl
import struct
import subprocess
import threading

from access_kit import SHARDS, STENTOR, Broker, Client
from http_kit import HttpCase, basic, main
from wire import (CONNACK, CONNECT, DISCONNECT, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL,
                  SUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE, Closed, packet, text)

TLS = '\ntls = { certificate = "server.crt", key = "server.key" }\n'
DOORS = "".join(f'[[listener]]\nurl = "{url}"\n{more}' for url, more in (
    ("mqtt://127.0.0.1:0", ""), ("mqtts://127.0.0.1:0", TLS), ("ws://127.0.0.1:0/mqtt", ""),
    ("wss://127.0.0.1:0/mqtt", TLS), ("http://127.0.0.1:0", "")))
PLAIN, SECURE, WEB, SECURE_WEB, HTTP = range(5)
# Small files: sealing and collecting happen meanwhile.
STORE = '[store]\nsegment_bytes = "16KiB"\n'
UPGRADE = (b"GET /mqtt HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Protocol: mqtt\r\n\r\n")

WORKERS = 8
LIVES = 25  # connections of each worker, one after the other
ACTS = 30   # in each life
NAMES = [f"c{i}" for i in range(12)]  # fewer than live at once would like: they take over
TOPICS = ["a", "a/b", "b", "b/c", "c"]
FILTERS = TOPICS + ["#", "a/+", "+/c", "$share/g/#", "$share/g/a", "$share/h/+"]


class WebSocket:
    """A socket's octets in binary frames."""

    def __init__(self, inner):
        self.inner = inner
        self.waiting = b""
        inner.sendall(UPGRADE)
        while b"\r\n\r\n" not in self.waiting:
            self._read()
        self.waiting = self.waiting.partition(b"\r\n\r\n")[2]

    def _read(self):
        got = self.inner.recv(65536)
        if not got:
            raise Closed
        self.waiting += got

    def _take(self, count):
        while len(self.waiting) < count:
            self._read()
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken

    def sendall(self, octets):
        head = bytes([0x82, 0xFE]) + struct.pack("!H", len(octets)) if len(octets) > 125 else \
            bytes([0x82, 0x80 | len(octets)])
        self.inner.sendall(head + bytes(4) + octets)  # masked with zeros

    def recv(self, _count):
        opcode, size = self._take(2)
        if size == 126:
            size = struct.unpack("!H", self._take(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self._take(8))[0]
        content = self._take(size)
        return b"" if opcode & 0x0F == 8 else content

    def close(self):
        self.inner.close()


class Neighbour(Client):
    """Answers what comes while it waits for something else."""

    def enter(self, name, chance):
        """CONNECT as somebody who may have been here before, with a will; CONNACK."""
        properties = b""
        if chance.random() < 0.6:
            properties += b"\x11" + struct.pack("!I", chance.choice((1, 3600)))
        if chance.random() < 0.5:
            properties += b"\x21\0\2"  # Receive Maximum
        clean = 2 if chance.random() < 0.3 else 0
        will = b"\0" + text("a") + text("will of " + name)
        self.write(packet(CONNECT, text("MQTT") + bytes([5, 0xCC | clean, 0, 0, len(properties)]) +
                          properties + text(name) + will + text("anna") + text("a")))
        _, answer = self.receive(CONNACK)
        assert answer[1] == 0, answer

    def receive(self, kind):
        while True:
            first, body = self.packet()
            if first >> 4 == kind:
                return first, body
            if first >> 4 == DISCONNECT:
                raise Closed
            self._answer(first, body)

    def _answer(self, first, body):
        if first >> 4 == PUBLISH and first >> 1 & 3:
            size = struct.unpack("!H", body[:2])[0]
            answer = PUBACK if first >> 1 & 3 == 1 else PUBREC
            self.write(packet(answer, body[2 + size:4 + size]))
        elif first >> 4 == PUBREL:
            self.write(packet(PUBCOMP, body[:2]))

    def publish(self, topic, payload=b"x", qos=1, retain=False):
        self.next_id += 1
        number = struct.pack("!H", self.next_id)
        self.write(packet(PUBLISH, text(topic) + (number if qos else b"") + b"\0" + payload,
                          qos << 1 | retain))
        if qos == 1:
            self.receive(PUBACK)
        elif qos == 2:
            _, body = self.receive(PUBREC)
            if len(body) < 3 or body[2] < 0x80:
                self.write(packet(PUBREL, number, 2))
                self.receive(PUBCOMP)

    def subscribe(self, filter_, qos):
        self.write(packet(SUBSCRIBE, b"\0\1\0" + text(filter_) + bytes([qos]), 2))
        self.receive(SUBACK)

    def unsubscribe(self, filter_):
        self.write(packet(UNSUBSCRIBE, b"\0\2\0" + text(filter_), 2))
        self.receive(UNSUBACK)

    def ping(self):
        self.write(b"\xc0\0")
        self.receive(PINGRESP)


class Crowd(HttpCase):
    def setUp(self):
        super().setUp()
        subprocess.run([STENTOR, "init", str(self.dir), "--host", "127.0.0.1"], check=True,
                       capture_output=True)
        self.user("add", "anna", "a")
        self.user("add", "admin", "a")
        self.rules("user anna\ntopic readwrite #\n")
        self.context = ssl.create_default_context(cafile=self.dir / "ca.crt")
        self.context.check_hostname = False
        self.seed = int.from_bytes(os.urandom(4), "little")
        self.problems = []

    def at(self, door):
        client = Neighbour(self.broker.ports[door])
        if door in (SECURE, SECURE_WEB):
            client.wrap(self.context)
        if door in (WEB, SECURE_WEB):
            client.socket = WebSocket(client.socket)
        return client

    def act(self, client, chance):
        what = chance.random()
        if what < 0.2:
            client.subscribe(chance.choice(FILTERS), chance.randrange(3))
        elif what < 0.25:
            client.unsubscribe(chance.choice(FILTERS))
        elif what < 0.3:
            client.ping()
        else:
            client.publish(chance.choice(TOPICS), bytes(chance.choice((1, 100, 5000))),
                           chance.randrange(3), chance.random() < 0.2)

    def live(self, chance):
        client = self.at(chance.randrange(HTTP))
        try:
            client.enter(chance.choice(NAMES), chance)
            for _ in range(chance.randrange(ACTS)):
                self.act(client, chance)
            if chance.random() < 0.5:
                client.write(packet(DISCONNECT, b""))
        except Closed:
            pass  # taken over
        finally:
            client.close()

    def lives(self, number):
        chance = random.Random(f"{self.seed}/{number}")
        for _ in range(LIVES):
            self.live(chance)

    def watch(self):
        """An operator's work, until the others are done."""
        while not self.done.is_set():
            for page in ("/metrics", "/readyz"):
                answer = self.get(page, port=self.broker.ports[HTTP], headers=basic("admin", "a"))
                assert answer.status == 200, answer.status
            self.rules("user anna\ntopic readwrite #\n# once more\n")
            assert self.broker.reload()

    def guarded(self, work, *arguments):
        try:
            work(*arguments)
        except Exception as problem:  # pylint: disable=broad-except
            self.problems.append(f"{work.__name__}{arguments}: {problem!r}")

    def test_everybody_who_asks_is_answered(self):
        self.done = threading.Event()
        self.broker = Broker(self.dir, f'[node]\nshards = {SHARDS}\ndata_dir = "data"\n' + DOORS +
                             STORE + self.AUTH)
        self.addCleanup(self.broker.stop)
        workers = [threading.Thread(target=self.guarded, args=(self.lives, number))
                   for number in range(WORKERS)]
        watcher = threading.Thread(target=self.guarded, args=(self.watch,))
        for each in (*workers, watcher):
            each.start()
        for each in workers:
            each.join()
        self.done.set()
        watcher.join()
        self.assertEqual(self.problems, [], f"seed {self.seed}")


if __name__ == "__main__":
    main()
