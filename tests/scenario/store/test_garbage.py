#!/usr/bin/env python3
"""The log is empty again once everybody has got what he waited for, and its files do not grow."""

import os
import time
import unittest

from store_kit import StoreTest

PATIENCE = 60


class Garbage(StoreTest):
    def disk_bytes(self):
        total = 0
        for directory, _, files in os.walk(self.data):
            for name in files:
                try:
                    total += os.path.getsize(os.path.join(directory, name))
                except FileNotFoundError:  # it went meanwhile
                    pass
        return total

    def wait_until(self, what, condition):
        end = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.1)  # a condition of the file system, which nobody announces

    def session(self, broker, name, topic_filter):
        client = broker.client(name)
        client.subscribe(topic_filter, 1)
        return client

    def away(self, broker, name, topic_filter):
        self.session(broker, name, topic_filter).close()

    def test_the_log_is_empty_again_over_ten_rounds(self):
        broker = self.broker()
        self.away(broker, "narrow", "never/published")  # far behind, and needs nothing
        self.away(broker, "c", "t/#")
        publisher = broker.client("publisher")
        payload = bytes(1000)
        sizes = []
        for round_number in range(10):
            for number in range(150):
                self.assertEqual(publisher.publish(f"t/{number % 10}", payload), 0)
            self.assertGreater(self.disk_bytes(), 150_000)
            client = broker.client("c")
            client.messages(150)
            client.close()
            self.wait_until(f"round {round_number}", lambda: self.disk_bytes() < 300_000)
            sizes.append(self.disk_bytes())
        self.assertLess(max(sizes), 300_000)
        self.end(broker)


if __name__ == "__main__":
    unittest.main()
