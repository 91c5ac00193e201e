#!/usr/bin/env python3
"""The disk fails, or a file is damaged: what clients are told, and how it goes on."""

import errno
import json
import os
import random
import shutil
import unittest

from store_kit import STENTOR, Closed, FailingDisk, Refused, StoreTest

SERVER_UNAVAILABLE, SERVER_BUSY = 0x88, 0x89
NOBODY = 65534
TAKEN = (0, 0x10)  # 0x10: nobody has subscribed


class FailingDiskTest(StoreTest):
    def setUp(self):
        super().setUp()
        self.disk = FailingDisk(self.data)

    def failing_broker(self, *settings):
        return self.broker(*settings, environment=self.disk.environment())

    def prepare(self, *settings):
        """A broker, and a session that waits for `t` while it is away."""
        broker = self.failing_broker(*settings)
        waiting = broker.client("waiting")
        waiting.subscribe("t", 1)
        waiting.close()
        return broker

    def expect_all(self, broker, acknowledged):
        waiting = broker.patient_client("waiting")
        self.assertTrue(waiting.session_present)
        got = []
        while len(set(got) & set(acknowledged)) < len(acknowledged):
            got.append(waiting.message()[1])
        self.assertEqual([payload for payload in got if payload in acknowledged], acknowledged)
        waiting.close()


class Failure(FailingDiskTest):
    def publish_until_it_fails(self, client):
        """Payloads that were acknowledged; the reason of the end."""
        acknowledged = []
        number = 0
        try:
            while True:
                payload = str(number).encode()
                client.publish_only("t", payload)
                first, body = client.packet()
                if first >> 4 == 14:
                    return acknowledged, body[0] if body else 0
                if len(body) == 2 or body[2] == 0:
                    acknowledged.append(payload)
                number += 1
        except Closed:
            return acknowledged, None

    def fails_and_recovers(self, fault, version=5, settings=()):
        broker = self.prepare(*settings)
        client = broker.client("publisher", version=version)
        for number in range(20):
            self.assertEqual(client.publish("t", b"before %d" % number), 0)
        self.disk.fail(**fault)
        acknowledged, reason = self.publish_until_it_fails(client)
        client.close()
        self.assertIn(reason, (None,) if version == 4 else (SERVER_BUSY, None))
        broker.wait_for_log("store_failed")
        self.disk.heal()
        broker.wait_for_log("store_reopened")
        again = broker.patient_client("publisher", version=version)
        self.assertEqual(again.publish("t", b"after"), 0)
        before = [b"before %d" % number for number in range(20)]
        self.expect_all(broker, before + acknowledged + [b"after"])
        again.close()
        self.end(broker)

    def test_a_failed_sync(self):
        self.fails_and_recovers({"syncs": 1})

    def test_a_failed_sync_and_311(self):
        self.fails_and_recovers({"syncs": 1}, version=4)

    def test_a_failed_write(self):
        self.fails_and_recovers({"writes": 1})

    def test_a_failed_sync_without_synced_acknowledgements(self):
        self.fails_and_recovers({"syncs": 1}, settings=["store.acknowledge_after=os"])

    def test_a_disk_that_stays_broken_for_a_while(self):
        broker = self.prepare()
        client = broker.client("publisher")
        self.assertEqual(client.publish("t", b"before"), 0)
        self.disk.fail(syncs=-1, writes=-1, opens=-1)
        acknowledged, _ = self.publish_until_it_fails(client)
        self.assertEqual(acknowledged, [])
        client.close()
        broker.wait_for_log("store_waits")
        broker.wait_for_log("store_waits")
        for version, reason in ((5, SERVER_UNAVAILABLE), (4, 3)):
            with self.assertRaises(Refused) as refused:
                broker.client("publisher", version=version)
            self.assertEqual(refused.exception.reason, reason)
        self.disk.heal()
        broker.wait_for_log("store_reopened")
        again = broker.patient_client("publisher")
        self.assertEqual(again.publish("t", b"after"), 0)
        again.close()
        self.expect_all(broker, [b"before", b"after"])
        self.end(broker)

    def test_it_can_be_stopped_while_the_disk_is_broken(self):
        broker = self.prepare()
        client = broker.client("publisher")
        self.disk.fail(syncs=-1, writes=-1, opens=-1)
        self.publish_until_it_fails(client)
        client.close()
        broker.wait_for_log("store_waits")
        self.end(broker)

    def test_everybody_comes_back_with_what_is_theirs(self):
        broker = self.failing_broker()
        names = [f"client{number}" for number in range(20)]
        clients = [broker.client(name) for name in names]
        for name, client in zip(names, clients):
            client.subscribe(f"to/{name}", 2)
            self.assertIn(client.publish(f"kept/{name}", name.encode(), retain=True), TAKEN)
        passing = broker.client("passing", clean=True)
        self.assertIn(passing.publish("kept/more", b"x", retain=True), TAKEN)
        self.disk.fail(syncs=1)
        with self.assertRaises(Closed):
            while True:
                passing.publish("kept/more", b"x", retain=True)
        for client in [*clients, passing]:
            client.ending()
        broker.wait_for_log("store_reopened")
        clients = [broker.patient_client(name) for name in names]
        for name, client in zip(names, clients):
            self.assertTrue(client.session_present)
            self.assertEqual(client.publish(f"to/{name}", b"hello"), 0)
            self.assertEqual(client.message(), (f"to/{name}", b"hello"))
        clients[0].subscribe("kept/#")
        kept = {payload for payload in clients[0].messages(len(names) + 1) if payload != b"x"}
        self.assertEqual(kept, {name.encode() for name in names})
        for client in clients:
            client.close()
        self.end(broker)

    def test_failure_after_failure(self):
        broker = self.prepare()
        acknowledged = []
        for round_number in range(4):
            client = broker.patient_client("publisher")
            payload = b"round %d" % round_number
            self.assertEqual(client.publish("t", payload), 0)
            acknowledged.append(payload)
            self.disk.fail(**({"syncs": 1} if round_number % 2 else {"writes": 1}))
            more, _ = self.publish_until_it_fails(client)
            acknowledged += [b"%s" % payload for payload in more]
            client.close()
            broker.wait_for_log("store_reopened")
        waiting = broker.patient_client("waiting")
        got = [waiting.message()[1]]
        while got[-1] != b"round 3":
            got.append(waiting.message()[1])
        for round_number in range(4):
            self.assertIn(b"round %d" % round_number, got)
        waiting.close()
        self.end(broker)


