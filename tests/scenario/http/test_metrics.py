#!/usr/bin/env python3
"""/metrics: who may read it, its format, and that the numbers are true."""

import pathlib
import re
import sys
import threading
import unittest

from prometheus_client.parser import text_string_to_metric_families

from http_kit import Closed, HttpCase, basic, main

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "http_auth"))
from login_service import LoginService  # noqa: E402

MQTT = '[[listener]]\nurl = "mqtt://127.0.0.1:0"\n'

# What contracts of users name; without the prefix.
NAMES = """build_info start_time_seconds connections connections_opened_total
connections_closed_total connections_refused_total sessions subscriptions shared_groups
retained_messages packets_received_total packets_sent_total network_bytes_received_total
network_bytes_sent_total messages_received_total messages_sent_total messages_dropped_total
log_messages log_bytes log_commits_total log_commit_seconds log_batch_messages inflight_messages
delivery_latency_seconds auth_seconds takeovers_total
keepalive_timeouts_total tls_handshakes_total
tls_certificate_expiry_timestamp_seconds""".split()


class Metrics(HttpCase):
    def scrape(self, port=None, **more):
        """All on one connection, which counts itself."""
        if not hasattr(self, "kept"):
            self.kept = self.connection(port)
        answer = self.get("/metrics", over=self.kept, **more)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.headers["Content-Type"],
                         "text/plain; version=0.0.4; charset=utf-8")
        text = answer.body.decode()
        self.values, self.families = {}, set()
        for family in text_string_to_metric_families(text):
            self.assertTrue(family.documentation, family.name)
            self.assertNotEqual(family.type, "unknown", family.name)
            self.assertNotIn(family.name, self.families)
            self.families.add(family.name)
            for sample in family.samples:
                key = (sample.name.removeprefix("stentor_"), tuple(sorted(sample.labels.items())))
                self.assertNotIn(key, self.values)
                self.values[key] = sample.value
        return text

    def value(self, name, **labels):
        return self.values[name, tuple(sorted(labels.items()))]

    def until(self, what, expected):
        """Scrapes until `what()` is that: what happened last may not have been counted yet."""
        while True:
            self.scrape(port=self.http)
            if what() == expected:
                return

    def test_every_name_is_there_with_help_and_type(self):
        self.serve(self.LISTENER)
        text = self.scrape()
        for name in NAMES:
            with self.subTest(name=name):
                self.assertIn(f"# TYPE stentor_{name} ", text)
                self.assertIn(f"# HELP stentor_{name} ", text)
        for line in text.splitlines():
            self.assertTrue(line.startswith(("# HELP stentor_", "# TYPE stentor_", "stentor_")))
        # As promtool lints: counters are called so, others are not.
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                self.assertEqual(name.endswith("_total"), kind == "counter", line)

    def test_counts_what_happens(self):
        self.serve(MQTT, self.LISTENER)
        self.http = self.broker.ports[1]
        writer = self.client()
        self.assertEqual(writer.ask("writer"), 0)
        clients = [self.client() for _ in range(4)]
        for number, client in enumerate(clients):
            self.assertEqual(client.ask(f"c{number}", keeps=number == 0, clean=number != 0), 0)
        for client in clients:
            self.assertEqual(client.subscribe("a/#"), [1])
        self.assertEqual(writer.publish("a/b", b"payload", qos=1), 0)
        for client in clients:
            self.assertEqual(client.message(), ("a/b", b"payload"))
        self.until(lambda: self.value("packets_received_total", type="puback"), 4)
        self.assertEqual(self.value("messages_received_total", qos="1"), 1)
        self.assertEqual(self.value("messages_sent_total", qos="1"), 4)
        self.assertEqual(self.value("packets_sent_total", type="publish"), 4)
        self.assertEqual(self.value("packets_sent_total", type="connack"), 5)
        self.assertEqual(self.value("packets_received_total", type="connect"), 5)
        self.assertEqual(self.value("sessions", state="connected"), 5)
        self.assertEqual(self.value("sessions", state="away"), 0)
        self.assertEqual(self.value("subscriptions"), 4)
        self.assertEqual(self.value("connections_opened_total"), 5)
        self.assertEqual(
            self.value("connections", listener=f"mqtt://127.0.0.1:{self.broker.ports[0]}"), 5)
        self.assertEqual(self.value("connections", listener=f"http://127.0.0.1:{self.http}"), 1)
        self.assertGreaterEqual(self.value("log_commits_total"), 2)  # attached, subscribed
        self.assertEqual(self.value("log_commit_seconds_count"), self.value("log_commits_total"))
        self.assertGreaterEqual(self.value("auth_seconds_count"), 4)
        self.assertEqual(self.value("shards_silent"), 0)
        clients[0].send(0xE0, b"")
        clients[1].close()
        self.until(lambda: self.value("sessions", state="connected"), 3)
        self.assertEqual(self.value("sessions", state="away"), 1)
        self.until(lambda: self.value("connections_closed_total", reason="connection_lost"), 1)
        self.until(
            lambda: self.values.get(
                ("connections_closed_total", (("reason", "normal_disconnection"),))), 1)
        again = self.client()
        self.assertEqual(again.ask("c2"), 0)
        self.until(lambda: self.value("takeovers_total"), 1)

    def test_what_waits_in_the_log(self):
        """Each message once, however many sessions want it, until nobody does any more."""
        self.serve(MQTT, self.LISTENER)
        self.http = self.broker.ports[1]
        for name in ("one", "two"):
            client = self.client()
            self.assertEqual(client.ask(name, keeps=True, clean=False), 0)
            self.assertEqual(client.subscribe("a"), [1])
            client.send(0xE0, b"")
            client.close()
        writer = self.client()
        self.assertEqual(writer.ask("writer"), 0)
        for number in range(5):
            self.assertEqual(writer.publish("a", b"%d" % number, qos=1), 0)
        self.assertEqual(writer.publish("nobody", b"", qos=1), 0x10)
        self.until(lambda: self.value("log_messages"), 5)
        self.assertGreaterEqual(self.value("log_messages_appended_total"), 5)
        for name in ("one", "two"):
            client = self.client()
            self.assertEqual(client.ask(name, keeps=True, clean=False), 0)
            for number in range(5):
                self.assertEqual(client.message(), ("a", b"%d" % number))
        self.until(lambda: self.value("log_messages"), 0)

    def test_what_is_in_flight_and_how_long_deliveries_take(self):
        self.serve(MQTT, self.LISTENER)
        self.http = self.broker.ports[1]
        writer, reader, other = (self.client() for _ in range(3))
        for name, client in (("writer", writer), ("reader", reader), ("other", other)):
            self.assertEqual(client.ask(name, keeps=name == "reader", clean=False), 0)
        self.assertEqual(reader.subscribe("a/#"), [1])
        self.assertEqual(other.subscribe("a/#"), [1])
        for number in range(3):
            self.assertEqual(writer.publish("a/b", b"%d" % number, qos=1), 0)
            self.assertEqual(other.message(), ("a/b", b"%d" % number))
        for number in range(3):
            self.assertEqual(reader.message(answers=False), ("a/b", b"%d" % number))
        self.until(lambda: self.value("inflight_messages"), 3)
        count = self.value("delivery_latency_seconds_count")
        self.assertTrue(1 <= count <= 6, count)
        self.assertLess(self.value("delivery_latency_seconds_sum"), 60 * count)
        reader.close()
        self.until(lambda: self.value("inflight_messages"), 0)
        again = self.client()
        self.assertEqual(again.ask("reader", keeps=True, clean=False), 0)
        self.until(lambda: self.value("inflight_messages"), 3)
        for number in range(3):
            self.assertEqual(again.message(), ("a/b", b"%d" % number))
        self.until(lambda: self.value("inflight_messages"), 0)
        self.assertEqual(self.value("delivery_latency_seconds_count"), count, "repeats")
        for number in range(70):
            self.assertEqual(writer.publish("a/c", b"x", qos=1), 0)
        self.until(lambda: self.value("inflight_messages"), 140)
        # At distances of 1 to 32 in each of the shards.
        self.assertGreaterEqual(self.value("delivery_latency_seconds_count"), count + 2)

    def test_logins_by_a_web_service_are_counted(self):
        answers = {"anna": {"result": "allow"}, "bert": (500, "oops"), None: {"result": "ignore"}}
        service = LoginService(lambda question: answers[question["username"]])
        self.addCleanup(service.stop)
        self.serve(MQTT, self.LISTENER, '[auth]\nanonymous = "loopback"',
                   f'[auth.http]\nurl = "http://127.0.0.1:{service.port}/"',
                   'cache = "1h"', 'cache_refusals = "1h"')
        self.http = self.broker.ports[1]

        def ask(user):
            client = self.client()
            reason = client.ask("c", user, "secret")
            client.close()
            return reason

        def counts():
            """Whoever scrapes is asked about once, too: it is one connection."""
            self.scrape(port=self.http)
            return [self.value(f"auth_http_{name}_total")
                    for name in ("requests", "failures", "cache_hits", "joined")]

        self.assertEqual(counts(), [1, 0, 0, 0])
        self.assertEqual(ask("anna"), 0)
        self.assertEqual(ask("bert"), 0x88)
        self.assertEqual(counts(), [3, 1, 0, 0])
        self.assertEqual(ask("anna"), 0)
        self.assertEqual(counts(), [3, 1, 1, 0])
        self.assertTrue(self.broker.reload())
        self.assertEqual(ask("anna"), 0)
        self.assertEqual(counts(), [4, 1, 1, 0], "counters go on")

    def test_refusals_are_counted_by_reason(self):
        self.user("add", "anna", "a")
        self.serve(self.AUTH.replace("acl_file", "#"), MQTT + "max_connections = 1\n",
                   self.LISTENER, '[http]\nadmins = ["password:anna"]')
        self.http = self.broker.ports[1]
        refused = self.client()
        self.assertEqual(refused.ask("c", "anna", "wrong"), 0x86)
        refused.close()
        headers = basic("anna", "a")

        def reason(name):
            self.scrape(port=self.http, headers=headers)
            return self.values.get(("connections_refused_total", (("reason", name),)), 0)

        while reason("bad_user_name_or_password") != 1:
            pass
        while True:  # until the broker has seen it go
            holder = self.client()
            try:
                if holder.ask("h", "anna", "a") == 0:
                    break
            except OSError:
                pass
            except Exception as closed:  # pylint: disable=broad-except
                self.assertEqual(type(closed).__name__, "Closed")
        before = reason("max_connections")
        self.client().close()
        while reason("max_connections") != before + 1:
            pass

    def test_who_is_turned_away_is_counted_by_reason(self):
        self.user("add", "anna", "a")
        (self.dir / "bans").write_text("address 203.0.113.9\n")
        proxy = 'proxy_protocol = true\ntrusted_proxies = ["127.0.0.1"]\n'
        self.serve('[auth]\nanonymous = "loopback"\npassword_file = "users"\nban_file = "bans"\n'
                   'failures_per_user_max = 2', MQTT + proxy, self.LISTENER, MQTT)
        self.http = self.broker.ports[1]

        def come(address, *who):
            client = self.client(before=b"PROXY TCP4 %s 192.0.2.1 1 1\r\n" % address)
            try:
                return client.ask("c", *who)
            except (Closed, OSError):
                return None

        self.assertIsNone(come(b"203.0.113.9", "anna", "a"))
        for answer in 0x86, 0x86, 0x9F:
            self.assertEqual(come(b"203.0.113.8", "anna", "wrong"), answer)
        self.assertEqual(self.client(self.broker.ports[2]).ask("local"), 0)
        self.client(self.broker.ports[2]).send(0x16, b"\x03\x01")  # begins like TLS
        self.client().write(b"no PROXY header\r\n")

        def refused(reason):
            return self.values.get(("connections_refused_total", (("reason", reason),)), 0)

        # Others than this test ask for figures, too, and these may be 250 ms old.
        self.until(lambda: refused("address_banned"), 1)
        self.until(lambda: refused("bad_user_name_or_password"), 2)
        self.until(lambda: refused("connection_rate_exceeded"), 1)
        self.until(lambda: self.value("handshakes_failed_total"), 1)
        self.assertEqual(self.value("auth_decisions_total", result="bad_credentials"), 2)
        self.assertEqual(self.value("auth_decisions_total", result="throttled"), 1)
        self.assertGreaterEqual(self.value("auth_decisions_total", result="accepted"), 2)
        self.assertEqual(self.value("auth_decisions_total", result="unavailable"), 0)

    def test_what_nobody_gets_is_counted_by_reason(self):
        self.serve("[limits]", "transient_queue_messages_max = 2",
                   "session_backlog_messages_max = 16", MQTT, self.LISTENER)
        self.http = self.broker.ports[1]

        def dropped(reason):
            return self.value("messages_dropped_total", reason=reason)

        writer = self.client()
        self.assertEqual(writer.ask("writer"), 0)
        for qos in 0, 0, 1:
            writer.publish("nobody", qos=qos)
        self.until(lambda: self.value("messages_without_reader_total", qos="1"), 1)
        self.assertEqual(self.value("messages_without_reader_total", qos="0"), 2)

        slow = self.client()
        self.assertEqual(slow.ask("slow", window=1), 0)
        self.assertEqual(slow.subscribe("slow"), [1])
        for _ in range(6):  # one is in flight, two wait
            self.assertEqual(writer.publish("slow"), 0)
        self.until(lambda: dropped("queue_full"), 3)

        small = self.client()
        self.assertEqual(small.ask("small", largest=200), 0)
        self.assertEqual(small.subscribe("small"), [1])
        self.assertEqual(writer.publish("small", bytes(300)), 0)
        self.until(lambda: dropped("packet_too_large"), 1)

        away = self.client()
        self.assertEqual(away.ask("away", keeps=True), 0)
        self.assertEqual(away.subscribe("away"), [1])
        away.close()
        self.until(lambda: self.value("sessions", state="away"), 1)
        for _ in range(64):
            self.assertEqual(writer.publish("away"), 0)
        self.until(lambda: dropped("backlog_full") > 0, True)
        self.assertGreaterEqual(self.value("sessions_advanced_total"), 1)
        self.assertEqual(dropped("queue_full"), 3)

    def test_the_reference_names_them_all(self):
        self.serve(self.LISTENER)
        text = self.scrape()
        page = (pathlib.Path(__file__).parents[3] / "docs" / "operations.md").read_text()
        told = dict(re.findall(r"^\| `(\w+)(?:\{[\w,]+\})?` \| (counter|gauge|histogram) \|", page,
                               re.MULTILINE))
        shown = dict(re.findall(r"^# TYPE stentor_(\w+) (\w+)$", text, re.MULTILINE))
        self.assertEqual(told, shown)

    def test_many_scrapes_at_once(self):
        self.serve(self.LISTENER)
        pages = []

        def scrape():
            pages.append(self.get("/metrics").status)

        threads = [threading.Thread(target=scrape) for _ in range(20)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        self.assertEqual(pages, [200] * 20)


class WhoMay(HttpCase):
    def setUp(self):
        super().setUp()
        self.user("add", "anna", "a")
        self.user("add", "boss", "b:c")  # a colon is the password's

    USERS = '[auth]\nanonymous = "{}"\npassword_file = "users"\n[http]\nadmins = ["password:boss"]'

    def test_administrators_by_their_password(self):
        self.serve(self.USERS.format("never"), self.LISTENER)
        connection = self.connection()
        for _ in range(2):
            answer = self.get("/metrics", headers=basic("boss", "b:c"), over=connection)
            self.assertEqual(answer.status, 200)
        # The connection is remembered with the header, not without, and not with another.
        answer = self.get("/metrics", over=connection)
        self.error(answer, 401, "unauthorized")
        self.assertIn("Basic", answer.headers.get_all("WWW-Authenticate")[0])
        self.error(self.get("/metrics", headers=basic("boss", "b"), over=connection), 401,
                   "unauthorized")
        self.error(self.get("/metrics", headers=basic("anna", "a"), over=connection), 403,
                   "forbidden")
        self.assertEqual(self.get("/metrics", headers=basic("boss", "b:c")).status, 200)

    def test_headers_that_are_none(self):
        self.serve(self.USERS.format("never"), self.LISTENER)
        for value in "Basic", "Basic %%%", "Basic Ym9zcw==", "Digest x", "Bearer x", "boss", "":
            with self.subTest(value=value):
                self.error(self.get("/metrics", headers={"Authorization": value}), 401,
                           "unauthorized")

    def test_nobody_on_this_machine_if_anonymous_is_never(self):
        self.serve(self.USERS.format("never"), self.LISTENER)
        self.error(self.get("/metrics"), 401, "unauthorized")

    def test_this_machine_if_anonymous_may(self):
        self.serve(self.USERS.format("loopback"), self.LISTENER, self.AUTO)
        for port in self.broker.ports:
            self.assertEqual(self.get("/metrics", port=port).status, 200)
            # A proxy's word, and a page that has a name of its own resolve to 127.0.0.1.
            for headers in ({"X-Forwarded-For": "203.0.113.9"}, {"Forwarded": "for=203.0.113.9"},
                            {"Host": "rebound.example"}):
                with self.subTest(headers=headers, port=port):
                    answer = self.get("/metrics", headers=headers, port=port)
                    self.error(answer, 401, "unauthorized")

    def test_anonymous_from_elsewhere_never(self):
        self.serve(self.USERS.format("always"), '[[listener]]\nurl = "http://0.0.0.0:0"\n')
        self.error(self.get("/metrics"), 403, "forbidden")

    def test_whoever_guesses_is_slowed_down(self):
        self.serve(self.USERS.format("never").replace(
            "[http]", "failures_per_user_max = 2\n[http]"),
            '[[listener]]\nurl = "http://0.0.0.0:0"\nproxy_protocol = true\n'
            'trusted_proxies = ["127.0.0.1"]\n')
        ask = (b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\n"
               b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
               b"Authorization: %s\r\n\r\n")
        wrong = ask % basic("boss", "x")["Authorization"].encode()
        right = ask % basic("boss", "b:c")["Authorization"].encode()
        self.assertEqual(self.statuses(right), [200])
        self.assertEqual([self.statuses(wrong)[0] for _ in range(3)], [401, 401, 429])
        self.assertEqual(self.statuses(right), [429])

    def test_who_is_no_administrator_any_more(self):
        self.serve(self.USERS.format("never"), self.LISTENER)
        connection = self.connection()
        headers = basic("boss", "b:c")
        self.assertEqual(self.get("/metrics", headers=headers, over=connection).status, 200)
        config = self.broker.config
        config.write_text(config.read_text().replace("password:boss", "password:anna"))
        self.assertTrue(self.broker.reload())
        self.assertEqual(self.get("/metrics", headers=headers, over=connection).status, 403)
        self.user("del", "boss")
        self.assertTrue(self.broker.reload())
        self.assertEqual(self.get("/metrics", headers=headers, over=connection).status, 401)


if __name__ == "__main__":
    main()
