#!/usr/bin/env python3
"""What a client has been sent and has not acknowledged when it goes: it does not wait in memory,
and comes again when the client does."""

import struct
import unittest

from store_kit import StoreTest

LARGE = bytes(200_000)
EACH = 20          # messages a session
FIRST, THEN = 30, 60
MIB = 1 << 20


class InFlight(StoreTest):
    @staticmethod
    def unacknowledged(client, count):
        """(packet identifier, first byte of the packet, number in the payload) of messages."""
        got = []
        for _ in range(count):
            first, body = client.receive(3)
            size = struct.unpack("!H", body[:2])[0]
            identifier, = struct.unpack("!H", body[2 + size:4 + size])
            properties = body[4 + size]
            number, = struct.unpack("!I", body[5 + size + properties:9 + size + properties])
            got.append((identifier, first, number))
        return got

    def stage(self, broker, publisher, names):
        """Sessions that have all of it in flight, and are away."""
        seen = {}
        for name in names:
            client = self.session(broker, name, f"own/{name}")
            for number in range(EACH):
                payload = struct.pack("!I", number) + LARGE
                self.assertEqual(publisher.publish(f"own/{name}", payload), 0)
            seen[name] = self.unacknowledged(client, EACH)
            client.close()
        return seen

    @staticmethod
    def resident(broker):
        with open(f"/proc/{broker.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status
                        if line.startswith("VmRSS:"))

    def test_it_waits_on_disk_and_comes_again(self):
        broker = self.broker()
        publisher = broker.client("publisher", clean=True)
        self.stage(broker, publisher, [f"a{i}" for i in range(FIRST)])
        before = self.resident(broker)
        seen = self.stage(broker, publisher, [f"b{i}" for i in range(THEN)])
        grown = self.resident(broker) - before
        self.assertLess(grown, THEN * EACH * len(LARGE) / 2, f"{grown / MIB:.0f} MiB more")
        for name in ("b0", f"b{THEN - 1}"):
            again = self.unacknowledged(broker.client(name), EACH)
            self.assertEqual(again, [(i, first | 8, number) for i, first, number in seen[name]])
        self.end(broker)

    def test_subscription_identifiers_come_again_as_they_were(self):
        broker = self.broker()
        with_identifier = b"\0\x01\x02\x0b\x07"
        client = broker.client("c")
        client.send(0x82, with_identifier + struct.pack("!H", 1) + b"t\x01")
        client.receive(9)
        self.assertEqual(broker.client("publisher", clean=True).publish("t", b"m"), 0)
        first, body = client.receive(3)
        self.assertIn(b"\x0b\x07", body)
        client.send(0x82, b"\0\x02\x02\x0b\x09" + struct.pack("!H", 1) + b"t\x01")
        client.receive(9)
        client.close()
        again = broker.client("c")
        self.assertEqual(again.receive(3), (first | 8, body), "with the identifier it had")
        again.close()
        self.end(broker)

    def test_bytes_in_flight_are_bounded(self):
        broker = self.broker("limits.inflight_bytes_max=500KiB")
        for name, options in (("durable", {}), ("transient", {"expiry": 0, "clean": True})):
            with self.subTest(name):
                client = self.session(broker, name, f"own/{name}", **options)
                publisher = broker.client("publisher", clean=True)
                for number in range(EACH):
                    payload = struct.pack("!I", number) + LARGE
                    self.assertEqual(publisher.publish(f"own/{name}", payload), 0)
                got = self.unacknowledged(client, 3)  # the third goes beyond
                client.send(0xC0, b"")
                self.assertEqual(client.packet()[0], 0xD0, "and no fourth")
                for number in range(3, EACH):
                    client.send(0x40, struct.pack("!H", got[0][0]))
                    got = got[1:] + self.unacknowledged(client, 1)
                    self.assertEqual(got[-1][2], number)
                client.close()
        self.end(broker)


if __name__ == "__main__":
    unittest.main()
