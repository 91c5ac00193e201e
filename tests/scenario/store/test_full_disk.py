#!/usr/bin/env python3
"""The store of the real binary on a small disk that fills up, or may only be read: a tmpfs of this
test's own.

Needs to be root or to have user namespaces; without either it is skipped and says so.
"""

import fcntl
import json
import os
import subprocess
import sys
import time
import unittest

from store_kit import Closed, PATIENCE, Refused, StoreTest
from own_mounts import may_mount

QUOTA_EXCEEDED = 0x97
MIB = 1 << 20


class OwnDiskTest(StoreTest):
    def setUp(self):
        super().setUp()
        self.disk = self.directory + "/disk"
        os.mkdir(self.disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", self.disk], check=True)
        self.stack.callback(subprocess.run, ["umount", "-l", self.disk], check=True)
        self.data = self.disk + "/data"


class FullDisk(OwnDiskTest):
    def free_bytes(self):
        space = os.statvfs(self.disk)
        return space.f_bavail * space.f_frsize

    def fill_disk(self, left):
        with open(self.disk + "/ballast", "ab", buffering=0) as file:
            while (size := self.free_bytes() - left) > 0:
                try:
                    file.write(bytes(min(size, MIB)))
                except OSError:
                    return

    def empty_disk(self):
        os.remove(self.disk + "/ballast")

    def away(self, broker, name="waiting", topic_filter="t"):
        client = broker.client(name)
        client.subscribe(topic_filter)
        client.close()

    def publish_until_refused(self, client):
        taken = []
        for number in range(100_000):
            payload = b"%06d" % number + b"x" * 20_000
            reason = client.publish("t", payload)
            if reason != 0:
                self.assertEqual(reason, QUOTA_EXCEEDED)
                return taken
            taken.append(payload[:6])
        self.fail("never refused")

    def publish_until_taken(self, broker, name, payload):
        until = time.monotonic() + PATIENCE
        while True:
            client = broker.patient_client(name)
            try:
                if client.publish("t", payload) == 0:
                    return
            except Closed:
                pass
            finally:
                client.close()
            self.assertLess(time.monotonic(), until, "there is room again")

    def test_publishes_are_refused_before_the_disk_is_full(self):
        broker = self.broker("store.min_free_bytes=8MiB", "store.segment_bytes=1MiB")
        self.away(broker)
        publisher = broker.client("publisher")
        taken = self.publish_until_refused(publisher)
        broker.wait_for_log("disk_low")
        self.assertGreater(len(taken), 10)
        self.assertGreater(self.free_bytes(), 0)
        # What frees room goes on: sessions come, subscribe and acknowledge.
        other = broker.client("other")
        self.assertEqual(other.subscribe("other"), 1)
        other.close()
        old = broker.client("old", version=4)
        with self.assertRaises(Closed):
            for _ in range(1200):  # some may still fit: sealing gives room back, but not a disk's
                old.publish("other", b"x" * 20_000)
        waiting = broker.client("waiting")
        self.assertEqual([payload[:6] for payload in waiting.messages(len(taken))], taken)
        until = time.monotonic() + PATIENCE
        while publisher.publish("t", b"x" * 20_000) != 0:
            self.assertLess(time.monotonic(), until, "what was consumed is removed")
        self.assertEqual(waiting.message()[1], b"x" * 20_000)
        broker.wait_for_log("disk_ok")
        waiting.close()
        publisher.close()
        self.end(broker)

    def test_a_will_needs_no_room(self):
        broker = self.broker("store.min_free_bytes=8MiB", "node.shards=1")
        self.away(broker, "waiting", "will")
        dying = broker.client("dying", will=("will", "gone"))
        publisher = broker.client("publisher")
        self.fill_disk(5 * MIB)
        self.assertEqual(publisher.publish("will", b"refused"), QUOTA_EXCEEDED)
        dying.close()
        # Nobody else's records fail with it.
        for number in range(20):
            other = broker.client(f"other{number}")
            self.assertEqual(other.subscribe(f"other/{number}"), 1)
            other.close()
        self.assertEqual(broker.client("waiting").message()[1], b"gone")
        self.end(broker)

    def test_what_nobody_acknowledges_is_counted_when_there_is_no_room(self):
        broker = self.broker("store.min_free_bytes=8MiB", "logging.format=json")
        publisher = broker.client("publisher")
        self.fill_disk(5 * MIB)
        publisher.publish_only("value", b"1", qos=0, retain=True)
        line = json.loads(broker.wait_for_log("message_dropped"))
        self.assertEqual((line["client"], line["reason"], line["messages"]),
                         ("publisher", "log_full", 1))
        self.end(broker)

    def test_a_full_disk_does_not_keep_the_broker_from_stopping(self):
        broker = self.broker()
        self.away(broker, "waiting", "will")
        clients = [broker.client(f"client{n}", will=("will", "gone")) for n in range(5)]
        self.fill_disk(0)
        self.end(broker)
        del clients
        self.empty_disk()
        again = self.broker()
        waiting = again.client("waiting")
        self.assertEqual([payload for payload in waiting.messages(5)], [b"gone"] * 5)
        self.end(again)

    def test_a_disk_that_others_fill(self):
        broker = self.broker()
        self.away(broker)
        publisher = broker.client("publisher")
        self.assertEqual(publisher.publish("t", b"before"), 0)
        self.fill_disk(0)
        taken = [b"before"]
        try:
            for number in range(200):
                payload = b"%06d" % number + b"x" * 20_000
                if publisher.publish("t", payload) == 0:
                    taken.append(payload[:6])
        except Closed:
            pass
        self.assertLess(len(taken), 200)
        broker.wait_for_log("disk_full")
        publisher.close()
        try:
            broker.client("new").close()
        except Refused as refused:
            self.assertEqual(refused.reason, 0x88)
        self.empty_disk()
        self.publish_until_taken(broker, "publisher", b"after")
        waiting = broker.patient_client("waiting")
        got = [payload[:6] for payload in waiting.messages(len(taken) + 1)]
        self.assertEqual(got, taken + [b"after"])
        waiting.close()
        self.end(broker)

    def test_a_full_disk_at_kill_loses_nothing(self):
        broker = self.broker()
        self.away(broker)
        publisher = broker.client("publisher")
        self.fill_disk(200_000)
        taken = []
        try:
            for number in range(200):
                payload = b"%06d" % number + b"x" * 5_000
                if publisher.publish("t", payload) == 0:
                    taken.append(payload[:6])
        except Closed:
            pass
        broker.kill()
        self.empty_disk()
        again = self.broker()
        waiting = again.client("waiting")
        self.assertEqual([payload[:6] for payload in waiting.messages(len(taken))], taken)
        waiting.close()
        self.end(again)

    def waits_for_room_at_the_start(self, stop):
        broker = self.broker()
        self.away(broker)
        publisher = broker.client("publisher")
        payloads = [b"%06d" % number + b"x" * 20_000 for number in range(100)]
        for payload in payloads:
            self.assertEqual(publisher.publish("t", payload), 0)
        publisher.close()
        stop(broker)
        self.fill_disk(0)
        again = self.broker(ready=False)
        again.wait_for_door()
        waits = again.wait_for_log("store_waits")
        self.assertIn("make room", waits)
        with self.assertRaises(Refused) as refused:
            again.client("waiting")
        self.assertEqual(refused.exception.reason, 0x88)
        # `stentor store check`, say, looks what is there.
        tool = os.open(self.data, os.O_RDONLY)
        self.stack.callback(os.close, tool)
        fcntl.flock(tool, fcntl.LOCK_EX)
        again.wait_for_log("another process")
        self.empty_disk()
        fcntl.flock(tool, fcntl.LOCK_UN)
        self.assertTrue(again.wait_until_ready(), again.end_of_log())
        again.wait_for_log("store_opened")
        waiting = again.client("waiting")
        self.assertTrue(waiting.session_present)
        self.assertEqual(waiting.messages(len(payloads)), payloads)
        waiting.close()
        self.end(again)

    def test_a_killed_broker_that_finds_no_room_waits(self):
        self.waits_for_room_at_the_start(lambda broker: broker.kill())

    def test_a_stopped_broker_that_finds_no_room_waits(self):
        self.waits_for_room_at_the_start(self.end)

    def test_no_room_to_begin(self):
        self.fill_disk(0)
        broker = self.broker(ready=False)
        self.assertEqual(broker.wait(), 1)
        self.assertIn("store", "".join(broker.lines))
        self.empty_disk()
        self.end(self.broker())


class ReadOnlyDisk(OwnDiskTest):
    """Between two runs, as a system does with a disk that has errors."""

    def remount(self, how):
        subprocess.run(["mount", "-o", f"remount,{how}", self.disk], check=True)

    def refused(self, remedy):
        """A start is, and says what, why, and what to do."""
        broker = self.broker(ready=False)
        self.assertEqual(broker.wait(), 1, broker.end_of_log())
        cause = json.loads(broker.wait_for_log("store_error"))
        self.assertEqual(cause["level"], "error")
        self.assertTrue(cause["file"].startswith(self.data), cause)
        self.assertIn("Read-only file system", cause["msg"])
        end = json.loads(broker.wait_for_log("start_failed"))
        self.assertIn(self.data, end["msg"])
        self.assertIn(remedy, end["msg"])
        self.assertIn("--data DIR", end["msg"])

    def all_is_there(self, payloads):
        broker = self.broker()
        waiting = broker.client("waiting")
        self.assertTrue(waiting.session_present)
        self.assertEqual([waiting.message()[1] for _ in payloads], payloads)
        waiting.subscribe("kept")
        self.assertEqual(waiting.message(), ("kept", b"retained"))
        waiting.close()
        self.end(broker)

    def refused_and_back(self, ends):
        broker = self.broker()
        self.away(broker, "waiting", "t")
        publisher = broker.client("publisher")
        self.assertEqual(publisher.publish("kept", b"retained", retain=True), 0x10)  # no reader
        payloads = [b"%d" % number for number in range(20)]
        for payload in payloads:
            self.assertEqual(publisher.publish("t", payload), 0)
        publisher.close()
        ends(broker)
        self.remount("ro")
        for _ in range(2):
            self.refused("let this user write to the directory")
        self.remount("rw")
        self.all_is_there(payloads)

    def test_after_a_stop(self):
        self.refused_and_back(self.end)

    def test_after_a_kill(self):
        self.refused_and_back(lambda broker: broker.kill())

    def test_where_there_is_no_store_yet(self):
        self.remount("ro")
        self.refused("give a directory that this user can make")
        self.remount("rw")
        self.end(self.broker())


if __name__ == "__main__":
    if not may_mount():
        print("SKIPPED: no disk of our own may be mounted here", file=sys.stderr)
        sys.exit(0)
    unittest.main()
