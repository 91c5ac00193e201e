"""A web service that knows users, as the test says; and certificates for it."""

import datetime
import http.server
import ipaddress
import json
import socket
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class LoginService:
    """`answer(question)` returns what is sent: an object, (status, body) or (status, body,
    headers). It may block; each connection has a thread of its own."""

    def __init__(self, answer, port=0, tls=None):
        self.answer = answer
        self.questions = []  # (question, headers)
        self.connections = 0
        self.changed = threading.Condition()
        self.sockets = []
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_POST(self):
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with service.changed:
                    service.questions.append((question, dict(self.headers)))
                    service.changed.notify_all()
                said = service.answer(question)
                if isinstance(said, dict):
                    said = (200, json.dumps(said))
                status, body, *more = said
                body = body.encode() if isinstance(body, str) else body
                self.send_response(status)
                for name, value in (more[0] if more else {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def process_request(self, request, address):
                service.connections += 1
                service.sockets.append(request)
                super().process_request(request, address)

            def finish_request(self, request, address):
                # The handshake is the connection's thread's: whoever fails it disturbs nobody.
                if tls:
                    request = tls.wrap_socket(request, server_side=True)
                super().finish_request(request, address)

            def handle_error(self, request, address):
                pass  # the broker has closed the connection, which some tests want

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def asked(self, user=None):
        """How often, all in all or about one user."""
        with self.changed:
            return sum(user in (None, each["username"]) for each, _ in self.questions)

    def wait_for(self, user=None, count=1):
        """Until it has been asked about that user, or about anybody."""
        def is_done():
            return sum(user in (None, each["username"]) for each, _ in self.questions) >= count

        with self.changed:
            done = self.changed.wait_for(is_done, 20)
        assert done, f"nobody asked about {user}"

    def stop(self):
        """Ends it and all its connections; its port is free then."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        for each in self.sockets:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Authority:
    """A certificate authority of one test."""

    def __init__(self, directory, name):
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._builder(self.name, self.key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate = made.sign(self.key, hashes.SHA256())
        self.file = directory / f"{name}.crt"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(self, name, key):
        now = datetime.datetime.utcnow()
        day = datetime.timedelta(days=1)
        return (x509.CertificateBuilder().subject_name(name).issuer_name(self.name)
                .public_key(key.public_key()).serial_number(x509.random_serial_number())
                .not_valid_before(now - day).not_valid_after(now + day))

    def issue(self, name, *hosts):
        """Files of a certificate for these hosts and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key)
        if hosts:
            names = [x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit()
                     else x509.DNSName(host) for host in hosts]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        files = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM,
                                               serialization.PrivateFormat.PKCS8,
                                               serialization.NoEncryption()))
        return files

    def server_context(self, name, *hosts):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(name, *hosts))
        return context
