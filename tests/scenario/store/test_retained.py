#!/usr/bin/env python3
"""Retained values on disk: those that expire go, those that a limit refuses do not stay, and none
that was retained is lost by a start with other settings."""

import sqlite3
import struct
import unittest

from store_kit import PATIENCE, StoreTest, text, varint

QUOTA_EXCEEDED = 0x97


class Retained(StoreTest):
    @staticmethod
    def publish(client, topics, payload=b"x", expiry=None):
        """Retained, some at a time; the reason codes of the answers."""
        properties = b"\x02" + struct.pack("!I", expiry) if expiry else b""
        topics = list(topics)
        codes = []
        for begin in range(0, len(topics), 20):
            part = topics[begin:begin + 20]
            for number, topic in enumerate(part, 1):
                client.send(0x33, text(topic) + struct.pack("!H", number) +
                            varint(len(properties)) + properties + payload)
            codes += [client.answer() for _ in part]
        return codes

    def rows(self):
        """Topics of the values in state.db."""
        state = sqlite3.connect(f"file:{self.data}/state.db?mode=ro", uri=True, timeout=PATIENCE)
        try:
            return {row[0].decode() for row in state.execute("SELECT topic FROM retained")}
        finally:
            state.close()

    def retained(self, broker):
        """Topics of what a new subscriber gets; "end" is retained, and the last in their order."""
        client = broker.client("reader", clean=True, expiry=0)
        client.subscribe("#", 1)
        topics = set()
        while "zzz/end" not in topics:
            topics.add(client.message()[0])
        client.close()
        return topics - {"zzz/end"}

    def test_an_expired_value_leaves_the_disk(self):
        broker = self.broker()
        client = broker.client("c")
        topics = [f"t/{i}" for i in range(200)]
        self.publish(client, topics, expiry=1)
        self.publish(client, ["stays"])
        self.wait_until("they go", lambda: self.rows() == {"stays"})
        self.publish(client, topics, expiry=1)
        broker.kill()
        broker = self.broker()
        self.wait_until("they go after a start", lambda: self.rows() == {"stays"})
        self.end(broker)

    def test_expired_values_make_room(self):
        broker = self.broker("store.max_bytes=1MiB")
        client = broker.client("c")
        codes = set()
        for part in range(40):
            codes |= set(self.publish(client, (f"t/{part}/{i}" for i in range(50)), bytes(1000),
                                      expiry=2))
            if QUOTA_EXCEEDED in codes:
                break
        self.assertIn(QUOTA_EXCEEDED, codes)
        self.wait_until("they go", lambda: not self.rows())
        self.wait_until("there is room again",
                        lambda: QUOTA_EXCEEDED not in self.publish(client, ["t"]))
        self.end(broker)

    def test_what_the_limit_refuses_does_not_stay_on_disk(self):
        limit = "limits.retained_messages_max=10"
        broker = self.broker(limit)
        client = broker.client("c")
        self.publish(client, ["zzz/end"])
        self.publish(client, (f"t/{i}" for i in range(100)))
        kept = self.retained(broker)
        self.assertLess(len(kept), 10)
        self.wait_until("the others go", lambda: self.rows() == kept | {"zzz/end"})
        self.end(broker)
        broker = self.broker(limit)
        self.assertEqual(self.retained(broker), kept)
        self.end(broker)

    def test_a_smaller_share_loses_nothing(self):
        limit = "limits.retained_messages_max=41"
        topics = {f"t/{i}" for i in range(40)}
        broker = self.broker(limit, "node.shards=1")
        client = broker.client("c")
        self.publish(client, ["zzz/end", *topics])
        self.assertEqual(self.retained(broker), topics)
        self.end(broker)
        for settings in ((limit, "node.shards=4"), ("limits.retained_messages_max=8",),
                         (limit, "node.shards=1")):
            broker = self.broker(*settings)
            self.assertEqual(self.retained(broker), topics, settings)
            self.end(broker)

    def test_a_value_of_qos_0_that_came_during_the_absence_is_replayed(self):
        broker = self.broker("limits.inflight_maximum=10")
        publisher = broker.client("publisher")
        topics = [f"r/{i:03}" for i in range(40)]
        self.publish(publisher, topics, b"old")
        client = broker.client("reader")
        client.subscribe("r/+", 1)
        for _ in range(10):  # and no more: the window is full
            client.message(acknowledges=False)
        client.close()
        # Of the end of a connection nobody is told; a second one ends the first for certain.
        broker.client("reader").close()
        publisher.publish_only("r/030", b"new", qos=0, retain=True)
        publisher.publish("flush", b"")
        client = broker.client("reader")
        self.assertTrue(client.session_present)
        got = {}
        while len(got) < len(topics):
            topic, payload = client.message()
            got[topic] = payload
        self.assertEqual(got, {topic: b"new" if topic == "r/030" else b"old" for topic in topics})
        self.end(broker)


if __name__ == "__main__":
    unittest.main()
