#!/usr/bin/env python3
"""Clients and subscriptions over HTTP: listed, looked at, and sent away."""

import signal
import unittest

from admin_kit import ADMIN, AdminCase, Broker, basic, quoted
from http_kit import Closed, main


class Clients(AdminCase):
    def test_who_is_there_and_who_is_away(self):
        self.begin(data="data")
        here = [self.phone(f"here{i}", "a") for i in range(3)]
        for i in range(5):
            self.phone(f"away{i}", "a/#", "b", keeps=True).close()
        self.wait_for_sessions(3, 5)
        for limit in (1, 3, 100):
            clients, _ = self.pages("/v1/clients", "clients", limit)
            self.assertEqual(sorted(each["client_id"] for each in clients),
                             [f"away{i}" for i in range(5)] + [f"here{i}" for i in range(3)])
        away, _ = self.pages("/v1/clients?connected=false", "clients", 2)
        self.assertEqual({each["client_id"] for each in away}, {f"away{i}" for i in range(5)})
        self.assertEqual({each["session"] for each in away}, {"durable"})
        there, _ = self.pages("/v1/clients?connected=true", "clients", 100)
        self.assertEqual({each["address"] for each in there}, {"127.0.0.1"})
        self.assertEqual({each["listener"] for each in there}, {f"mqtt://127.0.0.1:{self.mqtt}"})
        self.assertEqual(len(self.pages("/v1/clients?prefix=away", "clients", 100)[0]), 5)
        del here

    def wait_for_sessions(self, connected, away):
        """A connection's end is noticed when the broker reads it."""
        while True:
            sessions = self.admin("GET", "/v1/node")["sessions"]
            if sessions == {"connected": connected, "away": away}:
                return

    def test_users_are_told_apart(self):
        self.begin()
        anna = self.client(port=self.mqtt)
        self.assertEqual(anna.ask("x", "anna", "b"), 0)
        nobody = self.phone("y")
        of_anna, _ = self.pages("/v1/clients?username=anna", "clients", 10)
        self.assertEqual([each["client_id"] for each in of_anna], ["x"])
        nameless, _ = self.pages("/v1/clients?username=", "clients", 10)
        self.assertEqual([each["client_id"] for each in nameless], ["y"])
        del nobody

    def test_everything_known_about_one(self):
        self.begin(data="data")
        name = "käse/über #1"
        phone = self.phone(name, "a/+", keeps=True)
        self.phone("sender").publish("a/1", b"x", qos=0)
        phone.message()
        shown = self.admin("GET", "/v1/clients/" + quoted(name))
        self.assertEqual((shown["client_id"], shown["protocol"], shown["session"]),
                         (name, "5.0", "durable"))
        self.assertEqual(shown["session_expiry_seconds"], 3600)
        self.assertEqual(shown["offline_messages"], {"gets": True, "why": None})
        self.assertIsNone(shown["disconnected_at"])
        phone.send(0xE0, b"")
        phone.close()
        while self.admin("GET", "/v1/clients/" + quoted(name))["connected"]:
            pass
        shown = self.admin("GET", "/v1/clients/" + quoted(name))
        self.assertIsNone(shown["connected_at"])
        self.assertEqual(shown["last_disconnect_reason"], "success")
        self.phone("sender").publish("a/1", b"x")
        shown = self.admin("GET", "/v1/clients/" + quoted(name))
        self.assertGreaterEqual(shown["backlog"]["log_positions_behind"], 1)
        self.assertFalse(shown["backlog"]["level_with_log"])
        old = self.phone("old", "a", version=4)
        shown = self.admin("GET", "/v1/clients/old")
        self.assertFalse(shown["offline_messages"]["gets"])
        self.assertIn("Clean Session", shown["offline_messages"]["why"])
        self.assertTrue(shown["clean_start"])
        zero = self.phone("zero", "a", qos=0, keeps=True)
        self.assertIn("QoS 0", self.admin("GET", "/v1/clients/zero")["offline_messages"]["why"])
        self.admin("GET", "/v1/clients/nobody", 404, "no_such_client")
        del old, zero

    def test_what_is_away_survives_a_restart(self):
        self.begin(data="data")
        self.phone("phone", "a", keeps=True).close()
        page = self.admin("GET", "/v1/clients?limit=1")
        self.broker.signal(signal.SIGKILL)
        self.broker.wait()
        self.broker = Broker(self.dir, (self.dir / "stentor.toml").read_text())
        self.addCleanup(self.broker.stop)
        self.mqtt, self.port = self.broker.ports
        self.assertFalse(self.admin("GET", "/v1/clients/phone")["connected"])
        if page["next"] is not None:
            self.admin("GET", f"/v1/clients?after={quoted(page['next'])}", 410, "stale_cursor")

    def test_a_client_is_sent_away(self):
        self.begin(data="data")
        phone = self.phone("phone/1", "a", keeps=True)
        old = self.phone("old", version=4)
        self.admin("DELETE", "/v1/clients/" + quoted("phone/1"), 204)
        self.assertEqual(phone.farewell(), 0x98)
        self.admin("DELETE", "/v1/clients/old", 204)
        with self.assertRaises(Closed):
            old.packet()
        self.admin("GET", "/v1/clients/old", 404, "no_such_client")
        # Its session waits.
        self.admin("DELETE", "/v1/clients/" + quoted("phone/1"), 404, "not_connected")
        shown = self.admin("GET", "/v1/clients/" + quoted("phone/1"))
        self.assertEqual(shown["last_disconnect_reason"], "administrative_action")
        back = self.phone("phone/1", keeps=True, clean=False)
        self.assertTrue(back.session_present)

    def test_a_sessions_end_is_on_disk(self):
        self.begin(data="data")
        self.phone("gone", "a", keeps=True)
        self.phone("stays", "a", keeps=True)
        self.admin("DELETE", "/v1/clients/gone?session=true", 204)
        self.admin("DELETE", "/v1/clients/gone?session=true", 404, "no_such_client")
        self.broker.signal(signal.SIGKILL)
        self.broker.wait()
        self.broker = Broker(self.dir, (self.dir / "stentor.toml").read_text())
        self.addCleanup(self.broker.stop)
        self.mqtt, self.port = self.broker.ports
        self.assertFalse(self.has_session("gone"))
        self.assertTrue(self.has_session("stays"))

    def has_session(self, name):
        return self.phone(name, keeps=True, clean=False).session_present

    def test_subscriptions(self):
        self.begin(data="data")
        many = sorted(f"f/{i}" for i in range(25))
        phone = self.phone("many", *many)
        self.phone("away", "f/#", "$share/g/f/7", keeps=True).close()
        for limit in (1, 7, 100):
            found, _ = self.pages("/v1/clients/many/subscriptions", "subscriptions", limit)
            self.assertEqual([each["filter"] for each in found], many)
            found, _ = self.pages("/v1/subscriptions", "subscriptions", limit)
            self.assertEqual(sorted((each["client_id"], each["filter"]) for each in found),
                             sorted([("many", each) for each in many] +
                                    [("away", "f/#"), ("away", "$share/g/f/7")]))
        found, _ = self.pages("/v1/subscriptions?topic=f/7", "subscriptions", 2)
        self.assertEqual({(each["client_id"], each["filter"]) for each in found},
                         {("many", "f/7"), ("away", "f/#"), ("away", "$share/g/f/7")})
        found, _ = self.pages("/v1/subscriptions?filter=f/%23", "subscriptions", 2)
        self.assertEqual([each["client_id"] for each in found], ["away"])
        self.admin("GET", "/v1/clients/nobody/subscriptions", 404, "no_such_client")
        del phone

    def test_only_administrators(self):
        self.begin()
        for path in "/v1/clients", "/v1/clients/x", "/v1/subscriptions":
            self.error(self.get(path), 403, "forbidden")
            self.error(self.get(path, headers=basic("anna", "b")), 403, "forbidden")
        self.error(self.ask("DELETE", "/v1/clients/x", headers=basic("anna", "b")), 403,
                   "forbidden")
        answer = self.ask("PUT", "/v1/clients/x", headers=ADMIN)
        self.error(answer, 405, "method_not_allowed")
        self.assertEqual(answer.headers["Allow"], "GET, HEAD, DELETE")


if __name__ == "__main__":
    main()
