#!/usr/bin/env python3
"""`stentor health`, as a container's health check asks."""

import pathlib
import socket
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "access"))
from access_kit import STENTOR, AccessCase  # noqa: E402


def health(*arguments):
    done = subprocess.run([STENTOR, "health", *arguments], capture_output=True, text=True,
                          timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


class Health(AccessCase):
    def test_a_broker_that_serves(self):
        self.serve('[[listener]]\nurl = "http://127.0.0.1:0"\n')
        for path in ("/readyz", "/livez"):
            self.assertEqual(health(f"http://127.0.0.1:{self.port}{path}"), (0, "ok\n", ""))
        code, _, said = health(f"http://127.0.0.1:{self.port}/nowhere")
        self.assertEqual(code, 1)
        self.assertIn("404", said)

    def test_nobody_there(self):
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            code, _, said = health(f"http://127.0.0.1:{bound.getsockname()[1]}/readyz")
        self.assertEqual(code, 1)
        self.assertIn("refused", said)

    def test_one_that_does_not_answer_or_talks_nonsense(self):
        def talk(server):
            with server.accept()[0] as peer:
                peer.recv(65536)
                peer.sendall(b"nonsense\r\n\r\n")
        with socket.create_server(("127.0.0.1", 0)) as silent:
            code, _, said = health(f"http://127.0.0.1:{silent.getsockname()[1]}/readyz")
        self.assertEqual(code, 1)
        self.assertIn("no answer in time", said)
        with socket.create_server(("127.0.0.1", 0)) as server:
            talker = threading.Thread(target=talk, args=(server,))
            talker.start()
            self.assertEqual(health(f"http://127.0.0.1:{server.getsockname()[1]}/readyz")[0], 1)
            talker.join()

    def test_what_cannot_be_asked(self):
        for url in ("https://127.0.0.1/readyz", "readyz", "http://user:pw@127.0.0.1/readyz"):
            code, _, said = health(url)
            self.assertEqual(code, 2, url)
            self.assertIn("stentor health: ", said)


if __name__ == "__main__":
    unittest.main()
