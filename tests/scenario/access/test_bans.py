#!/usr/bin/env python3
"""A file of bans: at the door, for those who are connected, and while it changes.

    SHARDS=N STENTOR=PATH test_bans.py
"""

import subprocess

from access_kit import STENTOR, AccessCase, Closed, main

BANNED = 0x8A  # of CONNACK; DISCONNECT does not have it
ADMINISTRATIVE_ACTION = 0x98


class Bans(AccessCase):
    LISTENER = ('[[listener]]\nurl = "mqtt://127.0.0.1:0"\n'
                '[[listener]]\nurl = "mqtt://127.0.0.1:0"\nproxy_protocol = true\n'
                'trusted_proxies = ["127.0.0.1"]\n')
    AUTH = '[auth]\nanonymous = "never"\npassword_file = "users"\nban_file = "bans"\n'

    def setUp(self):
        super().setUp()
        for name in ("anna", "mallory"):
            self.user("add", name, name[0])
        self.bans("")
        self.serve(self.LISTENER, self.AUTH)

    def bans(self, text):
        # As a whole, as editors do.
        new = self.dir / "bans.new"
        new.write_text(text)
        new.rename(self.dir / "bans")

    def reload_with(self, text):
        self.bans(text)
        self.assertTrue(self.broker.reload())

    def answer(self, client_id="c", user="anna", version=5):
        return self.client(version=version).ask(client_id, user, user[0])

    def behind_proxy(self, address, client_id):
        line = f"PROXY TCP4 {address} 127.0.0.1 1000 1883\r\n".encode()
        return self.client(self.broker.ports[1], before=line), client_id

    def test_clients_and_users_are_told(self):
        self.reload_with("client bad one\nuser mallory\n"
                         "client early until 2020-01-01\nclient late until 2999-01-01T10:00:00Z\n")
        self.assertEqual(self.answer("bad one"), BANNED)
        self.assertEqual(self.answer("late"), BANNED)
        self.assertEqual(self.answer(user="mallory"), BANNED)
        self.assertEqual(self.answer("bad one", version=4), 5)
        self.assertEqual(self.answer("early"), 0)
        self.assertEqual(self.answer("good"), 0)
        # Who does not know the password does not learn whose name is banned.
        self.assertEqual(self.client().ask("x", "mallory", "wrong"), 0x86)
        self.assertEqual(self.client().ask("bad one", "anna", "wrong"), 0x86)
        self.broker.said(event="not_admitted", reason="banned", client="bad one")

    def test_addresses_are_turned_away_unheard(self):
        self.reload_with("address 192.0.2.0/24\naddress 198.51.100.7 until 2999-01-01\n")
        for address, welcome in (("192.0.2.9", False), ("198.51.100.7", False),
                                 ("198.51.100.8", True)):
            client, name = self.behind_proxy(address, f"c{address}")
            if welcome:
                self.assertEqual(client.ask(name, "anna", "a"), 0)
                continue
            with self.assertRaises(Closed):
                client.ask(name, "anna", "a")
            self.assertEqual(client.buffer, b"")
        line = self.broker.said(event="address_refused", peer="192.0.2.9")
        self.assertEqual(line["reason"], "banned")

    def connect_five(self):
        self.by_client = self.connected("banned-client")
        self.old = self.connected("banned-old", version=4)
        self.by_user = self.connected("user", "mallory", "m")
        self.by_address, name = self.behind_proxy("192.0.2.1", "address")
        self.assertEqual(self.by_address.ask(name, "anna", "a"), 0)
        self.stays = self.connected("stays")

    def expect_four_closed(self):
        for client in (self.by_client, self.by_user, self.by_address):
            self.assertEqual(client.farewell(), ADMINISTRATIVE_ACTION)
        self.assertIsNone(self.old.farewell())
        self.stays.send(0xC0, b"")
        self.assertEqual(self.stays.packet()[0], 0xD0)

    ALL = "client banned-client\nclient banned-old\nuser mallory\naddress 192.0.2.1\n"

    def test_live_connections_are_closed_at_sighup(self):
        self.connect_five()
        self.reload_with(self.ALL)
        self.expect_four_closed()
        self.broker.said(event="client_sent_away", client="banned-client", reason="banned")

    def test_and_without_one_when_the_file_changes(self):
        self.connect_five()
        self.bans(self.ALL)
        self.broker.said(event="bans_renewed", bans=4)
        self.expect_four_closed()
        self.bans("")
        self.broker.said(event="bans_renewed", bans=0)
        self.assertEqual(self.answer("banned-client"), 0)

    def test_a_bad_file_keeps_the_old_bans(self):
        self.reload_with("client bad\n")
        self.bans("client bad\nadress 192.0.2.1\n")
        self.assertFalse(self.broker.reload())
        line = self.broker.said(event="reload_failed", line=2)
        self.assertIn("a line begins with client, user, address", line["msg"])
        self.assertEqual(self.answer("bad"), BANNED)
        self.bans("client good until soon\n")
        self.broker.said(event="bans_kept")
        self.assertEqual(self.answer("bad"), BANNED)
        self.assertEqual(self.answer("good"), 0)

    def test_check_reads_it_too(self):
        def check():
            return subprocess.run([STENTOR, "check", "-c", str(self.broker.config)], cwd=self.dir,
                                  capture_output=True, text=True, check=False)

        self.bans("user mallory\naddress 10.0.0.0/8\n")
        self.assertIn("2 in ", check().stdout)
        self.bans("user mallory\naddress 10.0.0.0/48\n")
        done = check()
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"bans:2:9")
        self.assertIn("neither an address nor a network", done.stderr)
        self.assertIn("192.0.2.1, 10.0.0.0/8", done.stderr)

    def test_two_clients_with_one_identifier_are_named(self):
        since = self.broker.mark()
        for i in range(8):
            client, name = self.behind_proxy(f"192.0.2.{i % 2 + 1}", "twin")
            self.assertEqual(client.ask(name, "anna", "a"), 0)
        line = self.broker.said(since, event="client_id_fight", client="twin")
        self.assertEqual({line["peer"], line["old_peer"]}, {"192.0.2.1", "192.0.2.2"})


if __name__ == "__main__":
    main()
