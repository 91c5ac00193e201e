#!/usr/bin/env python3
"""What a limit does is in /metrics, by its exact name: each bound is reached with real sockets."""

import contextlib
import pathlib
import select
import socket
import struct
import sys
import time

from prometheus_client.parser import text_string_to_metric_families

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "http"))
from http_kit import PATIENCE, SHARDS, Closed, HttpCase, main  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "kit"))
from wire import text, varint  # noqa: E402

MQTT = '[[listener]]\nurl = "mqtt://127.0.0.1:0"\n'
# Who comes from loopback is not counted by address: others are, of whom a proxy speaks.
PROXIED = MQTT + 'proxy_protocol = true\ntrusted_proxies = ["127.0.0.1"]\n'
HTTP = '[[listener]]\nurl = "http://127.0.0.1:0"\n'
ANYBODY = '[auth]\nanonymous = "always"'

SERVER_KEEP_ALIVE_PASSED = 0x8D
SESSION_TAKEN_OVER = 0x8E
TOPIC_NAME_INVALID = 0x90
RECEIVE_MAXIMUM_EXCEEDED = 0x93
TOPIC_ALIAS_INVALID = 0x94
PACKET_TOO_LARGE = 0x95
QUOTA_EXCEEDED = 0x97


class CounterCase(HttpCase):
    def limited(self, *limits, mqtt=MQTT, section="limits", **options):
        """A broker with these bounds, and nobody in it but whoever reads its metrics: some bounds
        would keep out who comes later."""
        self.serve(mqtt, HTTP, ANYBODY, f"[{section}]", *limits, **options)
        self.scraper = self.connection(self.broker.ports[1])
        self.scrape()

    def scrape(self):
        answer = self.get("/metrics", over=self.scraper)
        self.assertEqual(answer.status, 200, answer.body)
        self.values = {
            (sample.name.removeprefix("stentor_"), tuple(sorted(sample.labels.items()))):
            sample.value
            for family in text_string_to_metric_families(answer.body.decode())
            for sample in family.samples}

    def value(self, name, **labels):
        """Reasons that nothing has had yet are not in it."""
        return self.values.get((name, tuple(sorted(labels.items()))), 0)

    def until(self, reached, what):
        """Scrapes until it is so: what happened last may not have been counted yet."""
        end = time.monotonic() + PATIENCE
        while True:
            self.scrape()
            if reached():
                return
            self.assertLess(time.monotonic(), end, what())

    def counted(self, expected, name, **labels):
        self.until(lambda: self.value(name, **labels) == expected,
                   lambda: f"{name}{labels} is {self.value(name, **labels)}, not {expected}")

    def comes(self, name, address=None, **how):
        """A client, and the reason of its CONNACK; None if it was closed without."""
        before = b"PROXY TCP4 %s 192.0.2.1 1 1\r\n" % address if address else b""
        try:
            client = self.client(before=before)
            return client, client.ask(name, **how)
        except (Closed, OSError):
            return None, None


