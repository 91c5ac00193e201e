#!/usr/bin/env python3
"""Whoever guesses passwords is slowed down, and nobody else: by address and by user.

    SHARDS=N STENTOR=PATH test_throttle.py
"""

import base64
import os
import sys

from access_kit import AccessCase, Client, main

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "scram"))

from raw_client import DATA, RawClient, Scram
from wire import Closed

WRONG, RATE = 0x86, 0x9F


class Throttle(AccessCase):
    LISTENER = ('[[listener]]\nurl = "mqtt://127.0.0.1:0"\nproxy_protocol = true\n'
                'trusted_proxies = ["127.0.0.1"]\n'
                '[[listener]]\nurl = "ws://127.0.0.1:0/mqtt"\ntrusted_proxies = ["127.0.0.1"]\n'
                '[[listener]]\nurl = "mqtt://127.0.0.1:0"\n')
    AUTH = '[auth]\nanonymous = "never"\npassword_file = "users"\n'

    def setUp(self):
        super().setUp()
        for name in ("anna", "bob"):
            self.user("add", name, name[0])
        self.names = 0

    def start(self, address=3, user=0):
        self.serve(self.LISTENER, self.AUTH, f"failures_per_address_max = {address}",
                   f"failures_per_user_max = {user}", 'failure_forgotten_after = "1h"')

    def try_from(self, address, user, password, version=5):
        """The reason of CONNACK to a client behind the proxy."""
        self.names += 1
        line = f"PROXY TCP4 {address} 127.0.0.1 1000 1883\r\n".encode()
        client = self.client(before=line, version=version)
        return client.ask(f"c{self.names}", user, password)

    def test_an_address_that_fails_again_and_again_is_not_heard(self):
        self.start()
        for user in ("anna", "nobody", "bob"):
            self.assertEqual(self.try_from("192.0.2.1", user, "wrong"), WRONG)
        # The same to everybody, with the right password too: nobody learns anything.
        for user, password in (("anna", "wrong"), ("nobody", "x"), ("anna", "a")):
            self.assertEqual(self.try_from("192.0.2.1", user, password), RATE)
        self.assertEqual(self.try_from("192.0.2.1", "anna", "a", version=4), 3)
        self.assertEqual(self.try_from("192.0.2.2", "anna", "a"), 0)
        line = self.broker.said(event="not_admitted", reason="connection_rate_exceeded",
                                peer="192.0.2.1")
        self.assertIn("failures_per_address_max", line["msg"])

    def test_guesses_side_by_side_count_like_those_one_after_the_other(self):
        for bounds in ({"address": 3}, {"address": 0, "user": 3}):
            self.start(**bounds)
            line = b"PROXY TCP4 192.0.2.1 127.0.0.1 1000 1883\r\n"
            guesses = [self.client(before=line, version=4) for _ in range(40)]
            for number, guess in enumerate(guesses):
                guess.request(f"g{number}", "anna", f"wrong{number}")
            answers = [self.answer_or_end(guess) for guess in guesses]
            self.assertEqual(answers.count(4), 3, bounds)
            # Refused, or while the three were being looked at: closed, to come again.
            self.assertEqual(answers.count(3) + answers.count(None), 37, bounds)

    @staticmethod
    def answer_or_end(client):
        try:
            return client.answer()
        except Closed:
            return None

    def test_scram_counts_by_user_too(self):
        self.start(address=0, user=3)
        for answer in (WRONG, WRONG, WRONG, RATE):
            line = b"PROXY TCP4 192.0.2.1 127.0.0.1 1000 1883\r\n"
            client = RawClient(self.port)
            self.addCleanup(client.close)
            client.write(line)
            scram = Scram("anna", "wrong")
            client.connect("s", "SCRAM-SHA-256", scram.first)
            challenge = client.receive()
            client.auth(0x18, "SCRAM-SHA-256", scram.final(challenge.properties[DATA]))
            self.assertEqual(client.receive().reason, answer)
        self.assertEqual(self.try_from("192.0.2.1", "anna", "a"), RATE)
        self.assertEqual(self.try_from("192.0.2.1", "bob", "b"), 0)

    def test_a_trusted_network_is_trusted_at_its_own_door_only(self):
        self.LISTENER += ('[[listener]]\nurl = "ws://127.0.0.1:0"\n'
                          'trusted_proxies = ["192.0.2.0/24"]\n')
        self.start()
        # Another door's proxy, or a client in the proxies' network that the header names.
        for answer in (WRONG, WRONG, WRONG, RATE):
            self.assertEqual(self.try_from("192.0.2.1", "anna", "wrong"), answer)

    def test_a_user_under_attack_comes_in_from_elsewhere(self):
        self.start(address=0, user=3)
        for host in range(1, 6):
            self.assertEqual(self.try_from(f"192.0.2.{host}", "anna", "wrong"), WRONG)
        self.assertEqual(self.try_from("192.0.2.1", "anna", "a"), RATE)
        self.assertEqual(self.try_from("192.0.2.1", "bob", "b"), 0)
        self.assertEqual(self.try_from("198.51.100.1", "anna", "a"), 0)
        # Once it has come in from somewhere, what others do there does not matter.
        self.assertEqual(self.try_from("198.51.100.1", "anna", "a"), 0)

    def test_who_was_here_before_comes_in_beside_an_attacker(self):
        self.start()
        self.assertEqual(self.try_from("192.0.2.1", "anna", "a"), 0)
        for _ in range(3):
            self.assertEqual(self.try_from("192.0.2.1", "bob", "wrong"), WRONG)
        self.assertEqual(self.try_from("192.0.2.1", "bob", "b"), RATE)
        self.assertEqual(self.try_from("192.0.2.1", "anna", "a"), 0)

    def test_what_x_forwarded_for_says_counts(self):
        self.start()
        for answer in (WRONG, WRONG, WRONG, RATE):
            self.names += 1
            client = WebSocketClient(self.broker.ports[1])
            self.addCleanup(client.close)
            client.upgrade("203.0.113.9, 192.0.2.7")
            self.assertEqual(client.ask(f"w{self.names}", "anna", "wrong"), answer)
        self.assertEqual(self.try_from("203.0.113.9", "anna", "a"), 0)
        self.assertEqual(self.try_from("192.0.2.7", "anna", "a"), RATE)

    def test_loopback_is_many_and_not_refused(self):
        self.start()
        for answer in [WRONG] * 6 + [0]:
            self.names += 1
            client = self.client(self.broker.ports[2])
            password = "wrong" if answer else "a"
            self.assertEqual(client.ask(f"l{self.names}", "anna", password), answer)

    def test_a_user_is_not_guessed_at_on_loopback_for_ever(self):
        self.start(user=3)
        self.assertEqual(self.try_from("192.0.2.1", "anna", "a"), 0)
        for answer in [WRONG] * 3 + [RATE] * 2:
            self.names += 1
            client = self.client(self.broker.ports[2])
            self.assertEqual(client.ask(f"l{self.names}", "anna", "wrong"), answer)
        self.assertEqual(self.try_from("192.0.2.1", "anna", "a"), 0)

    def test_bounds_can_be_changed_and_taken_away(self):
        self.start(address=1)
        self.assertEqual(self.try_from("192.0.2.1", "anna", "wrong"), WRONG)
        self.assertEqual(self.try_from("192.0.2.1", "anna", "a"), RATE)
        config = self.broker.config
        config.write_text(config.read_text().replace("address_max = 1", "address_max = 0"))
        self.assertTrue(self.broker.reload())
        self.assertEqual(self.try_from("192.0.2.1", "anna", "a"), 0)


class WebSocketClient(Client):
    """What it sends and gets is short: one frame each."""

    def upgrade(self, forwarded_for):
        key = base64.b64encode(b"0123456789abcdef").decode()
        self.socket.sendall(
            (f"GET /mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
             f"Sec-WebSocket-Protocol: mqtt\r\nX-Forwarded-For: {forwarded_for}\r\n\r\n").encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.take(1)
        assert b" 101 " in head, head

    def send(self, first, body):
        packet = bytes([first, len(body)]) + body
        self.socket.sendall(bytes([0x82, 0x80 | len(packet)]) + b"\0\0\0\0" + packet)

    def packet(self):
        self.take(2)
        return super().packet()


if __name__ == "__main__":
    main()