class Gone(StoreTest):
    def test_nothing_is_acknowledged_once_the_store_is_gone(self):
        broker = self.broker()
        client = broker.client("publisher")
        client.subscribe("t")
        self.assertEqual(client.publish("t", b"before"), 0)
        saved = self.directory + "/saved"
        os.rename(self.data, saved)
        with self.assertRaises(Closed):
            reasons = [client.publish("t", b"lost") for _ in range(100)]
            self.assertNotIn(0, reasons)
        client.close()
        broker.wait_for_log("store_gone")
        broker.wait_for_log("store_waits")
        self.assertFalse(os.path.exists(self.data), "an empty store in its place")
        with self.assertRaises(Refused) as refused:
            broker.client("publisher")
        self.assertEqual(refused.exception.reason, SERVER_UNAVAILABLE)
        os.rename(saved, self.data)
        broker.wait_for_log("store_reopened")
        again = broker.patient_client("publisher")
        self.assertTrue(again.session_present)
        self.assertEqual(again.publish("t", b"after"), 0)
        again.close()
        self.end(broker)

    def test_an_idle_broker_notices_too(self):
        broker = self.broker()
        client = broker.client("idle")
        shutil.rmtree(self.data)
        broker.wait_for_log("store_failed")
        self.assertEqual(client.ending(), SERVER_BUSY)
        self.end(broker)


