#!/usr/bin/env python3
"""How many connections an address may have, and how many there may be: refused before TLS and
CONNACK; and the time that those have who never come so far.

    SHARDS=N STENTOR=PATH test_addresses.py
"""

import socket
import ssl
import subprocess

from access_kit import STENTOR, AccessCase, Client, Closed, main
from wire import CONNACK, text, varint


class Addresses(AccessCase):
    PROXY = 'proxy_protocol = true\ntrusted_proxies = ["127.0.0.1"]\n'
    PLAIN = '[[listener]]\nurl = "mqtt://127.0.0.1:0"\n'
    TLS = ('[[listener]]\nurl = "mqtts://127.0.0.1:0"\n'
           'tls = { certificate = "server.crt", key = "server.key" }\n')
    OPEN = '[auth]\nanonymous = "always"\n'

    def setUp(self):
        super().setUp()
        subprocess.run([STENTOR, "init", str(self.dir), "--host", "localhost"], check=True,
                       capture_output=True)
        self.names = 0

    def come(self, address, port=None, tls=None):
        """A connected client behind the proxy, or None if it was turned away without a byte."""
        self.names += 1
        line = f"PROXY TCP6 {address} ::1 1000 1883\r\n" if ":" in address else \
            f"PROXY TCP4 {address} 127.0.0.1 1000 1883\r\n"
        client = Client(port or self.port, before=line.encode())
        self.addCleanup(client.close)
        try:
            if tls:
                client.wrap(tls)
            self.assertEqual(client.ask(f"c{self.names}"), 0)
        except (Closed, ConnectionError, ssl.SSLError):
            self.assertEqual(client.buffer, b"")
            client.close()
            return None
        return client

    def comes_sooner_or_later(self, address, **how):
        # The broker sees a close in its own time.
        self.assertTrue(any(self.come(address, **how) for _ in range(10_000)))

    def test_an_address_has_so_many_connections(self):
        self.serve(self.PLAIN + self.PROXY, self.OPEN,
                   "[limits]\nconnections_per_address_max = 2")
        mine = [self.come("192.0.2.1") for _ in range(2)]
        self.assertTrue(all(mine))
        self.assertIsNone(self.come("192.0.2.1"))
        line = self.broker.said(event="address_refused", peer="192.0.2.1")
        self.assertEqual(line["reason"], "connections_per_address_max")
        self.assertTrue(self.come("192.0.2.2"))
        mine[0].close()
        self.comes_sooner_or_later("192.0.2.1")
        self.assertIsNone(self.come("192.0.2.1"))
        # An IPv6 customer has 2^64 addresses.
        self.assertTrue(self.come("2001:db8::1"))
        self.assertTrue(self.come("2001:db8::2"))
        self.assertIsNone(self.come("2001:db8::3"))
        self.assertTrue(self.come("2001:db8:0:1::1"))

    def test_before_tls(self):
        self.serve(self.TLS + self.PROXY, self.OPEN, "[limits]\nconnections_per_address_max = 1")
        context = ssl.create_default_context(cafile=self.dir / "ca.crt")
        self.assertTrue(self.come("192.0.2.1", tls=context))
        raw = socket.create_connection(("127.0.0.1", self.port), 20)
        self.addCleanup(raw.close)
        hello = ssl.MemoryBIO()
        handshake = context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost")
        with self.assertRaises(ssl.SSLWantReadError):
            handshake.do_handshake()
        raw.sendall(b"PROXY TCP4 192.0.2.1 127.0.0.1 1000 1883\r\n" + hello.read())
        try:
            self.assertEqual(raw.recv(1), b"")
        except ConnectionResetError:
            pass
        self.assertTrue(self.come("192.0.2.2", tls=context))

    def test_an_address_comes_so_often(self):
        self.serve(self.PLAIN + self.PROXY, self.OPEN,
                   "[limits]\nconnects_per_second_per_address_max = 5")
        # However long it takes: 40 connections take less than the eight seconds they would need.
        came = [self.come("192.0.2.1") is not None for _ in range(40)]
        self.assertTrue(all(came[:5]))
        self.assertIn(False, came)
        self.assertTrue(self.come("192.0.2.2"))
        line = self.broker.said(event="address_refused", peer="192.0.2.1")
        self.assertEqual(line["reason"], "connects_per_second_per_address_max")

    def test_there_are_so_many_connections_of_all_listeners(self):
        self.serve(self.PLAIN + self.PLAIN + self.PROXY, self.OPEN,
                   "[limits]\nconnections_max = 2")
        first = self.client()
        self.assertEqual(first.ask("first"), 0)
        self.assertTrue(self.come("192.0.2.1", self.broker.ports[1]))
        self.assertIsNone(self.come("192.0.2.2", self.broker.ports[1]))
        line = self.broker.said(event="address_refused")
        self.assertEqual(line["reason"], "connections_max")
        first.close()
        self.comes_sooner_or_later("192.0.2.2", port=self.broker.ports[1])

    @staticmethod
    def ends(client):
        """The broker closes; what TLS says before that is of no interest."""
        try:
            while client.socket.recv(4096):
                pass
        except (ConnectionError, ssl.SSLError):
            pass

    def test_little_is_taken_of_whom_nobody_knows(self):
        self.serve(self.PLAIN, self.OPEN)
        property_ = b"\x26" + text("k" * 30_000) + text("v" * 30_000)
        client = self.client()
        client.send(0x10, text("MQTT") + b"\5\2\0\0" + varint(5 * len(property_)) + 5 * property_ +
                    text("much"))
        self.assertEqual(client.receive(CONNACK)[1][1], 0)
        self.ends(self.client(before=b"\x10" + varint(384 * 1024 + 1)))
        self.assertEqual(self.broker.said(event="packet_refused")["reason"], "packet_too_large")

    def test_half_open_connections_end_with_connect_timeout(self):
        web = '[[listener]]\nurl = "ws://127.0.0.1:0/mqtt"\n'
        secure = self.TLS.replace("mqtts", "wss").replace(':0"', ':0/mqtt"')
        self.serve(self.PLAIN + self.PROXY, self.TLS, web, secure, self.OPEN,
                   '[limits]\nconnect_timeout = "300ms"')
        beginnings = (b"", b"PROXY TCP4 192", b"\x10"), (b"", b"\x16\x03\x01\x02\x00\x01"), \
            (b"", b"GET /mqtt HTTP/1.1\r\nHost: h\r\nX"), (b"", b"\x16\x03\x01")
        for port, some in zip(self.broker.ports, beginnings):
            for beginning in some:
                with self.subTest(port=port, beginning=beginning):
                    self.ends(self.client(port, before=beginning))
        # A handshake that is done, and nothing behind it.
        context = ssl.create_default_context(cafile=self.dir / "ca.crt")
        client = self.client(self.broker.ports[1])
        client.wrap(context)
        self.ends(client)


if __name__ == "__main__":
    main()
