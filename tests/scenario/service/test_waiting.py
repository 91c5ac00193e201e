#!/usr/bin/env python3
"""What a service manager hears from a broker that finds no room on its disk: a tmpfs of this test's
own.

Needs to be root or to have user namespaces; without either it is skipped and says so.
"""

import contextlib
import pathlib
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "store"))
from store_kit import PATIENCE, StoreTest  # noqa: E402
from own_mounts import may_mount  # noqa: E402
from service import NotifySocket  # noqa: E402

WAITS = "STATUS=no room on the disk to open the store"


class Waiting(StoreTest):
    def setUp(self):
        super().setUp()
        self.disk = pathlib.Path(self.directory) / "disk"
        self.disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", self.disk], check=True)
        self.stack.callback(subprocess.run, ["umount", "-l", self.disk], check=True)
        self.data = str(self.disk / "data")
        broker = self.broker()
        self.session(broker, "away", "t").close()
        publisher = broker.client("publisher", clean=True, expiry=0)
        for _ in range(100):  # what a start has to apply, for which there is no room then
            self.assertEqual(publisher.publish("t", bytes(20_000)), 0)
        publisher.close()
        broker.kill()
        self.ballast = self.disk / "ballast"
        self.told = NotifySocket(self.directory, PATIENCE)
        self.addCleanup(self.told.close)

    def fill_disk(self):
        with open(self.ballast, "ab", buffering=0) as file:
            with contextlib.suppress(OSError):
                while file.write(bytes(4096)):
                    pass

    def waits(self):
        self.fill_disk()
        broker = self.broker(ready=False, environment=self.told.environment(0.2))
        self.told.wait_for(WAITS)
        # Shards that turn are heard of, and the start may take as long as it takes.
        self.told.wait_for("WATCHDOG=1")
        self.told.wait_for("EXTEND_TIMEOUT_USEC=60000000")
        # A reload's READY=1 would be taken for the start's.
        since = broker.mark()
        broker.signal(signal.SIGHUP)
        broker.said(since, event="reloaded")
        self.assertFalse([line for line in self.told.between(0, self.told.mark())
                          if line.startswith(("READY", "RELOADING"))])
        return broker

    def test_it_is_ready_when_there_is_room(self):
        broker = self.waits()
        self.ballast.unlink()
        self.told.wait_for("READY=1")
        self.told.wait_for("STATUS=0 clients on 1 listener, 1 session away; store open")
        self.end(broker)

    def test_it_may_be_stopped(self):
        broker = self.waits()
        self.end(broker)
        self.told.wait_for("STOPPING=1")
        self.assertNotIn("READY=1", self.told.between(0, self.told.mark()))


if __name__ == "__main__":
    if not may_mount():
        print("SKIPPED: no disk of our own may be mounted here", file=sys.stderr)
        sys.exit(0)
    unittest.main()
