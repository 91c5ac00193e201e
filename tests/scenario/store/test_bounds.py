#!/usr/bin/env python3
"""What waits for durable sessions has bounds: who gives way, who keeps everything, what is told."""

import json
import os
import shutil
import time
import unittest

from store_kit import Refused, StoreTest, stentor, told

HELD = 100  # limits.session_backlog_messages_max
BACKLOG = f"limits.session_backlog_messages_max={HELD}"


def libfaketime():
    for place in ("/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime"):
        path = os.path.join(place, "libfaketimeMT.so.1")
        if os.path.exists(path):
            return path
    raise AssertionError("libfaketimeMT.so.1 is missing: install the package faketime")


class Bounds(StoreTest):
    def segments(self):
        return sum(name.endswith(".db") for name in os.listdir(self.data + "/log"))

    def publish(self, client, numbers, topic=lambda number: "rest"):
        """Each number as a payload, some at a time."""
        numbers = list(numbers)
        for begin in range(0, len(numbers), 50):
            part = numbers[begin:begin + 50]
            for number in part:
                client.publish_only(topic(number), b"%d" % number)
            for _ in part:
                self.assertIn(client.answer(), (0, 0x10))

    def numbers_through(self, client, last):
        got = []
        while not got or got[-1] != last:
            got.append(int(client.message()[1]))
        return got

    def lose_some(self, broker, publisher, count=400):
        """Publishes until sessions have lost something; how many messages that were."""
        self.publish(publisher, range(count))
        broker.wait_for_log("session_advanced")
        return count

    def test_the_oldest_are_lost_and_the_client_is_told_once(self):
        broker = self.broker(BACKLOG)
        self.away(broker, "greedy", "#")
        self.away(broker, "modest", "some/of/it")
        publisher = broker.client("publisher")
        self.publish(publisher, range(400), lambda n: "some/of/it" if n % 10 == 0 else "rest")
        broker.wait_for_log("session_advanced")
        greedy = broker.client("greedy")
        got = self.numbers_through(greedy, 399)
        self.assertLess(len(got), 400)
        self.assertGreaterEqual(len(got), HELD)
        self.assertEqual(got, list(range(400 - len(got), 400)), "the newest, without gaps")
        self.assertEqual(told(greedy), (400 - len(got), "backlog_full"))
        greedy.close()
        self.assertIsNone(told(broker.client("greedy")), "it has been told")
        modest = broker.client("modest")
        self.assertIsNone(told(modest))
        self.assertEqual(self.numbers_through(modest, 390), list(range(0, 400, 10)))
        self.end(broker)

    def test_who_could_not_be_told_is_told_when_it_can(self):
        broker = self.broker(BACKLOG)
        self.away(broker, "greedy", "#")
        publisher = broker.client("publisher")
        self.publish(publisher, range(400))
        broker.wait_for_log("session_advanced")
        with self.assertRaises(Refused) as refused:
            broker.client("greedy", packet_bytes_max=10)
        self.assertEqual(refused.exception.reason, 0x95)
        for packet_bytes_max in (40, 75):  # neither property, one of them
            small = broker.client("greedy", packet_bytes_max=packet_bytes_max)
            self.assertIsNone(told(small))
            self.assertNotIn(b"stentor-lost", small.connack)
            small.close()
        greedy = broker.client("greedy")
        lost, reason = told(greedy)
        self.assertEqual(reason, "backlog_full")
        self.assertEqual(self.numbers_through(greedy, 399), list(range(lost, 400)))
        greedy.close()
        self.assertIsNone(told(broker.client("greedy")), "it has been told")
        self.end(broker)

    def test_bytes_count_too(self):
        broker = self.broker("limits.session_backlog_bytes_max=100KiB")
        self.away(broker, "greedy", "#")
        publisher = broker.client("publisher")
        for number in range(60):
            self.assertEqual(publisher.publish("t", b"%d " % number + bytes(5000)), 0)
        advanced = 0  # it is counted while they come, perhaps more than once
        while advanced <= 30:
            advanced += json.loads(broker.wait_for_log("session_advanced"))["messages"]
        greedy = broker.client("greedy")
        lost, reason = told(greedy)
        self.assertEqual(reason, "backlog_full")
        self.assertGreaterEqual(lost, advanced)
        self.assertEqual(int(greedy.message()[1].split()[0]), lost)
        self.assertGreaterEqual(60 - lost, 18, "100 KiB are left")
        self.end(broker)

    def test_a_client_that_does_not_acknowledge_loses_too_but_not_what_is_in_flight(self):
        broker = self.broker(BACKLOG, "limits.inflight_maximum=10")
        slow = self.session(broker, "slow", "#")
        publisher = broker.client("publisher")
        self.lose_some(broker, publisher)
        got = self.numbers_through(slow, 399)
        self.assertEqual(got[:10], list(range(10)), "in flight since before")
        self.assertEqual(got[10:], list(range(410 - len(got), 400)), "then the newest")
        self.assertLess(len(got), 400)
        slow.close()
        again = broker.client("slow")
        self.assertEqual(told(again), (400 - len(got), "backlog_full"))
        again.close()
        self.assertIsNone(told(broker.client("slow")))
        self.end(broker)

    def test_a_client_of_3_1_1_is_spared_nothing_but_user_properties(self):
        broker = self.broker(BACKLOG)
        self.away(broker, "old", "#", version=4)
        publisher = broker.client("publisher")
        self.publish(publisher, range(400))
        self.assertIn("old", broker.wait_for_log("session_advanced"))
        old = broker.client("old", version=4)
        self.assertEqual(old.connack, b"\x01\x00")
        got = self.numbers_through(old, 399)
        self.assertLess(len(got), 400)
        self.assertEqual(got, list(range(400 - len(got), 400)))
        self.end(broker)

    def test_what_is_lost_stays_lost_after_a_kill(self):
        broker = self.broker(BACKLOG, "node.shards=1")
        self.away(broker, "greedy", "#")
        publisher = broker.client("publisher")
        self.lose_some(broker, publisher)
        self.publish(publisher, [400])  # behind the advance, in the one shard's order
        broker.kill()
        broker = self.broker("node.shards=1")
        greedy = broker.client("greedy")
        got = self.numbers_through(greedy, 400)
        self.assertLess(len(got), 401)
        self.assertEqual(got, list(range(401 - len(got), 401)))
        self.end(broker)

    def lost_by_the_log(self, client):
        """What the newest record about the client says that it is to be told; 0: none does."""
        dump = stentor("store", "dump", self.data, "--client", client, "--json").stdout
        lost = [json.loads(line).get("lost") for line in dump.splitlines()]
        return next((messages for messages in reversed(lost) if messages is not None), 0)

    def test_what_was_lost_is_told_after_a_kill_and_only_once(self):
        for shards in ("node.shards=1", "node.shards=2", "node.shards=5"):
            with self.subTest(shards):
                shutil.rmtree(self.data, ignore_errors=True)
                broker = self.broker(BACKLOG, shards)
                self.away(broker, "greedy", "#")
                self.lose_some(broker, broker.client("publisher"))
                self.wait_until("it is in the log", lambda: self.lost_by_the_log("greedy") != 0)
                broker.kill()
                for _ in range(2):  # nobody comes to hear of it
                    broker = self.broker(shards)
                    self.end(broker)
                broker = self.broker(shards)
                greedy = broker.client("greedy")
                got = self.numbers_through(greedy, 399)
                self.assertEqual(told(greedy), (400 - len(got), "backlog_full"))
                # Behind the record that says it has been told, in the order of its shard.
                self.assertEqual(greedy.publish("t", b"400"), 0)
                broker.kill()
                broker = self.broker(shards)
                self.assertIsNone(told(broker.client("greedy")), "it has been told")
                self.end(broker)

    def test_the_bound_holds_across_restarts(self):
        broker = self.broker(BACKLOG)
        self.away(broker, "greedy", "#")
        self.publish(broker.client("publisher"), range(90))
        for begin in range(90, 110, 5):  # never enough at a time to be counted for it
            self.end(broker)
            broker = self.broker(BACKLOG)
            self.publish(broker.client("publisher"), range(begin, begin + 5))
        self.end(broker)
        broker = self.broker(BACKLOG)
        broker.wait_for_log("session_advanced")
        greedy = broker.client("greedy")
        self.assertEqual(told(greedy)[1], "backlog_full")
        self.assertEqual(self.numbers_through(greedy, 109), list(range(10, 110)))
        self.end(broker)

    def test_retained_values_leave_the_log_its_part(self):
        broker = self.broker("store.max_bytes=2MiB", "store.acknowledge_after=os")
        self.away(broker, "gone", "wanted")
        publisher = broker.client("publisher")
        self.publish(publisher, range(10), lambda _: "wanted")
        stored = 0
        for _ in range(2000):
            if any("retained_full" in line for line in broker.lines):
                break
            if publisher.publish(f"values/{stored}", bytes(20_000), retain=True) in (0, 0x10):
                stored += 1
            else:  # the log, too, has them for a while
                time.sleep(0.05)
        self.assertIn("store.max_bytes", broker.wait_for_log("retained_full"))
        self.assertEqual(publisher.publish("values/more", bytes(20_000), retain=True), 0x97)
        self.wait_until("others are welcome",
                        lambda: publisher.publish("others", bytes(20_000)) in (0, 0x10))
        for value in range(stored // 2):
            self.wait_until("clearing is", lambda: publisher.publish(
                f"values/{value}", b"", retain=True) in (0, 0x10))
        self.wait_until("so is a value, again", lambda: publisher.publish(
            "values/more", bytes(20_000), retain=True) in (0, 0x10))
        gone = broker.client("gone")
        self.assertIsNone(told(gone))
        self.assertEqual(self.numbers_through(gone, 9), list(range(10)))
        self.end(broker)

    def test_values_that_have_filled_the_store_can_be_cleared(self):
        broker = self.broker("store.max_bytes=2MiB", "store.acknowledge_after=os",
                             "limits.receive_maximum=200")
        publisher = broker.client("publisher")
        # All at once: they are let in before it is known how much they take of the store.
        for value in range(150):
            publisher.publish_only(f"values/{value}", bytes(20_000), retain=True)
        stored = [value for value in range(150) if publisher.answer() in (0, 0x10)]
        self.assertGreater(len(stored), 50)
        for value in stored:
            self.assertIn(publisher.publish(f"values/{value}", b"", retain=True), (0, 0x10))
        self.wait_until("others are welcome",
                        lambda: publisher.publish("others", bytes(20_000)) in (0, 0x10))
        self.end(broker)

    def test_a_full_store_makes_room_where_the_need_is_oldest(self):
        broker = self.broker("store.max_bytes=2MiB", "store.acknowledge_after=os")
        self.away(broker, "forgotten", "#")
        payload = bytes(4000)
        publisher = broker.client("publisher")
        for number in range(100):
            self.assertEqual(publisher.publish("old", payload), 0)
        self.away(broker, "other", "mine")
        mine = 0
        refused = 0
        for number in range(1500):
            topic, text = ("mine", b"%d" % mine) if number % 50 == 0 else ("rest", payload)
            while publisher.publish(topic, text) not in (0, 0x10):
                refused += 1
                self.assertLess(refused, 10_000)
                time.sleep(0.01)  # refused is not lost: the publisher tries again
            mine += 1 if topic == "mine" else 0
        broker.wait_for_log("session_advanced")
        self.assertLess(self.disk_bytes(), 12 << 20)
        lost, reason = told(broker.client("forgotten"))
        self.assertGreaterEqual(lost, 100)
        self.assertEqual(reason, "log_full")
        other = broker.client("other")  # holds little: spared
        self.assertIsNone(told(other))
        self.assertEqual(self.numbers_through(other, mine - 1), list(range(mine)))
        self.end(broker)

    @unittest.skipIf({"ASAN_OPTIONS", "TSAN_OPTIONS"} & set(os.environ),
                     "sanitizers want to be loaded first")
    def test_what_is_older_than_max_age_is_given_up(self):
        def broker_after(minutes):
            moved = {"LD_PRELOAD": libfaketime(), "FAKETIME": f"+{minutes}m",
                     "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1"}
            return self.broker("store.max_age=1h", environment=moved)

        broker = self.broker("store.max_age=1h")
        self.away(broker, "long-gone", "#", expiry=86400)
        self.publish(broker.client("publisher"), range(20))
        self.end(broker)
        broker = broker_after(30)  # a segment is not used for longer than a quarter of the bound
        self.publish(broker.client("publisher"), [20])
        self.wait_until("another segment", lambda: self.segments() > 1)
        self.end(broker)
        broker = broker_after(100)
        self.publish(broker.client("publisher"), range(21, 25))
        broker.wait_for_log("session_advanced")
        gone = broker.client("long-gone", expiry=86400)
        self.assertEqual(told(gone), (21, "too_old"))
        self.assertEqual(self.numbers_through(gone, 24), list(range(21, 25)))
        self.end(broker)

    def test_a_session_that_nobody_came_back_to_is_said(self):
        broker = self.broker()
        gone = self.session(broker, "gone", "t", expiry=1)
        self.away(broker, "gone_too", "u", expiry=1)
        self.assertEqual(broker.client("publisher").publish("t", b"x"), 0)
        gone.message(acknowledges=False)
        gone.close()
        lines = [json.loads(broker.wait_for_log("session_expired")) for _ in range(2)]
        self.assertEqual({line["client"]: line["unfinished"] for line in lines},
                         {"gone": 1, "gone_too": 0})
        self.end(broker)


if __name__ == "__main__":
    unittest.main()
