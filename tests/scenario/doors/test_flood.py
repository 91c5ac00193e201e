#!/usr/bin/env python3
"""Hundreds of peers that begin and do not go on, or go on byte by byte: they end with
limits.connect_timeout, and whoever is connected, or comes meanwhile, is served.

    SHARDS=N STENTOR=PATH test_flood.py
"""

import itertools
import os
import signal
import socket
import ssl
import struct
import subprocess
import time

from access_kit import STENTOR, AccessCase, main
from hello import TLS_1_2, hello

PEERS = 200
DEADLINE = 120  # generous: the bound is two seconds


class Flood(AccessCase):
    def setUp(self):
        super().setUp()
        subprocess.run([STENTOR, "init", str(self.dir), "--host", "localhost"], check=True,
                       capture_output=True)
        self.context = ssl.create_default_context(cafile=self.dir / "ca.crt")
        tls = 'tls = { certificate = "server.crt", key = "server.key" }\n'
        proxy = 'proxy_protocol = true\ntrusted_proxies = ["127.0.0.1"]\n'
        self.serve('[[listener]]\nurl = "auto://127.0.0.1:0"\n' + tls,
                   '[[listener]]\nurl = "mqtt://127.0.0.1:0"\n',
                   '[[listener]]\nurl = "mqtt://127.0.0.1:0"\n' + proxy,
                   '[auth]\nanonymous = "always"\n[limits]\nconnect_timeout = "2s"\n'
                   f"connections_max = {PEERS + 10}\n")
        self.auto, self.plain, self.behind_proxy = self.broker.ports

    def bystanders(self):
        """One in the clear, one in TLS."""
        both = [self.client(self.plain), self.client(self.auto)]
        both[1].wrap(self.context)
        for i, each in enumerate(both):
            self.assertEqual(each.ask(f"bystander-{i}"), 0)
        return both

    def first_flight(self):
        """What a client of TLS 1.3 says before it hears anything."""
        said = ssl.MemoryBIO()
        client = self.context.wrap_bio(ssl.MemoryBIO(), said, server_hostname="localhost")
        with self.assertRaises(ssl.SSLWantReadError):
            client.do_handshake()
        return said.read()

    def newcomer(self, number):
        client = self.client(self.auto)
        client.wrap(self.context)
        self.assertEqual(client.ask(f"newcomer-{number}"), 0)
        client.close()

    def open(self, port):
        stream = socket.create_connection(("127.0.0.1", port), DEADLINE)
        self.addCleanup(stream.close)
        stream.setblocking(False)
        return stream

    @staticmethod
    def ended(stream):
        """Takes what has come; whether the broker has closed."""
        try:
            while stream.recv(65536):
                pass
            return True
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    def outlive(self, peers, act):
        """Pings for the bystanders and `act` for every peer that is left, until none is."""
        both = self.bystanders()
        deadline = time.monotonic() + DEADLINE
        for turn in itertools.count():
            for each in both:
                each.send(0xC0, b"")
                self.assertEqual(each.packet()[0], 0xD0)
            if turn % 20 == 0:
                self.newcomer(turn)
            peers = [peer for peer in peers if not self.ended(peer[0])]
            if not peers:
                break
            self.assertLess(time.monotonic(), deadline, f"{len(peers)} are still there")
            for peer in peers:
                act(peer)
        # Their places are free again.
        for i in range(PEERS // 20):
            self.newcomer(-1 - i)

    def test_half_handshakes(self):
        flights = (self.first_flight(), hello(TLS_1_2, [0xC02B]), b"\x16\x03\x01\x40\x00",
                   b"\x16", b"")
        peers = []
        for i in range(PEERS):
            stream = self.open(self.auto)
            stream.sendall(flights[i % len(flights)])
            peers.append((stream,))
        self.outlive(peers, lambda peer: None)

    def test_a_handshake_that_waits_for_its_turn_is_not_late(self):
        """All of them come while the broker stands, for longer than it waits for a client."""
        peers = [self.open(self.auto) for _ in range(PEERS)]
        self.newcomer(0)  # the others have been accepted before
        os.kill(self.broker.process.pid, signal.SIGSTOP)
        try:
            for peer in peers:
                peer.sendall(self.first_flight())
            time.sleep(2.5)  # no wait for anything: so long a stop is what is tested
        finally:
            os.kill(self.broker.process.pid, signal.SIGCONT)
        for peer in peers:
            peer.settimeout(DEADLINE)
            self.assertEqual(peer.recv(1), b"\x16")  # a handshake record

    def test_byte_by_byte(self):
        long_connect = b"\x10\xff\xff\x03\0\x04MQTT\x05\x02\0\0\0\xff\xf0" + b"c" * 5000
        long_hello = b"\x16\x03\x01\x40\0\x01\0\x3f\xfc\x03\x03" + bytes(5000)
        upgrade = b"GET /mqtt HTTP/1.1\r\nHost: h\r\n" + b"X-Slow: loris\r\n" * 300
        proxy = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H", 2000) + bytes(2000)
        kinds = ((self.plain, long_connect), (self.auto, long_connect), (self.auto, long_hello),
                 (self.auto, upgrade), (self.behind_proxy, proxy))
        peers = []
        for i in range(PEERS):
            port, said = kinds[i % len(kinds)]
            peers.append((self.open(port), iter(said)))

        def say_more(peer):
            stream, said = peer
            try:
                stream.send(bytes([next(said)]))
            except (ConnectionError, BlockingIOError):
                pass  # seen at the next look

        self.outlive(peers, say_more)


if __name__ == "__main__":
    main()