class Door(CounterCase):
    """connections_refused_total: who is not let in."""

    def test_connections_a_second(self):
        self.limited("connects_per_second_max = 2")
        answers = [self.comes(f"c{number}")[1] for number in range(40)]
        self.assertEqual(set(answers), {0, None})
        self.counted(answers.count(None), "connections_refused_total",
                     reason="connects_per_second_max")

    def test_connections_a_second_of_a_listener(self):
        self.limited(mqtt=MQTT + "connects_per_second_max = 2\n")
        answers = [self.comes(f"c{number}")[1] for number in range(40)]
        self.assertEqual(set(answers), {0, None})
        self.counted(answers.count(None), "connections_refused_total",
                     reason="listener_connects_per_second_max")
        self.assertEqual(self.value("connections_opened_total"), answers.count(0))
        self.assertEqual(self.broker.said(event="connection_shed")["listener"], 0)

    def test_connections_a_second_of_one_listener_are_not_anothers(self):
        """Nor does a scraper wait for a fleet; its own listener may have a bound as well."""
        self.serve(MQTT + "connects_per_second_max = 1\n", HTTP,
                   HTTP + "connects_per_second_max = 1\n", MQTT, ANYBODY)
        self.scraper = self.connection(self.broker.ports[1])
        answers = [self.comes(f"c{number}")[1] for number in range(20)]
        self.assertEqual(set(answers), {0, None})
        for number in range(20):
            self.assertEqual(self.client(port=self.broker.ports[3]).ask(f"d{number}"), 0)
            self.assertEqual(self.get("/livez", port=self.broker.ports[1]).status, 200)
        shut = [self.statuses(b"GET /livez HTTP/1.0\r\n\r\n", port=self.broker.ports[2])
                for _ in range(20)].count([])
        self.assertIn(shut, range(1, 20))
        self.counted(answers.count(None) + shut, "connections_refused_total",
                     reason="listener_connects_per_second_max")

    def test_connections(self):
        self.limited("connections_max = 2")
        first, _ = self.comes("a")
        self.assertEqual(self.comes("b")[1], 0)
        for name in "cdef":
            self.assertIsNone(self.comes(name)[1])
        # Who wants to know what is wrong comes in by a door that is for him.
        self.scraper = self.connection(self.broker.ports[1])
        self.counted(4, "connections_refused_total", reason="connections_max")
        self.counted(0, "connections_refused_total", reason="http_connections_max")
        first.close()
        self.counted(1, "connections_closed_total", reason="connection_lost")
        again = [None]
        while again[-1] is None:  # the place is free a moment after its client was counted
            again.append(self.comes("again")[1])
        self.counted(4 + len(again) - 2, "connections_refused_total", reason="connections_max")

    def test_connections_of_an_address(self):
        self.limited("connections_per_address_max = 2", mqtt=PROXIED)
        for name, answer in (("a", 0), ("b", 0), ("c", None), ("d", None)):
            self.assertEqual(self.comes(name, b"203.0.113.1")[1], answer)
        self.assertEqual(self.comes("e", b"203.0.113.2")[1], 0)
        self.counted(2, "connections_refused_total", reason="connections_per_address_max")

    def test_connections_of_an_address_a_second(self):
        self.limited("connects_per_second_per_address_max = 2", mqtt=PROXIED)
        answers = [self.comes(f"c{number}", b"203.0.113.1")[1] for number in range(40)]
        self.assertEqual(set(answers), {0, None})
        self.assertEqual(self.comes("other", b"203.0.113.2")[1], 0)
        self.counted(answers.count(None), "connections_refused_total",
                     reason="connects_per_second_per_address_max")

    def test_an_address_may_speak_http_as_well(self):
        """What it has done there counts, by the same clock."""
        self.serve(PROXIED, PROXIED.replace("mqtt:", "http:"), ANYBODY,
                   "[limits]\nconnects_per_second_per_address_max = 2")
        header = b"PROXY TCP4 203.0.113.1 192.0.2.1 1 1\r\n"
        self.assertEqual(self.statuses(header + b"GET /livez HTTP/1.0\r\n\r\n",
                                       port=self.broker.ports[1]), [200])
        self.assertEqual(self.comes("c", b"203.0.113.1")[1], 0)

    def test_bytes_of_connects(self):
        """Clients that bring most of a large CONNECT and keep the rest to themselves."""
        self.limited('connect_timeout = "5m"')
        body = text("MQTT") + b"\x05\x02\0\0" + bytes(380_000)
        part = b"\x10" + varint(len(body) + 1000) + body
        clients = []
        while not self.ended(clients):
            self.assertLess(len(clients), 100 * int(SHARDS), "32 MiB each have room for 88")
            for _ in range(30):
                clients.append(self.client())
                with contextlib.suppress(Closed):  # its socket goes on saying so
                    clients[-1].write(part)
            # Otherwise they would be ahead of it by what fits into the kernel's buffers.
            self.until(lambda: self.ended(clients) or self.value("network_bytes_received_total") >=
                       len(clients) * len(part), lambda: "the broker does not read")
        self.until(lambda: self.ended(clients) == self.value("connections_refused_total",
                                                             reason="connect_bytes"),
                   lambda: f"{self.ended(clients)} of {len(clients)} are closed")

    @staticmethod
    def ended(clients):
        """How many have been closed. None of them is answered."""
        ready = select.poll()
        for client in clients:
            ready.register(client.socket, select.POLLIN)
        return len(ready.poll(0))

    def test_sessions(self):
        self.limited("sessions_max = 3")
        answers = [self.comes(f"c{number}", keeps=True)[1] for number in range(20)]
        self.assertEqual(sorted(answers), [0] * 3 + [QUOTA_EXCEEDED] * 17)
        self.counted(17, "connections_refused_total", reason="quota_exceeded")