class Opening(StoreTest):
    def refused(self, *wanted, data=None):
        broker = self.broker(data=data, ready=False)
        code = broker.wait()
        self.assertEqual(code, 1, broker.end_of_log())
        for words in wanted:
            self.assertIn(words, "".join(broker.lines))

    def test_a_file_in_its_place(self):
        with open(self.data, "w", encoding="ascii") as file:
            file.write("x")
        self.refused(self.data, "Not a directory")

    def test_a_missing_parent_is_made(self):
        broker = self.broker(data=self.directory + "/a/b/c")
        self.end(broker)

    def test_a_second_broker(self):
        broker = self.broker()
        self.refused(f"{broker.process.pid}", "another process")
        self.end(broker)

    def nobodys_broker(self, ready):
        os.chmod(self.directory, 0o755)
        # Of a checkout in /root others cannot start anything.
        program = shutil.copy(STENTOR, self.directory + "/program")
        return self.broker(ready=ready, environment={}, user=NOBODY, program=program)

    @unittest.skipIf(os.geteuid() != 0, "needs another user to refuse")
    def test_a_directory_of_somebody_else(self):
        os.mkdir(self.data, 0o700)
        broker = self.nobodys_broker(ready=False)
        self.assertEqual(broker.wait(), 1)
        self.assertIn("Permission denied", "".join(broker.lines))

    @unittest.skipIf(os.geteuid() != 0, "needs another user to refuse")
    def test_a_write_ahead_log_of_somebody_else(self):
        os.mkdir(self.data)
        os.chown(self.data, NOBODY, NOBODY)
        broker = self.nobodys_broker(ready=True)
        self.session(broker, "client", "t").close()
        broker.kill()
        name, = (name for name in os.listdir(self.data + "/log") if name.endswith("-wal"))
        os.chown(f"{self.data}/log/{name}", 0, 0)
        os.chmod(f"{self.data}/log/{name}", 0o600)
        broker = self.nobodys_broker(ready=False)
        self.assertEqual(broker.wait(), 1)
        line = json.loads(broker.wait_for_log("store_error"))
        self.assertEqual(line["file"], f"{self.data}/log/{name}")
        self.assertIn("Permission denied", line["msg"])
        self.assertIn("chown", line["msg"])


