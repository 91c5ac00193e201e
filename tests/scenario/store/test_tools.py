#!/usr/bin/env python3
"""`stentor store`: backups of a running broker, restored; check, stats and dump."""

import json
import os
import shutil
import threading
import unittest

from store_kit import Closed, StoreTest, stentor


class Load:
    """Publishes numbers until it is ended; knows which were acknowledged when."""

    def __init__(self, broker, name):
        self.client = broker.client(name)
        self.topic = f"t/{name}"
        self.acknowledged = 0
        self.ends = False
        self.error = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while not self.ends:
                number = self.acknowledged + 1
                if self.client.publish(self.topic, b"%d" % number) != 0:
                    raise AssertionError("refused")
                self.acknowledged = number
        except Exception as error:  # told by end()
            self.error = error

    def end(self):
        self.ends = True
        self.thread.join()
        self.client.close()
        if self.error:
            raise self.error


class Tools(StoreTest):
    def store(self, *arguments, code=0):
        done = stentor("store", *arguments)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def json(self, *arguments, code=0):
        return json.loads(self.store(*arguments, "--json", code=code).stdout)

    def waiting_session(self, broker, topic_filter="t/#"):
        waiting = broker.client("waiting")
        waiting.subscribe(topic_filter)
        waiting.close()

    def received(self, broker, wanted):
        """What `waiting` gets until it has had all of `wanted`."""
        waiting = broker.client("waiting")
        self.assertTrue(waiting.session_present)
        got, missing = [], set(wanted)
        while missing:
            got.append(waiting.message())
            missing.discard(got[-1])
        waiting.close()
        return got

    def test_the_start_after_a_kill_ends_the_connections_that_were(self):
        broker = self.broker()
        stays = broker.client("stays")
        broker.kill()
        # What its expiry interval counts from is known to all starts after this one.
        self.end(self.broker())
        self.assertEqual(self.json("stats", self.data)["sessions_connected"], 0)
        stays.close()

    def test_a_backup_under_load_has_what_was_acknowledged_before(self):
        broker = self.broker("store.segment_bytes=64KiB")
        self.waiting_session(broker)
        loads = [Load(broker, f"publisher{number}") for number in range(3)]
        backups = []
        for number in range(4):
            while min(load.acknowledged for load in loads) < 100 * (number + 1):
                os.sched_yield()
                for load in loads:
                    self.assertIsNone(load.error)
            before = {load.topic: load.acknowledged for load in loads}
            directory = f"{self.directory}/backup{number}"
            self.store("backup", self.data, directory)
            backups.append((directory, before))
        for load in loads:
            load.end()
        self.end(broker)
        for directory, before in backups:
            self.assertEqual(self.json("check", directory)["problems"], 0)
            stats = self.json("stats", directory)
            self.assertEqual(stats["last_run"], "a backup not opened yet")
            restored = self.broker(data=directory)
            restored.wait_for_log("store_positions_jump")
            wanted = [(topic, b"%d" % number)
                      for topic, last in before.items() for number in range(1, last + 1)]
            got = self.received(restored, wanted)
            self.assertEqual(len(got), len(set(got)))
            self.end(restored)
            self.assertGreater(self.json("stats", directory)["applied_through"],
                               stats["applied_through"] + 2**47)
            self.assertEqual(self.json("check", directory)["problems"], 0)
        self.assertEqual(self.json("check", self.data)["problems"], 0)

    def test_a_backup_while_a_reader_keeps_the_log_short(self):
        """Segments are removed while they are copied."""
        broker = self.broker("store.segment_bytes=64KiB")
        reader = broker.client("reader")
        reader.subscribe("t/#")
        load = Load(broker, "publisher")
        reads = threading.Thread(target=self.read_to_the_end, args=(reader,))
        reads.start()
        for number in range(4):
            while load.acknowledged < 400 * (number + 1):
                os.sched_yield()
                self.assertIsNone(load.error)
            directory = f"{self.directory}/backup{number}"
            self.store("backup", self.data, directory)
            self.assertEqual(self.json("check", directory)["problems"], 0)
        load.end()
        self.end(broker)
        reads.join()
        reader.close()

    @staticmethod
    def read_to_the_end(client):
        try:
            while True:
                client.message()
        except Closed:
            pass

    def test_a_store_after_kill_is_sound(self):
        broker = self.broker("store.segment_bytes=64KiB")
        self.waiting_session(broker)
        load = Load(broker, "publisher")
        while load.acknowledged < 300:
            os.sched_yield()
        broker.kill()
        load.ends = True
        load.thread.join()
        files = sorted(os.listdir(self.data))
        report = self.json("check", self.data)
        self.assertEqual(report["problems"], 0, report)
        self.assertGreaterEqual(report["log_last"], 300)
        self.store("backup", self.data, self.directory + "/backup")
        self.assertEqual(sorted(os.listdir(self.data)), files)
        for directory in (self.data, self.directory + "/backup"):
            again = self.broker(data=directory)
            self.received(again, [("t/publisher", b"%d" % number)
                                  for number in range(1, load.acknowledged + 1)])
            self.end(again)

    def test_damage_is_found_and_named(self):
        broker = self.broker()
        self.waiting_session(broker)
        publisher = broker.client("publisher")
        for number in range(50):
            publisher.publish("t/x", b"marker%d" % number * 100)
        publisher.close()
        self.end(broker)
        segment = f"{self.data}/log/{sorted(os.listdir(self.data + '/log'))[0]}"
        with open(segment, "r+b") as file:
            at = file.read().index(b"marker25marker25")
            file.seek(at)
            file.write(b"M")
        report = self.json("check", self.data, code=1)
        self.assertEqual(report["findings"][0]["file"], segment)
        self.assertIn("row", report["findings"][0])
        self.assertIn("hint", report["findings"][0])
        text = self.store("check", self.data, code=1).stdout
        self.assertIn(segment, text)
        done = self.store("dump", self.data, code=1)
        self.assertIn("damaged", done.stderr)
        self.assertGreater(done.stdout.count("type=message"), 40)

    def test_a_running_broker_is_named_by_check_and_shown_by_the_others(self):
        broker = self.broker()
        self.waiting_session(broker)
        publisher = broker.client("publisher")
        publisher.publish("t/x", b"secret")
        done = self.store("check", self.data, code=1)
        self.assertIn(f"process {broker.process.pid}", done.stderr)
        self.assertTrue(self.json("stats", self.data)["running"])
        lines = self.store("dump", self.data, "--topic", "t/+").stdout.splitlines()
        self.assertEqual(len(lines), 1)
        self.assertIn("topic=t/x", lines[0])
        self.assertNotIn("secret", lines[0])
        shown = self.store("dump", self.data, "--json", "--payload", "3").stdout.splitlines()
        payloads = [json.loads(line).get("payload") for line in shown]
        self.assertIn("sec...", payloads)
        publisher.close()
        self.end(broker)

    def test_usage(self):
        self.assertEqual(stentor("store").returncode, 2)
        self.assertEqual(stentor("store", "chek", "x").returncode, 2)
        self.assertEqual(stentor("store", "check").returncode, 2)
        self.assertEqual(stentor("store", "dump", self.directory, "--topic", "a#").returncode, 2)
        self.store("check", self.directory, code=1)
        self.store("backup", self.directory, self.directory + "/b", code=1)
        for command in ("check", "backup", "stats", "dump"):
            self.assertIn("Usage:", self.store(command, "--help").stdout)

    def test_a_store_of_a_newer_version_is_refused(self):
        self.end(self.broker())
        shutil.copytree(self.data, self.directory + "/newer")
        with open(self.directory + "/newer/state.db", "r+b") as file:
            file.seek(60)  # user_version
            file.write((99).to_bytes(4, "big"))
        broker = self.broker(data=self.directory + "/newer", ready=False)
        self.assertEqual(broker.wait(), 1)
        log = "".join(broker.lines)
        self.assertIn("newer", log)
        self.assertRegex(log, r"format 99, this program knows \d")
        self.assertIn("run the version that wrote it", log)
        checked = self.check(self.directory + "/newer", code=1)
        self.assertIn(f"error: {self.directory}/newer/state.db: ", checked.stderr)
        self.assertIn("use the version that wrote it", checked.stderr)
        done = self.store("stats", self.directory + "/newer", code=1)
        self.assertIn("newer", done.stderr)

    def test_serve_and_check_say_what_to_do_about_damage(self):
        self.assertNotIn("\nstore ", self.check(self.data).stdout)
        broker = self.broker()
        running = self.check(self.data).stdout
        self.assertIn("\nstore         of this version, 1 files of the log (in use by", running)
        self.end(broker)
        self.assertNotIn("in use", self.check(self.data).stdout)
        with open(self.data + "/state.db", "r+b") as file:
            file.write(b"no database at all")
        broker = self.broker(ready=False)
        self.assertEqual(broker.wait(), 1)
        log = "".join(broker.lines)
        self.assertIn(f"cannot open the store in {self.data}: stored data is damaged", log)
        self.assertIn(f"`stentor store check {self.data}` says what is damaged", log)
        self.assertIn("restore a backup", log)
        self.assertIn("restore a backup", self.check(self.data, code=1).stderr)

    def check(self, directory, code=0):
        done = stentor("check", "--listen", "mqtt://127.0.0.1:0", "--data", directory)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done


if __name__ == "__main__":
    unittest.main()
