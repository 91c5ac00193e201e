#!/usr/bin/env python3
"""For whom a WebSocket's request is made, told by what proxies and browsers write into it: who is
on loopback and needs no name there, and whose failures are counted.

    SHARDS=N STENTOR=PATH test_forwarded.py
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "kit"))

from broker import BrokerProcess
from wire import CONNECT, Connection, packet, text

STENTOR = os.environ["STENTOR"]
SHARDS = os.environ["SHARDS"]
PATIENCE = 20
UPGRADE = (b"GET /mqtt HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Protocol: mqtt\r\n")
ACCEPTED, NOT_AUTHORIZED = 0, 5


def frame(octets):
    """Masked with zeros."""
    assert len(octets) < 126
    return bytes([0x82, 0x80 | len(octets), 0, 0, 0, 0]) + octets


def connect(user=None, password=None):
    flags = 2 | 0x80 * (user is not None) | 0x40 * (password is not None)
    body = text("MQTT") + bytes([4, flags, 0, 0]) + text("c")
    body += b"".join(text(each) for each in (user, password) if each is not None)
    return packet(CONNECT, body)


class Forwarded(unittest.TestCase):
    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.dir = pathlib.Path(temp.name)
        subprocess.run([STENTOR, "user", "add", str(self.dir / "users"), "anna", "--password-file",
                        "-", "--scram"], input="a", text=True, capture_output=True, check=True)

    def serve(self, listener="", auth=""):
        config = self.dir / "stentor.toml"
        config.write_text(f'[node]\ndata_dir = ":memory:"\nshards = {SHARDS}\n'
                          f'[[listener]]\nurl = "ws://127.0.0.1:0/mqtt"\n{listener}\n'
                          f'[auth]\npassword_file = "users"\n{auth}\n')
        self.broker = BrokerProcess(STENTOR, "-c", str(config), patience=PATIENCE, cwd=self.dir)
        self.assertTrue(self.broker.wait_until_ready())
        self.addCleanup(self.broker.stop)

    def request(self, *fields):
        """(status, connection) of an upgrade with these fields more."""
        connection = Connection(self.broker.ports[0], PATIENCE)
        self.addCleanup(connection.close)
        connection.write(UPGRADE + b"".join(each.encode() + b"\r\n" for each in fields) + b"\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.take(1)
        return int(head[9:12]), connection

    def answer(self, *fields, **who):
        """The code of CONNACK."""
        status, connection = self.request(*fields)
        self.assertEqual(status, 101)
        connection.write(frame(connect(**who)))
        self.assertEqual(connection.take(2)[0], 0x82)
        return connection.packet()[1][1]

    def test_only_the_machine_itself_needs_no_name(self):
        self.serve()
        self.assertEqual(self.answer(), ACCEPTED)
        self.assertEqual(self.answer("Origin: http://localhost:8080"), ACCEPTED)
        for fields in (("X-Forwarded-For: 192.0.2.1",),
                       ("X-Forwarded-For:",),
                       ("X-Forwarded-For:", "X-Forwarded-For: 192.0.2.1"),
                       ("X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 192.0.2.1"),
                       ("X-Forwarded-For: 127.0.0.1",),
                       ("Forwarded: for=192.0.2.1",),
                       ("X-Real-IP: 192.0.2.1",),
                       ("Via: 1.1 proxy",),
                       ("Origin: https://evil.example",),
                       ("Origin: null",)):
            with self.subTest(fields=fields):
                self.assertEqual(self.answer(*fields), NOT_AUTHORIZED)
                self.assertEqual(self.answer(*fields, user="anna", password="a"), ACCEPTED)

    def test_failures_are_of_the_address_that_the_proxy_wrote(self):
        self.serve('trusted_proxies = ["127.0.0.1"]',
                   'anonymous = "never"\nfailures_per_address_max = 3\n'
                   'failure_forgotten_after = "1h"')
        for i in range(8):
            # The client writes the first line, and another each time.
            self.answer(f"X-Forwarded-For: 203.0.113.{i}", "X-Forwarded-For: 192.0.2.1",
                        user=f"u{i}", password="wrong")
        self.assertNotEqual(self.answer("X-Forwarded-For: 192.0.2.1:77", user="anna", password="a"),
                            ACCEPTED)
        for spoofed in range(8):
            self.assertEqual(self.answer(f"X-Forwarded-For: 203.0.113.{spoofed}", user="anna",
                                         password="a"), ACCEPTED)

    def test_a_trusted_proxy_has_to_be_readable(self):
        self.serve('trusted_proxies = ["127.0.0.1"]')
        status, _ = self.request("X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: unknown")
        self.assertEqual(status, 400)
        line = self.broker.said(event="connection_failed")
        self.assertIn("X-Forwarded-For", line["msg"])


if __name__ == "__main__":
    unittest.main()
