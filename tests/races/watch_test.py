#!/usr/bin/env python3
"""Whether watch.py can fail: a race in a process that the test itself starts and kills.

    watch_test.py RACING_PROGRAM
"""

import os
import subprocess
import sys
import tempfile
import unittest

WATCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "watch.py")
RACING = os.path.abspath(sys.argv.pop(1))
# A test as the others are: nobody looks at the end of the process it kills.
KILLS = """
import subprocess, sys
child = subprocess.Popen([sys.argv[1]], stdout=subprocess.PIPE)
assert child.stdout.readline() == b"raced\\n"
child.kill()
child.wait()
"""


def watched(*command, options=()):
    return subprocess.run([sys.executable, "-B", WATCH, *options, *command], text=True,
                          capture_output=True, check=False)


class Watch(unittest.TestCase):
    def test_a_race_of_a_killed_child_is_a_failure(self):
        done = watched(sys.executable, "-c", KILLS, RACING)
        self.assertEqual(done.returncode, 1)
        self.assertIn("WARNING: ThreadSanitizer: data race", done.stderr)
        self.assertIn("reports of 1 processes", done.stderr)

    def test_a_test_that_fails_by_itself_fails(self):
        done = watched(sys.executable, "-c", "raise SystemExit(3)")
        self.assertEqual((done.returncode, done.stderr), (3, ""))

    def test_nothing_to_report(self):
        done = watched(sys.executable, "-c", "print('fine')")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "fine\n", ""))

    def test_suppressions_reach_the_children(self):
        with tempfile.NamedTemporaryFile("w+") as file:
            file.write("race:shared_count\n")
            file.flush()
            done = watched(sys.executable, "-c", KILLS, RACING,
                           options=["--suppressions", file.name])
        self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
