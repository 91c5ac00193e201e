#!/usr/bin/env python3
"""What a TLS connection that waits costs in memory: generously, docs/performance.md has the
figures.

    SHARDS=N STENTOR=PATH test_idle.py
"""

import pathlib
import resource
import ssl
import subprocess

from access_kit import STENTOR, AccessCase, main

CONNECTIONS = 1000
BYTES_EACH = 17_000
BYTES_EACH_WITH_CERTIFICATE = 27_500


class Idle(AccessCase):
    def setUp(self):
        super().setUp()
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, CONNECTIONS * 4), hard))
        subprocess.run([STENTOR, "init", str(self.dir), "--host", "localhost", "--client", "phone"],
                       check=True, capture_output=True)
        self.context = ssl.create_default_context(cafile=self.dir / "ca.crt")

    def open_door(self, more=""):
        self.serve('[[listener]]\nurl = "mqtts://127.0.0.1:0"\n'
                   f'tls = {{ certificate = "server.crt", key = "server.key"{more} }}\n'
                   '[auth]\nanonymous = "always"\n')

    def memory(self):
        status = pathlib.Path(f"/proc/{self.broker.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines()
                    if line.startswith("VmRSS:"))

    def come(self, name):
        """A client that has subscribed, heard something of 8 kB, and waits."""
        client = self.client()
        client.wrap(self.context)
        self.assertEqual(client.ask(name), 0)
        self.assertEqual(client.subscribe(f"of/{name}", qos=1), [1])
        client.publish(f"of/{name}", bytes(8000), qos=0)
        self.assertEqual(client.message()[0], f"of/{name}")
        client.send(0xC0, b"")
        self.assertEqual(client.packet()[0], 0xD0)
        return client

    def bytes_each(self):
        for i in range(50):
            self.come(f"first-{i}").close()
        before = self.memory()
        for i in range(CONNECTIONS):
            self.come(f"c{i}")
        each = (self.memory() - before) / CONNECTIONS
        print(f"{each:.0f} bytes each")
        return each

    def test_a_connection_that_waits_holds_no_buffers(self):
        self.open_door()
        self.assertLess(self.bytes_each(), BYTES_EACH)

    def test_one_with_a_client_certificate_holds_that_as_well(self):
        self.open_door(', client_ca = "ca.crt", client_certificate = "required"')
        self.context.load_cert_chain(self.dir / "phone.crt", self.dir / "phone.key")
        self.assertLess(self.bytes_each(), BYTES_EACH_WITH_CERTIFICATE)


if __name__ == "__main__":
    main()
