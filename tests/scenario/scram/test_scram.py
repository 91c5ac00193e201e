"""SCRAM-SHA-256 with the real binary: test_scram.py SHARDS STENTOR."""

import os
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

import with_broker
from raw_client import DATA, METHOD, RawClient, Scram
from wire import AUTH, CONNACK, DISCONNECT, PUBACK, PUBLISH, SUBACK

SHARDS, STENTOR = sys.argv[1:3]
NAME = "SCRAM-SHA-256"
CONTINUE, AGAIN = 0x18, 0x19


class ScramTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.users = os.path.join(self.directory.name, "users")
        self.user("add", "anna", "correct horse", "--scram")
        self.user("add", "bob", "battery staple")
        rules = os.path.join(self.directory.name, "acl")
        with open(rules, "w", encoding="utf-8") as file:
            file.write("user anna\ntopic readwrite anna/#\n")
        self.log = tempfile.TemporaryFile("w+")
        self.addCleanup(self.log.close)
        self.broker, port = with_broker.start(
            STENTOR, SHARDS, self.log,
            "--set", f"auth.password_file={self.users}", "--set", f"auth.acl_file={rules}",
            "--set", "auth.anonymous=never")
        self.addCleanup(self.end)
        self.port = int(port)
        self.clients = []

    def end(self):
        for client in self.clients:
            client.close()
        end = with_broker.stop(self.broker)
        self.broker.stdout.close()
        if end != 0:
            self.log.seek(0)
            self.fail(f"the broker's end: {end}; its log:\n{self.log.read()}")

    def user(self, action, name, password, *more):
        subprocess.run(
            [os.environ.get("STENTOR_BINARY", STENTOR), "user", action, self.users, name,
             "--password-file", "-", *more],
            input=password, text=True, stderr=subprocess.DEVNULL, check=True)

    def client(self):
        client = RawClient(self.port)
        self.clients.append(client)
        return client

    def receive(self, client, kind):
        packet = client.receive()
        self.assertIsNotNone(packet, "closed")
        self.assertEqual(packet.kind, kind)
        return packet

    def challenged(self, client, scram):
        """The client's last word, to the challenge that is the next packet."""
        challenge = self.receive(client, AUTH)
        self.assertEqual(challenge.reason, CONTINUE)
        self.assertEqual(challenge.properties[METHOD], NAME.encode())
        return scram.final(challenge.properties[DATA])

    def connected(self, client_id, user="anna", password="correct horse", kept=False):
        client = self.client()
        scram = Scram(user, password)
        client.connect(client_id, NAME, scram.first, kept=kept)
        client.auth(CONTINUE, NAME, self.challenged(client, scram))
        connack = self.receive(client, CONNACK)
        self.assertEqual(connack.reason, 0)
        self.assertEqual(connack.properties[METHOD], NAME.encode())
        self.assertEqual(connack.properties[DATA], scram.expected)
        return client, connack

    def refused(self, user, password):
        """The salt that such a client is shown before it is refused."""
        client = self.client()
        scram = Scram(user, password)
        client.connect("refused", NAME, scram.first)
        client.auth(CONTINUE, NAME, self.challenged(client, scram))
        self.assertEqual(self.receive(client, CONNACK).reason, 0x86)
        self.assertIsNone(client.receive())
        return scram.salt, scram.iterations

    def by_password(self, user, password):
        client = self.client()
        client.connect("password", user=user, password=password)
        return self.receive(client, CONNACK).reason

    def test_the_right_password_and_what_it_allows(self):
        for number in range(8):  # of several homes
            client, _ = self.connected(f"client {number}")
            client.subscribe("anna/x")
            self.assertEqual(self.receive(client, SUBACK).body[-1], 1)
            client.publish("bob/x", b"not mine")
            self.assertEqual(self.receive(client, PUBACK).body[2], 0x87)
            client.publish("anna/x", b"mine")
            self.assertEqual({client.receive().kind, client.receive().kind}, {PUBACK, PUBLISH})
            client.close()

    def test_wrong_passwords_and_unknown_users_look_the_same(self):
        known = self.refused("anna", "wrong")
        self.assertEqual(self.refused("anna", "wrong"), known)
        unknown = self.refused("nobody", "correct horse")
        self.assertEqual(self.refused("nobody", "x"), unknown)
        self.assertEqual(len(unknown[0]), len(known[0]))
        self.assertEqual(unknown[1], known[1])
        self.refused("bob", "battery staple")  # has no SCRAM keys

    def test_passwords_without_scram(self):
        self.assertEqual(self.by_password("anna", "correct horse"), 0)
        self.assertEqual(self.by_password("anna", "wrong"), 0x86)
        self.assertEqual(self.by_password("bob", "battery staple"), 0)

    def test_another_method(self):
        client = self.client()
        client.connect("other", "SCRAM-SHA-1", b"n,,n=anna,r=x")
        self.assertEqual(self.receive(client, CONNACK).reason, 0x8C)
        self.assertIsNone(client.receive())

    def test_a_session_is_found_again(self):
        self.connected("kept", kept=True)[0].close()
        _, connack = self.connected("kept", kept=True)
        self.assertEqual(connack.body[0] & 1, 1)

    def test_re_authentication_while_messages_flow(self):
        client, _ = self.connected("again")
        client.subscribe("anna/x")
        self.receive(client, SUBACK)
        for _ in range(3):
            scram = Scram("anna", "correct horse")
            client.auth(AGAIN, NAME, scram.first)
            final = self.challenged(client, scram)
            client.publish("anna/x", b"between")
            self.assertEqual({client.receive().kind, client.receive().kind}, {PUBACK, PUBLISH})
            client.auth(CONTINUE, NAME, final)
            done = self.receive(client, AUTH)
            self.assertEqual(done.reason, 0)
            self.assertEqual(done.properties[DATA], scram.expected)

    def fails_again(self, client, user, password):
        scram = Scram(user, password)
        client.auth(AGAIN, NAME, scram.first)
        client.auth(CONTINUE, NAME, self.challenged(client, scram))
        self.assertEqual(self.receive(client, DISCONNECT).reason, 0x87)
        self.assertIsNone(client.receive())

    def test_re_authentication_that_fails(self):
        self.user("add", "carol", "c", "--scram")
        self.reload()
        self.fails_again(self.connected("wrong")[0], "anna", "wrong")
        self.fails_again(self.connected("other")[0], "carol", "c")  # who is not anna

    def reload(self):
        self.broker.send_signal(signal.SIGHUP)
        while True:  # until what carol can do shows that it has been read
            client = self.client()
            scram = Scram("carol", "c")
            client.connect("reload", NAME, scram.first)
            client.auth(CONTINUE, NAME, self.challenged(client, scram))
            if self.receive(client, CONNACK).reason == 0:
                return

    def test_a_new_password(self):
        there, _ = self.connected("long")
        coming = self.client()
        scram = Scram("anna", "correct horse")
        coming.connect("coming", NAME, scram.first)
        final = self.challenged(coming, scram)
        self.user("passwd", "anna", "new")
        self.user("add", "carol", "c", "--scram")
        self.reload()
        coming.auth(CONTINUE, NAME, final)  # ends as it began, and does not last
        self.assertEqual(self.receive(coming, CONNACK).reason, 0)
        for client in (there, coming):
            self.assertEqual(self.receive(client, DISCONNECT).reason, 0x87)
            self.assertIsNone(client.receive())
        self.connected("fresh", password="new")

    def test_clients_that_vanish_in_the_middle(self):
        for number in range(100):
            client = self.client()
            scram = Scram("anna", "correct horse")
            client.connect(f"gone {number % 7}", NAME, scram.first)
            if number % 3 != 0:
                final = self.challenged(client, scram)
                if number % 3 == 2:
                    client.auth(CONTINUE, NAME, final)
            client.close()
        self.connected("still here")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
