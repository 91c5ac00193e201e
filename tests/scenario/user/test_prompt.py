#!/usr/bin/env python3
"""`stentor user` at a terminal: passwords are asked for and not shown."""

import ctypes
import os
import pty
import signal
import subprocess
import tempfile
import termios
import threading
import unittest

STENTOR = os.environ["STENTOR"]
PATIENCE = 20  # seconds until a wait counts as failed


def die_with_parent():
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class Prompt(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.file = directory.name + "/users"
        self.ours, self.terminal = pty.openpty()
        self.addCleanup(os.close, self.terminal)
        self.shown = b""
        self.changed = threading.Condition()
        reader = threading.Thread(target=self.read, daemon=True)
        reader.start()

    def read(self):
        while True:
            try:
                octets = os.read(self.ours, 1024)
            except OSError:  # the other end has been closed
                os.close(self.ours)
                return
            with self.changed:
                self.shown += octets
                self.changed.notify_all()

    def add(self, name):
        return subprocess.Popen([STENTOR, "user", "add", self.file, name], stdin=self.terminal,
                                stdout=self.terminal, stderr=self.terminal,
                                preexec_fn=die_with_parent)

    def wait_for(self, text):
        with self.changed:
            self.assertTrue(self.changed.wait_for(lambda: text in self.shown, PATIENCE),
                            self.shown)

    def echoes(self):
        return bool(termios.tcgetattr(self.terminal)[3] & termios.ECHO)

    def test_the_password_is_not_shown(self):
        process = self.add("anna")
        self.wait_for(b"Password for anna: ")
        self.assertFalse(self.echoes())
        os.write(self.ours, b"top secret\n")
        self.wait_for(b"The same again: ")
        self.assertFalse(self.echoes())
        os.write(self.ours, b"top secret\n")
        self.assertEqual(process.wait(PATIENCE), 0)
        self.wait_for(b'added "anna"')
        self.assertNotIn(b"secret", self.shown)
        self.assertTrue(self.echoes())

    def test_an_interrupted_prompt_leaves_the_terminal_as_it_was(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(signal=number):
                process = self.add("bob")
                self.wait_for(b"Password for bob: ")
                self.assertFalse(self.echoes())
                process.send_signal(number)
                self.assertEqual(process.wait(PATIENCE), -number)
                self.assertTrue(self.echoes())
                with self.changed:
                    self.shown = b""
        self.assertFalse(os.path.exists(self.file))


if __name__ == "__main__":
    unittest.main()
