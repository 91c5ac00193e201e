"""Certificates and revocation lists of every kind, and clients that meet them."""

import datetime
import ipaddress
import os
import ssl
import subprocess

from access_kit import STENTOR, AccessCase, Client
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtensionOID, NameOID


class TlsCase(AccessCase):
    """A broker with doors of TLS, and the authority (ca.crt, ca.key) of `stentor init`."""

    OPEN = '[auth]\nanonymous = "always"\n'

    @staticmethod
    def listener(more="", certificate="server"):
        return (f'[[listener]]\nurl = "mqtts://127.0.0.1:0"\n'
                f'tls = {{ certificate = "{certificate}.crt", key = "{certificate}.key"{more} }}\n')

    def setUp(self):
        super().setUp()
        subprocess.run([STENTOR, "init", str(self.dir), "--host", "localhost", "--client", "good",
                        "--client", "bad"], check=True, capture_output=True)
        self.context = ssl.create_default_context(cafile=self.dir / "ca.crt")

    def authority(self):
        return (x509.load_pem_x509_certificate((self.dir / "ca.crt").read_bytes()),
                serialization.load_pem_private_key((self.dir / "ca.key").read_bytes(), None))

    def rsa_certificate(self, name, *hosts):
        """The authority's, for clients that know no curves."""
        issuer, issuer_key = self.authority()
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        now = datetime.datetime.utcnow()
        names = x509.SubjectAlternativeName(
            [x509.DNSName(host) for host in hosts] +
            [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        made = x509.CertificateBuilder(
            issuer.subject, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
            key.public_key(), x509.random_serial_number(), now - datetime.timedelta(hours=1),
            now + datetime.timedelta(days=1)).add_extension(names, False).sign(
                issuer_key, hashes.SHA256())
        (self.dir / f"{name}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        (self.dir / f"{name}.key").write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))

    def handshake(self, context, session=None, port=None, host="localhost", client_id="c"):
        """A client behind a handshake and CONNECT: that a client certificate was refused is known
        in TLS 1.3 only from the answer to that."""
        client = Client(port or self.port)
        self.addCleanup(client.close)
        client.socket = context.wrap_socket(client.socket, server_hostname=host, session=session)
        self.assertEqual(client.ask(client_id), 0)
        return client.socket

    def put(self, name, content):
        """At once: the broker looks when it likes."""
        new = self.dir / f"{name}.new"
        new.write_bytes(content)
        os.replace(new, self.dir / name)

    def reissue(self, name, begins, ends, signed_by=None):
        """Another certificate for the key of `name`; its times are days from now."""
        issuer, issuer_key = signed_by or self.authority()
        old = x509.load_pem_x509_certificate((self.dir / f"{name}.crt").read_bytes())
        now = datetime.datetime.utcnow()
        made = x509.CertificateBuilder(
            issuer.subject, old.subject, old.public_key(), x509.random_serial_number(),
            now + datetime.timedelta(days=begins), now + datetime.timedelta(days=ends))
        for each in old.extensions:
            if each.oid != ExtensionOID.AUTHORITY_KEY_IDENTIFIER:
                made = made.add_extension(each.value, each.critical)
        self.put(f"{name}.crt", made.sign(issuer_key, hashes.SHA256()).public_bytes(
            serialization.Encoding.PEM))

    def other_authority(self, name="another authority"):
        """(certificate, key)."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.utcnow()
        return x509.CertificateBuilder(
            subject, subject, key.public_key(), x509.random_serial_number(),
            now - datetime.timedelta(days=1), now + datetime.timedelta(days=365)).add_extension(
                x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256()), key

    def openssl(self, port=None, certificate=None):
        """What openssl's client gets for CONNECT, b"" if it is refused; it verifies the broker."""
        asks = ["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{port or self.port}",
                "-servername", "localhost", "-verify_hostname", "localhost",
                "-verify_return_error", "-CAfile", str(self.dir / "ca.crt")]
        if certificate:
            asks += ["-cert", str(self.dir / f"{certificate}.crt"),
                     "-key", str(self.dir / f"{certificate}.key")]
        with subprocess.Popen(asks, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as client:
            try:
                client.stdin.write(b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01o")
            except BrokenPipeError:
                pass  # it has refused, and gone
            answer = b""
            while len(answer) < 4 and (more := client.stdout.read(4 - len(answer))):
                answer += more
            client.kill()
            return answer

    WELCOME = b"\x20\x02\0\0"

    def revoke(self, *names, days=1, signed_by=None):
        issuer, key = signed_by or self.authority()
        now = datetime.datetime.utcnow()
        crl = x509.CertificateRevocationListBuilder(issuer.subject, now - datetime.timedelta(5),
                                                    now + datetime.timedelta(days=days))
        for name in names:
            revoked = x509.load_pem_x509_certificate((self.dir / f"{name}.crt").read_bytes())
            crl = crl.add_revoked_certificate(x509.RevokedCertificateBuilder(
                revoked.serial_number, now - datetime.timedelta(hours=1)).build())
        self.put("crl.pem", crl.sign(key, hashes.SHA256()).public_bytes(
            serialization.Encoding.PEM))
