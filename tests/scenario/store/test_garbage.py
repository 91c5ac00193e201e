#!/usr/bin/env python3
"""The log is empty again once everybody has got what he waited for, and its files do not grow."""

import unittest

from store_kit import StoreTest


class Garbage(StoreTest):
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
