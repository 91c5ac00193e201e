#!/usr/bin/env python3
"""Certificates, authorities and revocation lists that would lock clients out: what the broker does
with them at start, at reload and when their files change, and what `stentor check` says.

    SHARDS=N STENTOR=PATH test_renewal.py
"""

import subprocess

from access_kit import STENTOR, main
from cryptography.hazmat.primitives import serialization
from tls_kit import TlsCase


class Renewal(TlsCase):
    STRICT = (', client_ca = "clients.crt", client_crl = "crl.pem", '
              'client_certificate = "required"')
    NEVER = '[auth]\nanonymous = "never"\n'

    def setUp(self):
        super().setUp()
        self.put("clients.crt", (self.dir / "ca.crt").read_bytes())
        self.revoke(days=30)

    def check(self):
        done = subprocess.run([STENTOR, "check", "-c", "stentor.toml"], cwd=self.dir, text=True,
                              capture_output=True)
        return done.returncode, done.stderr

    def refused(self):
        """What a reload says that leaves the door as it was."""
        since = self.broker.mark()
        self.assertTrue(self.broker.reload())
        return self.broker.said(since, event="certificates_kept", level="error")["msg"]

    def test_a_certificate_that_has_ended_is_not_taken(self):
        self.serve(self.listener(), self.OPEN)
        self.reissue("server", -10, -1)
        self.assertIn("has ended", self.broker.said(event="certificates_kept")["msg"])
        self.assertEqual(self.openssl(), self.WELCOME)
        self.assertRegex(self.refused(), r"stentor.toml:\d+:\d+: .*server.crt has ended")
        self.assertEqual(self.openssl(), self.WELCOME)
        code, said = self.check()
        self.assertEqual(code, 1)
        self.assertRegex(said, r"stentor.toml:\d+:\d+: error: listener.0.tls.certificate: .*ended")
        since = self.broker.mark()
        self.reissue("server", 1, 10)
        self.assertIn("not valid before",
                      self.broker.said(since, event="certificates_kept")["msg"])
        self.reissue("server", -1, 365)
        self.broker.said(since, event="certificates_renewed")
        self.assertEqual(self.openssl(), self.WELCOME)
        self.assertEqual(self.check()[0], 0)

    def test_one_that_has_ended_does_not_hinder_the_start(self):
        self.reissue("server", -10, -1)
        self.serve(self.listener(), self.OPEN)
        self.assertEqual(self.broker.said(event="certificate_expired")["level"], "error")
        self.assertEqual(self.openssl(), b"")
        # Nor a reload for another reason, which makes nothing worse.
        self.assertTrue(self.broker.reload())
        since = self.broker.mark()
        self.reissue("server", -1, 365)
        self.broker.said(since, event="certificates_renewed")
        self.assertEqual(self.openssl(), self.WELCOME)

    def test_a_list_of_another_authority_is_not_taken(self):
        self.serve(self.listener(self.STRICT), self.NEVER)
        self.assertEqual(self.openssl(certificate="good"), self.WELCOME)
        self.revoke(signed_by=self.other_authority())
        message = self.refused()
        self.assertRegex(message, r"stentor.toml:\d+:\d+: .*signed by \"another authority\"")
        self.assertEqual(self.openssl(certificate="good"), self.WELCOME)
        self.revoke("good", days=30)
        self.assertTrue(self.broker.reload())
        self.assertEqual(self.openssl(certificate="good"), b"")
        self.assertEqual(self.openssl(certificate="bad"), self.WELCOME)

    def test_a_new_authority_with_the_old_list_is_not_taken(self):
        self.serve(self.listener(self.STRICT), self.NEVER)
        old = (self.dir / "ca.crt").read_bytes()
        other = self.other_authority()
        new = other[0].public_bytes(serialization.Encoding.PEM)
        self.put("clients.crt", new)
        self.assertIn("crl.pem", self.broker.said(event="certificates_kept")["file"])
        self.assertRegex(self.refused(), r"stentor.toml:\d+:\d+: .*client_crl")
        self.assertEqual(self.openssl(certificate="good"), self.WELCOME)
        # Both authorities, and no list yet of the new one: the clients of the old one come in.
        self.put("clients.crt", new + old)
        since = self.broker.mark()
        self.assertTrue(self.broker.reload())
        self.broker.said(since, event="revocation_list_missing", level="warn")
        self.assertEqual(self.openssl(certificate="good"), self.WELCOME)
        # The exchange is complete: those of the new one do.
        self.reissue("good", -1, 30, signed_by=other)
        self.revoke(days=30, signed_by=other)
        self.put("clients.crt", new)
        self.assertTrue(self.broker.reload())
        self.assertEqual(self.openssl(certificate="good"), self.WELCOME)
        self.assertEqual(self.openssl(certificate="bad"), b"")

    def test_what_ends_soon_is_told_again_after_a_renewal(self):
        self.reissue("server", -60, 20)
        self.reissue("ca", -300, 10)
        self.put("clients.crt", (self.dir / "ca.crt").read_bytes())
        self.revoke(days=1)
        self.serve(self.listener(self.STRICT), self.NEVER)
        since = 0
        for _ in range(2):
            for event, days in (("certificate_expires", 19), ("client_ca_expires", 9),
                                ("revocation_list_expires", 0)):
                said = self.broker.said(since, event=event, level="warn")
                self.assertEqual((said["days"], said["listener"]),
                                 (days, f"mqtts://127.0.0.1:{self.port}"))
            since = self.broker.mark()
            self.assertTrue(self.broker.reload())
        code, said = self.check()
        self.assertEqual(code, 0)
        for key in ("certificate", "client_ca", "client_crl"):
            self.assertRegex(said, rf"stentor.toml:\d+:\d+: warning: listener.0.tls.{key}: ")

    def test_check_warns_of_what_is_not_meant(self):
        config = self.dir / "stentor.toml"
        config.write_text('[node]\ndata_dir = ":memory:"\n' + self.listener(
            ', client_crl = "crl.pem", more_certificates = ["again.crt:server.key"]') + self.OPEN)
        self.put("again.crt", (self.dir / "server.crt").read_bytes())
        code, said = self.check()
        self.assertEqual(code, 0)
        self.assertIn("clients are not asked for certificates, so none is looked up", said)
        self.assertRegex(said, r"stentor.toml:\d+:\d+: warning: listener.0.tls.more_certificates: "
                               r".*again.crt is never shown")
        config.write_text('[node]\ndata_dir = ":memory:"\n' +
                          self.listener(', ciphers = "eNULL:@SECLEVEL=0"') + self.OPEN)
        code, said = self.check()
        self.assertEqual(code, 1)
        self.assertRegex(said, r"stentor.toml:\d+:\d+: error: listener.0.tls.ciphers: "
                               r".*encrypts nothing")
        config.write_text('[node]\ndata_dir = ":memory:"\n' +
                          self.listener().replace("server.crt", ".") + self.OPEN)
        code, said = self.check()
        self.assertEqual(code, 1)
        self.assertIn("it is a directory", said)


if __name__ == "__main__":
    main()
