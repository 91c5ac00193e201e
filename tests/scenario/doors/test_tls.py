#!/usr/bin/env python3
"""What a TLS door agrees to, as a scanner would find out: versions, ciphers, compression,
renegotiation, ALPN, names, tickets, revocation.

    SHARDS=N STENTOR=PATH test_tls.py
"""

import os
import re
import shutil
import socket
import ssl
import subprocess

from access_kit import PATIENCE, STENTOR, main
from hello import SSL_3, TLS_1_0, TLS_1_1, TLS_1_2, Answer, ask, hello
from tls_kit import TlsCase

PROTOCOL_VERSION, HANDSHAKE_FAILURE, INAPPROPRIATE_FALLBACK = 70, 40, 86
FALLBACK = 0x5600
# All that TLS up to 1.2 has a number for, and the oddities of draft ChaCha20.
EVERY_CIPHER = [*range(0x0000, 0x00C6), *range(0xC001, 0xC0B6), 0xCC13, 0xCC14, 0xCC15,
                *range(0xCCA8, 0xCCAF), 0xFEFE, 0xFEFF, *range(0xFF80, 0xFF86)]


def openssl_names(wanted):
    """Number to name of what OpenSSL's text stands for."""
    listed = subprocess.run(["openssl", "ciphers", "-V", wanted], check=True, capture_output=True,
                            text=True).stdout
    return {int(high, 16) << 8 | int(low, 16): name for high, low, name in
            re.findall(r"0x(..),0x(..) - (\S+)", listed)}


