#!/usr/bin/env python3
"""What a service manager hears from the real binary: start, status, reload, watchdog, end."""

import pathlib
import signal
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "access"))
from access_kit import PATIENCE, SHARDS, STENTOR, Client  # noqa: E402
from broker import BrokerProcess  # noqa: E402
from service import NotifySocket, StoppedThread, may_trace  # noqa: E402

ROUND = 0.2  # WATCHDOG_USEC in seconds: status lines come in its rounds, too


class NotifyCase(unittest.TestCase):
    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.dir = pathlib.Path(temp.name)
        self.told = NotifySocket(self.dir, PATIENCE)
        self.addCleanup(self.told.close)
        self.config = self.dir / "stentor.toml"
        self.write("")

    def write(self, more):
        self.config.write_text(f"""
[node]
data_dir = "{self.dir}/data"
shards = {SHARDS}
[store]
min_free_bytes = "1MiB"
[[listener]]
url = "mqtt://127.0.0.1:0"
{more}""")

    def serve(self, watchdog=ROUND):
        broker = BrokerProcess(STENTOR, "-c", str(self.config), patience=PATIENCE,
                               environment=self.told.environment(watchdog), cwd=self.dir)
        self.addCleanup(lambda: broker.process.poll() is None and broker.process.kill())
        return broker

    def ready(self, **how):
        broker = self.serve(**how)
        self.assertTrue(broker.wait_until_ready(), broker.lines)
        self.told.wait_for("READY=1")
        return broker


class Life(NotifyCase):
    def test_a_life(self):
        broker = self.ready(watchdog=None)
        up = self.told.wait_for("STATUS=0 clients on 1 listener, 0 sessions away; store open")
        self.assertEqual(broker.end(), 0)
        down = self.told.wait_for("STOPPING=1")
        lines = self.told.between(0, self.told.mark())
        self.assertEqual(lines.count("READY=1"), 1, lines)
        self.assertEqual(lines.count("STOPPING=1"), 1, lines)
        self.assertLess(up, down)
        # Nobody asked for it.
        self.assertNotIn("WATCHDOG=1", lines)
        # What is said afterwards does not take the end back.
        for line in lines[down:]:
            self.assertRegex(line, "^(STOPPING=1|STATUS=(draining|stopping).*)$")

    def test_status_follows_clients_and_sessions(self):
        broker = self.ready()
        client = Client(broker.ports[0])
        self.addCleanup(client.close)
        self.assertEqual(client.ask("phone", keeps=True), 0)
        here = self.told.wait_for("STATUS=1 client on 1 listener, 0 sessions away")
        client.close()
        self.told.wait_for("STATUS=0 clients on 1 listener, 1 session away", here)
        broker.stop()

    def test_reload_is_bracketed(self):
        broker = self.ready(watchdog=None)
        since = self.told.mark()
        before = time.clock_gettime(time.CLOCK_MONOTONIC)
        broker.signal(signal.SIGHUP)
        at = self.told.wait_for("RELOADING=1", since)
        self.told.wait_for("READY=1", at)
        name, microseconds = self.told.between(at + 1, at + 2)[0].split("=")
        self.assertEqual(name, "MONOTONIC_USEC")
        after = time.clock_gettime(time.CLOCK_MONOTONIC)
        self.assertGreaterEqual(int(microseconds) / 1e6 + 1e-6, before)
        self.assertLessEqual(int(microseconds) / 1e6, after)
        broker.stop()

    def test_a_failed_reload_ends_too_and_says_why(self):
        broker = self.ready(watchdog=None)
        since = self.told.mark()
        self.write("unknown_key = 1\n")
        broker.signal(signal.SIGHUP)
        at = self.told.wait_for("RELOADING=1", since)
        at = self.told.wait_for("READY=1", at)
        at = self.told.wait_for("STATUS=reload failed", at)
        self.assertIn("unknown_key", self.told.between(at, at + 1)[0])
        broker.stop()

    def test_a_start_that_fails_says_why(self):
        for mistake, wanted in (("unknown_key = 1\n", "unknown_key"),
                                ('[[listener]]\nurl = "unix:///nowhere/socket"\n', "/nowhere")):
            since = self.told.mark()
            self.write(mistake)
            self.assertNotEqual(self.serve().wait(), 0)
            self.told.wait_for(lambda line, w=wanted: line.startswith("STATUS=") and w in line,
                               since)
        self.assertNotIn("READY=1", self.told.between(0, self.told.mark()))


class Watchdog(NotifyCase):
    def pings(self, since, count):
        for _ in range(count):
            since = self.told.wait_for("WATCHDOG=1", since) + 1

    def test_it_hears_of_shards_that_turn(self):
        broker = self.ready()
        self.pings(0, 5)
        broker.stop()

    @unittest.skipUnless(may_trace(), "no thread of another process may be stopped here")
    def test_it_hears_nothing_while_one_shard_stands(self):
        broker = self.ready()
        self.pings(0, 1)
        last = f"shard-{int(SHARDS) - 1}"
        since = self.told.mark()
        stopped = StoppedThread(broker.process.pid, last)
        silent = self.told.wait_for(f"STATUS=1 of {SHARDS} shard", since)
        # Meanwhile the rest of the process works on: it says so itself, again and again.
        at = silent
        for _ in range(2):
            at = self.told.wait_for(f"STATUS=1 of {SHARDS} shard", at + 1)
        self.assertNotIn("WATCHDOG=1", self.told.between(silent, at))
        broker.said(event="shards_silent", silent=1)
        stopped.go_on()
        self.pings(at, 2)
        self.told.wait_for("STATUS=0 clients", at)
        broker.stop()


if __name__ == "__main__":
    unittest.main()