class Ended(CounterCase):
    """connections_closed_total: who has to go."""

    def ended(self, client, reason, name):
        """It was told, and it was counted."""
        self.assertEqual(client.farewell(), reason)
        self.counted(1, "connections_closed_total", reason=name)

    def refused(self, client, reason, name):
        """For a packet that it may not send."""
        self.ended(client, reason, name)
        self.counted(1, "protocol_errors_total")

    def test_time_for_connect(self):
        self.limited('connect_timeout = "1s"')
        self.scraper = self.connection(self.broker.ports[1])  # the other one's time runs, too
        client = self.client()
        client.write(b"\x10\x20\x00\x04MQ")
        self.ended(client, None, "connect_timeout")

    def test_silence(self):
        self.limited('keepalive_max = "1s"')
        client, answer = self.comes("silent")
        self.assertEqual(answer, 0)
        self.ended(client, SERVER_KEEP_ALIVE_PASSED, "keep_alive_timeout")
        self.counted(1, "keepalive_timeouts_total")

    def test_size_of_a_packet(self):
        self.limited('packet_bytes_max = "1KiB"')
        client, _ = self.comes("large")
        client.publish("t", bytes(2000), qos=0)
        self.refused(client, PACKET_TOO_LARGE, "packet_too_large")

    def test_receive_maximum(self):
        self.limited("receive_maximum = 2")
        client, _ = self.comes("hasty")
        for _ in range(2):
            self.assertIn(client.publish("t", qos=2), (0, 0x10))  # and no PUBREL
        client.send(0x34, text("t") + b"\0\x03\0x")
        self.refused(client, RECEIVE_MAXIMUM_EXCEEDED, "receive_maximum_exceeded")

    def test_topic_aliases(self):
        self.limited("topic_aliases_max = 3")
        client, _ = self.comes("fourth")
        client.send(0x30, text("t") + b"\x03\x23\0\x04x")
        self.refused(client, TOPIC_ALIAS_INVALID, "topic_alias_invalid")
        client, _ = self.comes("polite")
        client.send(0xE0, b"\x82\0")  # it says that of us
        self.ended(client, None, "protocol_error")
        self.counted(1, "protocol_errors_total")

    def test_levels_of_a_topic(self):
        self.limited("topic_levels_max = 3")
        client, _ = self.comes("deep")
        self.assertIn(client.publish("a/b/c"), (0, 0x10))
        client.publish("a/b/c/d", qos=0)
        self.refused(client, TOPIC_NAME_INVALID, "topic_name_invalid")

    def test_two_clients_with_one_identifier(self):
        """Take-overs that follow each other are a fight from the fifth one on, or a later one if
        they take their time."""
        self.limited()
        holder, _ = self.comes("one")
        for _ in range(10):
            rival, answer = self.comes("one")
            self.assertEqual(answer, 0)
            self.assertEqual(holder.farewell(), SESSION_TAKEN_OVER)
            holder = rival
        self.counted(10, "takeovers_total")
        self.assertIn(self.value("client_id_fights_total"), range(1, 7))