class Tls(TlsCase):
    def accepted(self, port):
        """The ciphers of TLS 1.2, as the server chooses them."""
        left, found = list(EVERY_CIPHER), []
        while True:
            answer = ask(port, hello(TLS_1_2, left), PATIENCE)
            if answer.alert is not None:
                self.assertEqual(answer.alert, HANDSHAKE_FAILURE)
                return found
            self.assertEqual((answer.version, answer.compression), (TLS_1_2, 0))
            left.remove(answer.cipher)
            found.append(answer.cipher)

    def test_old_versions_are_refused(self):
        self.serve(self.listener(), self.listener(', min_version = "1.3"'), self.OPEN)
        every, new = self.broker.ports
        for version in (SSL_3, TLS_1_0, TLS_1_1):
            with self.subTest(version=hex(version)):
                for port in (every, new):
                    self.assertIn(ask(port, hello(version, EVERY_CIPHER), PATIENCE).alert,
                                  (PROTOCOL_VERSION, HANDSHAKE_FAILURE))
        self.assertEqual(ask(every, hello(TLS_1_2, EVERY_CIPHER), PATIENCE).version, TLS_1_2)
        self.assertEqual(ask(new, hello(TLS_1_2, EVERY_CIPHER), PATIENCE).alert, PROTOCOL_VERSION)
        # SSL 2 says hello in another way.
        with socket.create_connection(("127.0.0.1", every), PATIENCE) as stream:
            stream.sendall(bytes.fromhex("802e0100020015000000100100800300800700c0") + bytes(28))
            self.assertEqual(stream.recv(1), b"")
        for version, port in ((ssl.TLSVersion.TLSv1_2, every), (ssl.TLSVersion.TLSv1_3, every),
                              (ssl.TLSVersion.TLSv1_3, new)):
            self.context.minimum_version = ssl.TLSVersion.TLSv1_2
            self.context.maximum_version = version
            self.assertEqual(self.handshake(self.context, port=port).version(),
                             version.name.replace("_", "."))

    def test_nobody_is_talked_into_an_older_version(self):
        self.serve(self.listener(), self.OPEN)
        said = hello(TLS_1_2, [*EVERY_CIPHER, FALLBACK])
        self.assertEqual(ask(self.port, said, PATIENCE), Answer(alert=INAPPROPRIATE_FALLBACK))

    def test_weak_ciphers_are_refused(self):
        self.rsa_certificate("rsa", "localhost")
        self.serve(self.listener(), self.listener(certificate="rsa"), self.OPEN)
        names = openssl_names("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
        weak = re.compile("NULL|ADH|AECDH|EXP|RC4|RC2|DES|MD5|IDEA|SEED|CAMELLIA|ARIA|PSK|SRP")
        for port in self.broker.ports:
            found = self.accepted(port)
            with self.subTest(found=[names[each] for each in found]):
                self.assertTrue(found)
                self.assertEqual([names[each] for each in found if weak.search(names[each])], [])
                # Forward secrecy and authenticated encryption.
                for each in found:
                    self.assertRegex(names[each], "^ECDHE-.*(GCM|CHACHA20)")

    def test_ciphers_are_as_configured(self):
        self.rsa_certificate("rsa", "localhost")
        wanted = "ECDHE+AESGCM:ECDHE+CHACHA20"
        self.serve(self.listener(f', ciphers = "{wanted}"'),
                   self.listener(f', ciphers = "{wanted}"', "rsa"),
                   self.listener(', ciphers = "AES128-SHA"', "rsa"), self.OPEN)
        for port, kind in zip(self.broker.ports, ("ECDSA", "RSA")):
            self.assertEqual({*self.accepted(port)},
                             {number for number, name in openssl_names(wanted).items()
                              if name.startswith(f"ECDHE-{kind}-")})
        self.assertEqual(self.accepted(self.broker.ports[2]), [0x002F])

    def test_the_server_chooses(self):
        self.serve(self.listener(), self.OPEN)
        chacha, *aes = 0xCCA9, 0xC02C, 0xC02B

        def choice(*offered):
            return ask(self.port, hello(TLS_1_2, offered), PATIENCE).cipher

        self.assertEqual(choice(*aes), aes[0])
        self.assertEqual(choice(*reversed(aes)), aes[0])
        # A device without AES in its processor puts ChaCha20 first, and gets it.
        self.assertEqual(choice(chacha, *aes), chacha)
        self.assertEqual(choice(*aes, chacha), aes[0])

    def test_no_compression(self):
        self.serve(self.listener(), self.OPEN)
        answer = ask(self.port, hello(TLS_1_2, EVERY_CIPHER, compressions=b"\1\0"), PATIENCE)
        self.assertEqual(answer.compression, 0)

    def test_no_renegotiation(self):
        self.serve(self.listener(), self.OPEN, '[logging]\nlevel = "debug"\n')
        with subprocess.Popen(
                ["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-tls1_2", "-CAfile",
                 str(self.dir / "ca.crt"), "-servername", "localhost"], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as client:
            said = ""
            for line in client.stdout:
                said += line
                if "Verify return code" in line:
                    client.stdin.write("R\n")
                    client.stdin.flush()
        self.assertIn("Secure Renegotiation IS supported", said)  # RFC 5746, to be safe
        self.assertRegex(said, "(?s)RENEGOTIATING.*no renegotiation")
        self.assertNotEqual(client.returncode, 0)
        self.handshake(self.context)

    def test_alpn(self):
        tls = self.listener().partition("\n")[2].partition("\n")[2]
        schemes = {"mqtts": ("mqtt",), "auto": ("mqtt", "http/1.1"), "wss": ("http/1.1",),
                   "https": ("http/1.1",)}
        self.serve(*(f'[[listener]]\nurl = "{scheme}://127.0.0.1:0"\n{tls}'
                     for scheme in schemes), self.OPEN)
        for port, (scheme, spoken) in zip(self.broker.ports, schemes.items()):
            for offered in ([], ["mqtt"], ["http/1.1"], ["h2", "http/1.1", "mqtt"], ["h2"],
                            ["x-amzn-mqtt-ca"]):
                with self.subTest(scheme=scheme, offered=offered):
                    context = ssl.create_default_context(cafile=self.dir / "ca.crt")
                    if offered:
                        context.set_alpn_protocols(offered)
                    wanted = next((each for each in spoken if each in offered), None)
                    with socket.create_connection(("127.0.0.1", port), PATIENCE) as stream, \
                            context.wrap_socket(stream, server_hostname="localhost") as secure:
                        self.assertEqual(secure.selected_alpn_protocol(), wanted)

    def test_the_name_chooses_the_certificate(self):
        self.rsa_certificate("other", "other.test")
        self.rsa_certificate("wild", "*.wild.test")
        self.serve(self.listener(', more_certificates = ["other.crt:other.key", '
                                 '"wild.crt:wild.key"]'), self.OPEN)

        def shown(host):
            self.context.check_hostname = False
            names = self.handshake(self.context, host=host).getpeercert()["subjectAltName"]
            return names[0][1]

        for host, name in (("localhost", "localhost"), ("other.test", "other.test"),
                           ("a.wild.test", "*.wild.test"), ("a.b.wild.test", "localhost"),
                           ("unknown.test", "localhost"), (None, "localhost")):
            with self.subTest(host=host):
                self.assertEqual(shown(host), name)

    VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)

    def session(self, version, context=None):
        """A context of one version, and a session of it that has its ticket."""
        context = context or ssl.create_default_context(cafile=self.dir / "ca.crt")
        context.minimum_version = context.maximum_version = version
        return context, self.handshake(context).session

    def renew(self, since):
        self.assertTrue(self.broker.reload())
        self.broker.said(since, event="certificates_renewed")

    def test_tickets_are_good_at_every_shard(self):
        self.serve(self.listener(), self.OPEN)
        for version in self.VERSIONS:
            context, session = self.session(version)
            self.assertTrue(session.has_ticket)
            # Whichever shard accepts it, and whichever is home to the client.
            for i in range(40):
                again = self.handshake(context, session, client_id=f"c{i}")
                self.assertTrue(again.session_reused)

    def test_tickets_are_good_for_every_name(self):
        self.rsa_certificate("other", "other.test")
        self.serve(self.listener(', more_certificates = ["other.crt:other.key"]'), self.OPEN)
        for version in self.VERSIONS:
            context, _ = self.session(version)
            session = self.handshake(context, host="other.test").session
            self.assertTrue(self.handshake(context, session, host="other.test").session_reused)

    def test_tickets_outlive_a_new_certificate(self):
        self.serve(self.listener(), self.OPEN)
        sessions = [self.session(version) for version in self.VERSIONS]
        since = self.broker.mark()
        self.rsa_certificate("server", "localhost")
        self.renew(since)
        for context, session in sessions:
            self.assertTrue(self.handshake(context, session).session_reused)

    def test_tickets_do_not_outlive_the_process(self):
        self.serve(self.listener(), self.OPEN)
        sessions = [self.session(version) for version in self.VERSIONS]
        self.serve(self.listener(), self.OPEN)
        for context, session in sessions:
            self.assertFalse(self.handshake(context, session).session_reused)

    def test_revoked_certificates_are_refused_tickets_included(self):
        self.revoke()
        self.serve(self.listener(', client_ca = "ca.crt", client_crl = "crl.pem", '
                                 'client_certificate = "required"'),
                   '[auth]\nanonymous = "never"\n')
        sessions = {}
        for name in ("good", "bad"):
            for version in self.VERSIONS:
                context = ssl.create_default_context(cafile=self.dir / "ca.crt")
                context.load_cert_chain(self.dir / f"{name}.crt", self.dir / f"{name}.key")
                sessions[name, version] = self.session(version, context)
                # Who resumes is the same user as before.
                self.assertTrue(self.handshake(*sessions[name, version]).session_reused)
        since = self.broker.mark()
        self.revoke("bad")
        self.renew(since)
        for (name, _), (context, session) in sessions.items():
            with self.subTest(name=name):
                if name == "good":
                    self.assertFalse(self.handshake(context, session).session_reused)
                    continue
                mark = self.broker.mark()
                with self.assertRaises(Exception):
                    self.handshake(context, session)
                self.assertIn("certificate revoked",
                              self.broker.said(mark, event="connection_failed")["msg"])

    def test_a_list_that_is_nonsense_keeps_the_old_one(self):
        self.revoke("bad")
        self.serve(self.listener(', client_ca = "ca.crt", client_crl = "crl.pem", '
                                 'client_certificate = "required"'),
                   '[auth]\nanonymous = "never"\n')
        shutil.copy(self.dir / "server.key", self.dir / "nonsense")
        os.replace(self.dir / "nonsense", self.dir / "crl.pem")
        self.assertIn("crl.pem", self.broker.said(event="certificates_kept")["msg"])
        for name, welcome in (("good", True), ("bad", False)):
            context = ssl.create_default_context(cafile=self.dir / "ca.crt")
            context.load_cert_chain(self.dir / f"{name}.crt", self.dir / f"{name}.key")
            if welcome:
                self.handshake(context)
                continue
            with self.assertRaises(Exception):
                self.handshake(context)

    def test_a_list_that_is_out_of_date_is_refused(self):
        strict = self.listener(', client_ca = "ca.crt", client_crl = "crl.pem", '
                               'client_certificate = "required"')
        self.revoke("bad", days=-1)
        with self.assertRaisesRegex(AssertionError, "out of date"):
            self.serve(strict, '[auth]\nanonymous = "never"\n')
        config = str(self.dir / "stentor.toml")
        checked = subprocess.run([STENTOR, "check", "-c", config], cwd=self.dir, text=True,
                                 capture_output=True)
        self.assertEqual(checked.returncode, 1)
        self.assertIn("crl.pem is out of date", checked.stderr)
        self.revoke("bad", days=1)
        self.serve(strict, '[auth]\nanonymous = "never"\n')
        self.assertIn("crl.pem", self.broker.said(event="revocation_list_expires")["msg"])
        self.revoke(days=-1)  # the old one stays in force
        self.assertIn("out of date", self.broker.said(event="certificates_kept")["msg"])
        self.context.load_cert_chain(self.dir / "bad.crt", self.dir / "bad.key")
        with self.assertRaises(Exception):
            self.handshake(self.context)


if __name__ == "__main__":
    main()
