#!/usr/bin/env python3
"""$SYS/broker/...: named as Mosquitto names it, retained, for administrators, never in the log."""

import unittest

from http_kit import HttpCase, main

NODE = "sys_interval = '100ms'"
NAMES = """version uptime clients/total clients/connected clients/disconnected clients/maximum
messages/received messages/sent messages/inflight bytes/received bytes/sent
publish/messages/received publish/messages/sent publish/messages/dropped load/messages/received/1min
load/publish/sent/15min load/bytes/received/5min subscriptions/count
store/messages/bytes store/messages/count messages/stored
dropped/queue_full dropped/expired""".split() + ["retained messages/count"]


class Sys(HttpCase):
    LISTENER = '[[listener]]\nurl = "mqtt://127.0.0.1:0"\n'
    AUTH = '[auth]\nanonymous = "never"\npassword_file = "users"\n'

    def setUp(self):
        super().setUp()
        for name in "anna", "boss":
            self.user("add", name, "a")
        self.serve(NODE, "[limits]", "transient_queue_messages_max = 1", self.LISTENER, self.AUTH,
                   '[http]\nadmins = ["password:boss"]')

    def until(self, client, topic, payload):
        while client.message() != (topic, payload):
            pass

    def test_administrators_find_it_retained(self):
        first = self.connected("first", "boss")
        self.assertEqual(first.subscribe("$SYS/#"), [1])
        self.until(first, "$SYS/broker/clients/connected", b"1")
        # All of it again for the next one: it is kept.
        second = self.connected("second", "boss")
        self.assertEqual(second.subscribe("$SYS/broker/#"), [1])
        wanted = {"$SYS/broker/" + name for name in NAMES}
        while wanted:
            topic, payload = second.message()
            wanted.discard(topic)
            if topic.endswith("/version"):
                self.assertRegex(payload, rb"^stentor version \d")
            if topic.endswith("/uptime"):
                self.assertRegex(payload, rb"^\d+ seconds$")

    def test_values_follow_what_happens(self):
        admin = self.connected("admin", "boss")
        self.assertEqual(admin.subscribe("$SYS/broker/clients/connected"), [1])
        self.until(admin, "$SYS/broker/clients/connected", b"1")
        others = [self.connected(f"c{i}") for i in range(4)]
        self.until(admin, "$SYS/broker/clients/connected", b"5")
        for each in others:
            each.close()
        self.until(admin, "$SYS/broker/clients/connected", b"1")

    def test_one_value_by_its_name(self):
        admin = self.connected("admin", "boss")
        self.assertEqual(admin.subscribe("$SYS/broker/version"), [1])
        self.assertEqual(admin.message()[0], "$SYS/broker/version")

    def test_drops_are_told_by_reason(self):
        admin = self.connected("admin", "boss")
        self.assertEqual(admin.subscribe("$SYS/broker/dropped/+"), [1])
        reader = self.connected("reader", window=1)
        self.assertEqual(reader.subscribe("q"), [1])
        writer = self.connected("writer")
        for _ in range(5):  # one is in flight, one waits
            self.assertEqual(writer.publish("q"), 0)
        self.until(admin, "$SYS/broker/dropped/queue_full", b"3")

    def test_nobody_else_may_read_or_write_it(self):
        anna = self.connected("anna")
        self.assertEqual(anna.subscribe("$SYS/#", "$SYS/broker/uptime"), [0x87, 0x87])
        self.assertEqual(anna.subscribe("#"), [1])
        boss = self.connected("boss", "boss")
        self.assertEqual(boss.publish("$SYS/broker/version"), 0x87)
        self.assertEqual(boss.subscribe("$SYS/broker/uptime"), [1])
        for _ in range(2):
            boss.message()
        # "#" does not reach it.
        self.assertEqual(boss.publish("last"), 0)
        self.assertEqual(anna.message()[0], "last")


if __name__ == "__main__":
    main()