class Kept(CounterCase):
    """Who stays, and does not get or give all of it."""

    def test_subscriptions_of_a_session(self):
        self.limited("subscriptions_per_session_max = 2", "topic_levels_max = 3")
        client, _ = self.comes("c")
        self.assertEqual(client.subscribe("a", "b", "c", "d"),
                         [1, 1, QUOTA_EXCEEDED, QUOTA_EXCEEDED])
        self.counted(2, "subscriptions_refused_total", reason="quota_exceeded")

    def test_levels_of_a_filter(self):
        self.limited("topic_levels_max = 3")
        client, _ = self.comes("c")
        self.assertEqual(client.subscribe("a/b/c", "a/b/c/d"), [1, QUOTA_EXCEEDED])
        self.counted(1, "subscriptions_refused_total", reason="quota_exceeded")

    def test_messages_a_second(self):
        self.limited("messages_per_second_max = 10")
        client, _ = self.comes("fast")
        begin = time.monotonic()
        client.write(b"".join(b"\x32\x07" + text("t") + struct.pack("!H", number + 1) + b"\0x"
                              for number in range(20)))
        for number in range(20):
            first, body = client.packet()
            self.assertEqual((first, body[:2]), (0x40, struct.pack("!H", number + 1)))
        # One second's worth at once; less for the rest would be no bound.
        self.assertGreaterEqual(time.monotonic() - begin, 0.8)
        self.until(lambda: self.value("reading_pauses_total", reason="rate") >= 1,
                   lambda: "no pause was counted")

    def test_retained_bytes(self):
        self.limited(f'retained_bytes_max = "{int(SHARDS) * 10}KiB"')
        client, _ = self.comes("writer")
        client.send(0x33, text("t") + b"\0\x01\0" + bytes(11_000))
        self.assertEqual(client.packet()[0], 0x40)
        self.counted(1, "messages_dropped_total", reason="retained_limit")
        self.counted(0, "retained_messages")

    def test_room_in_the_store(self):
        """Whose message is not taken is told, and it is counted."""
        self.limited('min_free_bytes = "900TiB"', section="store", data="data")
        retained = text("t") + b"\0\x01\0x"
        client, _ = self.comes("five")
        client.send(0x33, retained)
        self.assertEqual(client.packet()[1][2], QUOTA_EXCEEDED)
        self.counted(1, "messages_refused_total", reason="quota_exceeded")
        answer = self.ask("POST", "/v1/publish/t", "x", {"Retain": "1"}, self.broker.ports[1])
        self.assertEqual(answer.status, 507)
        self.counted(2, "messages_refused_total", reason="quota_exceeded")
        client.send(0x31, text("t") + b"\0x")  # QoS 0
        self.counted(1, "messages_dropped_total", reason="log_full")
        self.assertEqual(self.value("messages_refused_total", reason="quota_exceeded"), 2)
        self.assertEqual(self.value("messages_refused_total", reason="not_committed"), 0)

    def test_bytes_for_a_reader(self):
        """What did not go into its outbox is counted, and all else arrives."""
        self.limited('outbox_bytes_max = "64KiB"')
        slow, _ = self.comes("slow")
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self.assertEqual(slow.subscribe("q", qos=0), [0])
        fast, _ = self.comes("fast")
        total = 300
        for _ in range(total):
            fast.publish("q", bytes(50_000), qos=0)
        self.until(lambda: self.value("messages_dropped_total", reason="outbox_full") +
                   self.value("messages_sent_total", qos="0") == total,
                   lambda: f"sent and dropped are not {total}")
        self.assertGreater(self.value("messages_dropped_total", reason="outbox_full"), 0)
        for _ in range(int(self.value("messages_sent_total", qos="0"))):
            self.assertEqual(slow.message(), ("q", bytes(50_000)))
        slow.send(0xC0, b"")
        self.assertEqual(slow.packet(), (0xD0, b""))


if __name__ == "__main__":
    main()
