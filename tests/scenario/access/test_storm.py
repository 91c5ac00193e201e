#!/usr/bin/env python3
"""Whoever is let in when everybody comes at once: all, in the end, and nobody because of others.

    SHARDS=N STENTOR=PATH test_storm.py
"""

import selectors
import socket
import time

from access_kit import AccessCase, main
from wire import text, varint

PATIENCE = 300  # a hash takes long where many tests run at once


def connect(client_id, user, password):
    body = text("MQTT") + b"\x04\xc2\0\0" + text(client_id) + text(user) + text(password)
    return b"\x10" + varint(len(body)) + body


class Crowd:
    """Clients that come again when they have been sent away, each until it is in."""

    def __init__(self, port, count):
        self.port = port
        self.selector = selectors.DefaultSelector()
        self.inside = {}
        self.refused = []
        self.closed = 0
        self.again = []
        self.count = count
        for number in range(count):
            self.begin(number)

    def begin(self, number):
        client = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        client.sendall(connect(f"k{number}", "anna", "secret"))
        client.setblocking(False)
        self.selector.register(client, selectors.EVENT_READ, number)

    def answer(self, client, number):
        try:
            answer = client.recv(4)
        except ConnectionError:
            answer = b""
        self.selector.unregister(client)
        if answer == b"\x20\x02\0\0":
            self.inside[number] = client
            return
        client.close()
        if answer:
            self.refused.append(answer)
        else:
            self.closed += 1
        self.again.append((time.monotonic() + 0.2, number))

    def run(self):
        end = time.monotonic() + PATIENCE
        while len(self.inside) < self.count and time.monotonic() < end:
            for key, _ in self.selector.select(0.05):
                self.answer(key.fileobj, key.data)
            while self.again and self.again[0][0] <= time.monotonic():
                self.begin(self.again.pop(0)[1])

    def close(self):
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        for client in self.inside.values():
            client.close()


class Storm(AccessCase):
    AUTH = '[auth]\nanonymous = "never"\npassword_file = "users"\n'

    def test_right_passwords_all_come_in(self):
        self.user("add", "anna", "secret", scram=False)
        self.serve(self.LISTENER, self.AUTH, '[limits]', 'connect_timeout = "1s"')
        crowd = Crowd(self.port, 150)
        self.addCleanup(crowd.close)
        crowd.run()
        # Who has to come again is closed and not refused: after a refusal many do not.
        self.assertEqual((len(crowd.inside), crowd.refused), (150, []))

    def test_one_address_keeps_nobody_else_waiting(self):
        self.user("add", "anna", "secret", scram=False)
        listener = ('[[listener]]\nurl = "mqtt://127.0.0.1:0"\nproxy_protocol = true\n'
                    'trusted_proxies = ["127.0.0.1"]\n')
        self.serve(listener, self.AUTH, "failures_per_address_max = 0")
        guesses = []
        for number in range(200):
            guess = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
            self.addCleanup(guess.close)
            guess.sendall(b"PROXY TCP4 192.0.2.1 127.0.0.1 1000 1883\r\n" +
                          connect(f"g{number}", f"u{number}", "wrong"))
            guesses.append(guess)
        client = self.client(before=b"PROXY TCP4 192.0.2.2 127.0.0.1 1000 1883\r\n")
        self.assertEqual(client.ask("c", "anna", "secret"), 0)
        waiting = selectors.DefaultSelector()
        for guess in guesses:
            waiting.register(guess, selectors.EVENT_READ)
        self.assertLess(len(waiting.select(0)), len(guesses))


if __name__ == "__main__":
    main()
