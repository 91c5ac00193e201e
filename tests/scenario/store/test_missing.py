#!/usr/bin/env python3
"""Files of the store that somebody has removed: before a start, and under a running broker."""

import os
import shutil
import unittest

from store_kit import Closed, Refused, StoreTest, stentor

MESSAGES = [b"%d" % number for number in range(150)]


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