class FullAtStart(FailingDiskTest):
    def waiting_messages(self):
        """What a broker has acknowledged that was killed."""
        broker = self.prepare("store.segment_bytes=64KiB")
        client = broker.client("publisher")
        payloads = [b"%03d" % number + b"x" * 1500 for number in range(100)]
        for payload in payloads:
            self.assertEqual(client.publish("t", payload), 0)
        client.close()
        broker.kill()
        return payloads

    def waits_for_room(self):
        """A starting broker, if it does."""
        broker = self.broker(environment=self.disk.environment(), ready=False)
        broker.wait_for_door()
        _, line = broker.find(lambda line: "store_waits" in line or '"event":"ready"' in line,
                              0, "it waits, or is ready")
        return broker, "store_waits" in line

    def test_whichever_write_of_a_start_finds_no_room(self):
        """STENTOR_FAILURE_STEP=n: every nth."""
        payloads = self.waiting_messages()
        step = int(os.environ.get("STENTOR_FAILURE_STEP", "12"))
        write = random.randint(1, step)
        waits, saved = True, self.directory + "/saved"
        shutil.copytree(self.data, saved)
        while waits:
            with self.subTest(write=write):
                shutil.rmtree(self.data)
                shutil.copytree(saved, self.data)
                self.disk.fail(full_from=write)
                broker, waits = self.waits_for_room()
                if waits:
                    with self.assertRaises(Refused) as refused:
                        broker.client("waiting")
                    self.assertEqual(refused.exception.reason, SERVER_UNAVAILABLE)
                self.disk.heal()
                self.assertTrue(broker.wait_until_ready())
                self.expect_all(broker, payloads)
                self.end(broker)
            write += step

    def test_whichever_sync_of_a_start_fails(self):
        """For want of room, as on a thin volume or a share, or because the disk does."""
        payloads = self.waiting_messages()
        step = int(os.environ.get("STENTOR_FAILURE_STEP", "6"))
        before = random.randrange(step)
        waits, saved = True, self.directory + "/saved"
        shutil.copytree(self.data, saved)
        while waits:
            error, remedy = random.choice(((errno.ENOSPC, "make room on the disk"),
                                           (errno.EDQUOT, "make room on the disk"),
                                           (errno.EIO, "dmesg")))
            with self.subTest(syncs_before=before, error=error):
                shutil.rmtree(self.data)
                shutil.copytree(saved, self.data)
                self.disk.fail(syncs=-1, syncs_before=before, error=error)
                broker, waits = self.waits_for_room()
                if waits:
                    cause = next(line for line in broker.lines if '"store_error"' in line)
                    self.assertTrue(json.loads(cause)["file"].startswith(self.data), cause)
                    self.assertIn(remedy, cause)
                    self.assertTrue(any("store_waits" in line and remedy in line
                                        for line in broker.lines), broker.end_of_log())
                    with self.assertRaises(Refused) as refused:
                        broker.client("waiting")
                    self.assertEqual(refused.exception.reason, SERVER_UNAVAILABLE)
                self.disk.heal()
                self.assertTrue(broker.wait_until_ready())
                self.expect_all(broker, payloads)
                self.end(broker)
            before += step

    def test_where_there_is_no_store_yet_a_failing_disk_ends_it(self):
        self.disk.fail(syncs=-1, error=errno.ENOSPC)
        broker = self.broker(environment=self.disk.environment(), ready=False)
        self.assertEqual(broker.wait(), 1, broker.end_of_log())
        end = json.loads(broker.wait_for_log("start_failed"))
        self.assertIn(self.data, end["msg"])
        self.assertIn("make room on the disk", end["msg"])

    def test_it_can_be_stopped_while_it_waits(self):
        payloads = self.waiting_messages()
        self.disk.fail(full_from=1)
        broker, waits = self.waits_for_room()
        self.assertTrue(waits)
        self.end(broker)
        self.disk.heal()
        broker = self.failing_broker()
        self.expect_all(broker, payloads)
        self.end(broker)

    def test_a_damaged_store_is_refused_all_the_same(self):
        self.waiting_messages()
        with open(self.data + "/state.db", "r+b") as file:
            file.write(b"x" * 5000)
        os.remove(self.data + "/state.db-wal")
        self.disk.fail(full_from=1)
        broker = self.broker(environment=self.disk.environment(), ready=False)
        self.assertEqual(broker.wait(), 1, broker.end_of_log())
        self.assertIn("damaged", "".join(broker.lines))


class DamagedFile(StoreTest):
    def damage(self, payload):
        """In the one file of the log that has it."""
        for name in sorted(os.listdir(self.data + "/log")):
            path = f"{self.data}/log/{name}"
            with open(path, "r+b") as file:
                at = file.read().find(payload)
                if at >= 0:
                    file.seek(at)
                    file.write(b"#")
                    return name
        return self.fail(f"{payload} is nowhere")

    def test_what_one_client_has_not_acknowledged_throws_nobody_out(self):
        small = ("node.shards=1", "store.segment_bytes=16KiB")
        broker = self.broker(*small)
        holder = self.session(broker, "holder", "h")
        self.away(broker, "away", "a")
        publisher = broker.client("publisher")
        publisher.publish("h", b"to be damaged")
        holder.message(acknowledges=False)
        for number in range(150):
            publisher.publish("a", b"%d " % number + bytes(200))
        holder.close()
        self.end(broker)
        name = self.damage(b"to be damaged")
        broker = self.broker(*small)
        bystander = broker.client("bystander")
        broker.client("away").messages(150)
        self.assertIn(name, broker.wait_for_log("segment_damaged"))
        # What is consumed goes, that file stays, and so does everybody.
        self.wait_until("the others go", lambda: sum(
            each.endswith(".db") for each in os.listdir(self.data + "/log")) <= 2)
        self.assertIn(name, os.listdir(self.data + "/log"))
        self.assertIn(bystander.publish("a", b"more"), (0, 0x10))
        self.assertFalse([line for line in broker.lines if "store_failed" in line])
        self.end(broker)


if __name__ == "__main__":
    unittest.main()
