#!/usr/bin/env python3
"""Who has many subscriptions and is taken over again and again costs the log no more than others.

    STENTOR=... FAILING_DISK=... test_take_over.py
"""
import json
import unittest

from store_kit import StoreTest, stentor, text

FILTERS = 500
TIMES = 10


class TakeOver(StoreTest):
    def records(self, broker):
        """How many there are of each kind, in the log of a broker that is gone."""
        broker.kill()
        done = stentor("store", "dump", "--json", self.data)
        self.assertEqual(done.returncode, 0, done.stderr)
        kinds = {}
        for line in done.stdout.splitlines():
            kind = json.loads(line)["type"]
            kinds[kind] = kinds.get(kind, 0) + 1
        return kinds

    def test_a_take_over_writes_nothing_for_each_subscription(self):
        broker = self.broker()
        client = broker.client("many")
        body = b"\0\1\0" + b"".join(text(f"of/{i}") + b"\1" for i in range(FILTERS))
        client.send(0x82, body)
        client.receive(9)
        # What is asked for is answered when the replays before it have ended.
        client.send(0x82, b"\0\2\0" + text("end") + b"\1")
        broker.client("publisher").publish("end", b"x", retain=True)
        clients = [broker.client("many") for _ in range(TIMES)]
        self.assertTrue(clients[-1].session_present)
        kinds = self.records(broker)
        self.assertGreaterEqual(kinds["attached"], TIMES)
        # Once for each when its replay was over; the connection that was first may have been told
        # of the rest by its successor.
        self.assertLessEqual(kinds.get("retained_replay", 0), 2 * (FILTERS + 1))


if __name__ == "__main__":
    unittest.main()
