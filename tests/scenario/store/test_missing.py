#!/usr/bin/env python3
"""Files of the store that somebody has removed: before a start, and under a running broker."""

import json
import os
import shutil
import unittest

from store_kit import Closed, Refused, StoreTest, stentor, told

MESSAGES = [b"%d" % number for number in range(150)]
SMALL = "store.segment_bytes=4KiB"
ACCEPT = "store.missing_segments=accept"


class Missing(StoreTest):
    def prepare(self):
        """A broker with a session that is away, for which messages wait."""
        broker = self.broker()
        self.away(broker, "waiting", "t")
        publisher = broker.client("publisher")
        for payload in MESSAGES:
            self.assertEqual(publisher.publish("t", payload), 0)
        publisher.close()
        return broker

    def expect_refused(self, file):
        """A start says which file and what to do, ends, and leaves everything as it is."""
        for _ in range(2):
            broker = self.broker(ready=False)
            self.assertEqual(broker.wait(), 1, broker.end_of_log())
            line = broker.wait_for_log("store_incomplete")
            self.assertIn(file, line)
            self.assertIn("put them back or restore a backup", line)

    def expect_messages(self, broker):
        waiting = broker.patient_client("waiting")
        self.assertTrue(waiting.session_present)
        self.assertEqual(waiting.messages(len(MESSAGES)), MESSAGES)
        waiting.close()

    def publish_into_failure(self, broker):
        try:
            client = broker.client("unlucky")
            self.assertNotIn(client.publish("t", b"unlucky"), (0, 0x10))
        except (Closed, Refused):
            pass

    def remove_state(self):
        for suffix in ("", "-wal", "-shm"):
            os.remove(self.data + "/state.db" + suffix)

    def full_segments(self):
        """All but the newest."""
        names = [name for name in os.listdir(self.data + "/log") if name.endswith(".db")]
        return [self.data + "/log/" + name for name in sorted(names)[:-1]]

    def ended_with_a_gap(self, shards):
        """A session for which messages wait in several files, the second of which is gone."""
        broker = self.broker(SMALL, shards)
        for name in ("waiting", "patient"):
            self.away(broker, name, "t")
        publisher = broker.client("publisher")
        for payload in MESSAGES:
            self.assertEqual(publisher.publish("t", payload), 0)
        publisher.close()
        self.end(broker)
        segments = self.full_segments()
        self.assertGreater(len(segments), 2)
        shutil.move(segments[1], self.directory)
        return segments[1]

    def expect_told(self, broker, name, messages):
        """Gets what there is, and is told at the next CONNACK what there is not."""
        client = broker.patient_client(name)
        got = [client.message()[1]]
        while got[-1] != messages[-1]:
            got.append(client.message()[1])
        client.close()
        self.assertLess(len(got), len(messages))
        self.assertEqual(got, [payload for payload in messages if payload in got], "in order")
        again = broker.client(name)
        self.assertEqual(told(again), (1, "segment_missing"))
        again.close()
        once_more = broker.client(name)
        self.assertIsNone(told(once_more), "it has been told")
        once_more.close()

    def expect_nothing_lost(self, broker, name, payload):
        client = broker.patient_client(name)
        self.assertEqual(client.message()[1], payload)
        client.close()
        again = broker.client(name)
        self.assertIsNone(told(again))
        again.close()

    @staticmethod
    def files_of(broker):
        directory = f"/proc/{broker.process.pid}/fd/"
        names = []
        for number in os.listdir(directory):
            try:
                names.append(os.readlink(directory + number).removesuffix(" (deleted)"))
            except FileNotFoundError:  # closed meanwhile
                pass
        return names

    def test_a_full_file_of_the_log_is_gone(self):
        for shards in ("node.shards=1", "node.shards=2", "node.shards=5"):
            with self.subTest(shards):
                shutil.rmtree(self.data, ignore_errors=True)
                gone = self.ended_with_a_gap(shards)
                self.expect_refused(gone)
                checked = stentor("store", "check", "--json", self.data)
                self.assertEqual(checked.returncode, 1)
                findings = json.loads(checked.stdout)["findings"]
                self.assertIn(gone, [each["file"] for each in findings])
                self.assertRegex(stentor("store", "stats", self.data).stdout, "segments_missing +1")
                shutil.move(os.path.join(self.directory, os.path.basename(gone)), gone)
                broker = self.broker(SMALL, shards)
                self.expect_messages(broker)
                self.end(broker)

    def test_what_was_not_acknowledged_and_is_gone_is_counted_as_such(self):
        """And the client is told so at the next CONNACK, as of what waited."""
        for shards in ("node.shards=1", "node.shards=2", "node.shards=5"):
            with self.subTest(shards):
                shutil.rmtree(self.data, ignore_errors=True)
                broker = self.broker(SMALL, shards)
                self.away(broker, "waiting", "t")  # wants the files
                holder = self.session(broker, "holder", "t")
                publisher = broker.client("publisher")
                self.assertEqual(publisher.publish("t", MESSAGES[0]), 0)
                holder.message(acknowledges=False)
                holder.close()
                for payload in MESSAGES[1:]:
                    self.assertEqual(publisher.publish("t", payload), 0)
                publisher.close()
                self.end(broker)
                os.remove(self.full_segments()[0])
                broker = self.broker(SMALL, shards, ACCEPT)
                holder = broker.client("holder")
                line = json.loads(broker.wait_for_log("message_dropped"))
                self.assertEqual((line["client"], line["reason"], line["messages"]),
                                 ("holder", "segment_missing", 1))
                while holder.message()[1] != MESSAGES[-1]:
                    pass
                holder.close()
                messages, reason = told(broker.client("holder"))
                self.assertEqual((messages >= 1, reason), (True, "segment_missing"))
                self.end(broker)

    def test_a_full_file_that_is_gone_is_accepted(self):
        for shards in ("node.shards=1", "node.shards=2", "node.shards=5"):
            with self.subTest(shards):
                shutil.rmtree(self.data, ignore_errors=True)
                gone = self.ended_with_a_gap(shards)
                broker = self.broker(SMALL, shards, ACCEPT)
                line = json.loads(broker.wait_for_log("segment_missing"))
                self.assertEqual(line["file"], gone)
                self.assertGreater(int(line["messages"]), 0)
                self.expect_told(broker, "waiting", MESSAGES)
                broker.wait_for_log("session_advanced")
                broker.kill()
                broker = self.broker(SMALL, shards)  # once is enough
                self.expect_told(broker, "patient", MESSAGES)
                self.end(broker)
                os.remove(os.path.join(self.directory, os.path.basename(gone)))

    def test_a_full_file_goes_under_a_running_broker(self):
        messages = [b"%d " % number + bytes(4200) for number in range(60)]  # a file for each
        broker = self.broker(SMALL)
        self.away(broker, "waiting", "t")
        self.away(broker, "elsewhere", "other")
        publisher = broker.client("publisher")
        for payload in messages:
            self.assertEqual(publisher.publish("t", payload), 0)
        self.assertEqual(publisher.publish("other", b"other"), 0)
        self.end(broker)
        broker = self.broker(SMALL)  # nothing of it is in memory
        gone = self.full_segments()[1]
        os.remove(gone)
        broker.wait_for_log("segment_missing")
        # What is open can still be read: until those who count what waits have come by all files.
        self.wait_until("it is closed", lambda: gone not in self.files_of(broker))
        self.expect_told(broker, "waiting", messages)
        self.expect_nothing_lost(broker, "elsewhere", b"other")
        self.assertEqual(broker.client("publisher").publish("t", b"more"), 0)
        self.end(broker)

    def test_the_log_is_gone(self):
        self.prepare().kill()
        shutil.move(self.data + "/log", self.directory + "/log")
        self.expect_refused(self.data + "/log")
        self.assertEqual(stentor("store", "check", self.data).returncode, 1)
        shutil.rmtree(self.data + "/log")
        shutil.move(self.directory + "/log", self.data + "/log")
        self.expect_messages(self.broker())

    def test_the_segments_are_gone(self):
        self.end(self.prepare())
        for name in os.listdir(self.data + "/log"):
            os.remove(self.data + "/log/" + name)
        self.expect_refused(self.data + "/log")

    def test_the_state_is_gone(self):
        self.prepare().kill()
        self.remove_state()
        self.expect_refused(self.data + "/state.db")

    def test_all_of_it_is_gone(self):
        self.prepare().kill()
        shutil.rmtree(self.data)
        broker = self.broker()
        self.assertFalse(broker.client("waiting").session_present)

    def test_the_log_goes_under_a_running_broker(self):
        broker = self.prepare()
        shutil.rmtree(self.data + "/log")
        self.publish_into_failure(broker)
        broker.wait_for_log("store_gone")
        broker.wait_for_log("store_waits")
        broker.kill()
        self.expect_refused(self.data + "/log")

    def test_a_write_ahead_log_goes_under_a_running_broker(self):
        broker = self.prepare()
        for name in os.listdir(self.data + "/log"):
            if name.endswith("-wal"):
                os.remove(self.data + "/log/" + name)
        self.publish_into_failure(broker)
        broker.wait_for_log("store_reopened")
        broker.kill()
        self.expect_messages(self.broker())

    def test_the_lock_goes_under_a_running_broker(self):
        broker = self.prepare()
        os.remove(self.data + "/lock")
        second = self.broker(ready=False)
        self.assertEqual(second.wait(), 1, second.end_of_log())
        line = second.wait_for_log("store_in_use")
        self.assertRegex(line, f'"pid":"({broker.process.pid}|unknown)"')
        refused = stentor("store", "check", self.data)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("uses the store", refused.stderr)
        self.expect_messages(broker)
        self.end(broker)
        self.end(self.broker())


if __name__ == "__main__":
    unittest.main()
