#!/usr/bin/env python3
"""Who says something and goes at once has said it: over every door, while the broker still looks up
who it is, and while it is not read because it says too much.

    SHARDS=N STENTOR=PATH test_endings.py
"""

import os
import socket
import ssl
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "access"))

from access_kit import PATIENCE, STENTOR, AccessCase, Client, main
from wire import CONNECT, DISCONNECT, PUBLISH, packet, text

TLS = '\ntls = { certificate = "server.crt", key = "server.key" }\n'
DOORS = "".join(f'[[listener]]\nurl = "{url}"\n{more}' for url, more in (
    ("mqtt://127.0.0.1:0", ""), ("mqtts://127.0.0.1:0", TLS), ("ws://127.0.0.1:0/mqtt", ""),
    ("wss://127.0.0.1:0/mqtt", TLS)))
UPGRADE = (b"GET /mqtt HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Protocol: mqtt\r\n\r\n")
BYE = packet(DISCONNECT, b"")
FEW = 20  # less than the Receive Maximum
MANY = 440


def connect(keep_alive=0):
    """3.1.1, user anna, and a will."""
    return packet(CONNECT, text("MQTT") + bytes([4, 0xC6]) + struct.pack("!H", keep_alive) +
                  text("speaker") + text("will") + text("w") + text("anna") + text("a"))


def publish(topic, qos=0, identifier=1):
    return packet(PUBLISH, text(topic) + (struct.pack("!H", identifier) if qos else b"") + b"x",
                  qos << 1)


def masked(opcode, octets):
    """Masked with zeros."""
    return bytes([0x80 | opcode, 0xFE]) + struct.pack("!H", len(octets)) + bytes(4) + octets \
        if len(octets) > 125 else bytes([0x80 | opcode, 0x80 | len(octets)]) + bytes(4) + octets


class Endings(AccessCase):
    def setUp(self):
        super().setUp()
        subprocess.run([STENTOR, "init", str(self.dir), "--host", "localhost"], check=True,
                       capture_output=True)
        # Argon2id: not known at once.
        subprocess.run([STENTOR, "user", "add", str(self.dir / "users"), "anna",
                        "--password-file", "-"], input="a", text=True, capture_output=True,
                       check=True)

    def begin(self, *limits):
        self.serve(DOORS, '[auth]\nanonymous = "never"\npassword_file = "users"\n', *limits)
        self.listener = self.connected("listener", version=4)
        self.listener.subscribe("#")

    def ways(self):
        """(name, function that says something and ends) of every door."""
        context = ssl.create_default_context(cafile=self.dir / "ca.crt")

        def stream(door, tls):
            made = socket.create_connection(("127.0.0.1", self.broker.ports[door]), PATIENCE)
            self.addCleanup(made.close)
            return context.wrap_socket(made, server_hostname="localhost") if tls else made

        def half_closed(octets):
            to = stream(0, False)
            to.sendall(octets)
            to.shutdown(socket.SHUT_WR)

        def closed(octets):
            to = stream(0, False)
            to.sendall(octets)
            to.close()

        def secure(octets):
            to = stream(1, True)
            to.sendall(octets)
            try:
                to.unwrap()
            except (ssl.SSLError, OSError):
                pass  # what the broker said meanwhile is of no interest
            to.close()

        def cut(octets):
            to = stream(1, True)
            to.sendall(octets)
            to.close()

        def web(octets, door=2):
            to = stream(door, door == 3)
            to.sendall(UPGRADE)
            while b"\r\n\r\n" not in to.recv(4096):
                pass
            to.sendall(masked(2, octets) + masked(8, b"\x03\xe8"))
            to.close()

        return (("half closed", half_closed), ("closed", closed), ("TLS", secure),
                ("TLS without close_notify", cut), ("WebSocket", web),
                ("WebSocket and TLS", lambda octets: web(octets, 3)))

    def heard(self, *ends):
        topics = []
        while not topics or topics[-1] not in ends:
            topics.append(self.listener.message()[0])
        return topics

    def test_before_it_is_known_who_it_is(self):
        self.begin()
        for qos in (0, 1):
            said = connect() + b"".join(publish("m", qos, i + 1) for i in range(FEW)) + \
                publish("last", qos, FEW + 1) + BYE
            for name, say in self.ways():
                with self.subTest(name, qos=qos):
                    say(said)
                    self.assertEqual(self.heard("last", "will"), ["m"] * FEW + ["last"])
        self.nothing_more()

    def test_while_it_is_not_read(self):
        self.begin("[limits]\nmessages_per_second_max = 400")
        said = connect() + b"".join(publish("m") for _ in range(MANY)) + publish("last") + BYE
        for name, say in self.ways():
            with self.subTest(name):
                say(said)
                self.assertEqual(self.heard("last", "will"), ["m"] * MANY + ["last"])
        self.nothing_more()

    def test_the_will_comes_behind_what_was_said(self):
        self.begin("[limits]\nmessages_per_second_max = 400")
        for rest in (b"", publish("never")[:-1]):  # the latter can never be whole
            said = connect() + b"".join(publish("m") for _ in range(MANY)) + rest
            for name, say in self.ways():
                with self.subTest(name, rest=rest):
                    say(said)
                    self.assertEqual(self.heard("will"), ["m"] * MANY + ["will"])

    def nothing_more(self):
        """No will, above all."""
        other = self.connected("other", version=4)
        other.publish("end", qos=0)
        self.assertEqual(self.heard("end"), ["end"])

    def test_a_connection_whose_end_waits_is_closed_by_another(self):
        self.begin("[limits]\nmessages_per_second_max = 1")
        self.ways()[0][1](connect() + b"".join(publish("m") for _ in range(MANY)))
        self.assertEqual(self.heard("m"), ["m"])
        # The same client comes back.
        back = Client(self.port, version=4)
        self.addCleanup(back.close)
        self.assertEqual(back.ask("speaker", "anna", "a"), 0)
        topics = self.heard("will")
        self.assertLess(len(topics), MANY)


if __name__ == "__main__":
    main()
