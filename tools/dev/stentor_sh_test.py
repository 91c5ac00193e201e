#!/usr/bin/env python3
"""stentor.sh from elsewhere: it builds in its own folder, and the broker runs in the caller's."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "stentor.sh"


class ServeFromElsewhere(unittest.TestCase):
    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.root = pathlib.Path(temp.name).resolve()
        self.clone = self.root / "clone"
        self.here = self.root / "here"
        self.here.mkdir()
        self.program(self.clone / "build/release/stentor", 'echo "runs in $PWD: $*"')
        # Nothing is missing, and nothing has to be built.
        self.program(self.root / "bin/dpkg-query",
                     'shift 3; for name in "$@"; do echo "$name ii "; done')
        self.program(self.root / "bin/cmake", 'echo "builds in $PWD"')
        (self.clone / "CMakePresets.json").touch()
        shutil.copy(SCRIPT, self.clone)

    @staticmethod
    def program(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def serve(self, script):
        path = f"{self.root / 'bin'}:{os.environ['PATH']}"
        return subprocess.run([script, "serve", "-c", "my.toml"], cwd=self.here, check=True,
                              env=os.environ | {"PATH": path}, capture_output=True, text=True)

    def test_builds_in_the_clone_and_runs_here(self):
        for script in (str(self.clone / "stentor.sh"), "../clone/stentor.sh"):
            with self.subTest(script):
                done = self.serve(script)
                self.assertEqual(done.stdout, f"runs in {self.here}: serve -c my.toml\n")
                self.assertIn(f"builds in {self.clone}\n", done.stderr)


if __name__ == "__main__":
    unittest.main()
