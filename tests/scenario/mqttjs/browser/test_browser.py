#!/usr/bin/env python3
"""MQTT.js in headless Chromium, over ws:// and wss://.

    SHARDS=N STENTOR=PATH MQTTJS=.../mqtt/dist/mqtt.min.js test_browser.py

The page that tests (page.js) comes from a small web server of this program, which also takes the
results, and cuts connections when the page asks for it. The browser trusts the broker's certificate
by its key; another broker's it must refuse.
"""

import base64
import hashlib
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

from access_kit import PATIENCE, STENTOR, AccessCase
from broker import die_with_parent
from cryptography import x509
from cryptography.hazmat.primitives import serialization

HERE = pathlib.Path(__file__).parent
FILES = {"/": (HERE / "page.html", "text/html"),
         "/page.js": (HERE / "page.js", "text/javascript"),
         "/mqtt.min.js": (pathlib.Path(os.environ["MQTTJS"]), "text/javascript")}
BROWSER_PATIENCE = 240  # for all of the page's tests


class Relay:
    """A way to one of the broker's doors that can be cut and mended."""

    def __init__(self, port):
        self.to = port
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port = self.door.getsockname()[1]
        self.guard = threading.Lock()
        self.open = []
        self.whole = True
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                client, _ = self.door.accept()
            except OSError:
                return
            with self.guard:
                if not self.whole:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self.to), PATIENCE)
                self.open += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source, sink):
        try:
            while piece := source.recv(65536):
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self):
        with self.guard:
            self.whole = False
            for each in self.open:
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                each.close()
            self.open.clear()

    def mend(self):
        with self.guard:
            self.whole = True

    def close(self):
        self.door.shutdown(socket.SHUT_RDWR)
        self.door.close()
        self.cut()


class Web(http.server.ThreadingHTTPServer):
    """Serves the page; `results` fills up, "end" comes last."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Visitor)
        self.doors = {}
        self.relays = {}
        self.results = []
        self.changed = threading.Condition()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def take(self, result):
        with self.changed:
            self.results.append(result)
            self.changed.notify_all()

    def ended(self):
        return any(result["name"] == "end" for result in self.results)


class Visitor(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("#")[0]
        if path == "/doors":
            self.answer(json.dumps(self.server.doors).encode(), "application/json")
        elif path in FILES:
            file, kind = FILES[path]
            self.answer(file.read_bytes(), kind)
        else:
            self.send_error(404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        _, action, name = (self.path + "/").split("/")[:3]
        if action == "result":
            self.server.take(json.loads(body))
        else:
            getattr(self.server.relays[name], action)()
        self.answer(b"", "text/plain")

    def answer(self, body, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def key_pin(certificate):
    """What --ignore-certificate-errors-spki-list wants."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    der = key.public_bytes(serialization.Encoding.DER,
                           serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


class Browser(AccessCase):
    TLS = 'tls = {{ certificate = "{0}server.crt", key = "{0}server.key" }}\n'

    @staticmethod
    def listener(url, more=""):
        return f'[[listener]]\nurl = "{url}"\n{more}'

    def serve_all(self, web):
        for directory in (self.dir, self.dir / "other"):
            subprocess.run([STENTOR, "init", str(directory), "--host", "localhost"], check=True,
                           capture_output=True)
        tls, other = self.TLS.format(""), self.TLS.format("other/")
        # Pages of localhost are welcome, those of 127.0.0.1 are of another origin.
        ours = f'allowed_origins = ["http://localhost:{web.server_port}"]\n'
        self.serve(self.listener("ws://127.0.0.1:0/mqtt"),
                   self.listener("wss://127.0.0.1:0/mqtt", tls),
                   self.listener("auto://127.0.0.1:0", tls),
                   self.listener("wss://127.0.0.1:0/mqtt", other),
                   self.listener("ws://127.0.0.1:0/mqtt", ours),
                   self.listener("wss://127.0.0.1:0/mqtt", ours + tls))
        ws, wss, auto, foreign, guarded, guarded_tls = self.broker.ports
        web.relays = {"ws": Relay(ws), "wss": Relay(wss)}
        for relay in web.relays.values():
            self.addCleanup(relay.close)
        url = "{}://localhost:{}/mqtt".format
        web.doors = {
            "ws": url("ws", ws), "wss": url("wss", wss), "auto": url("wss", auto),
            "foreign": url("wss", foreign),
            "guarded": [url("ws", guarded), url("wss", guarded_tls)],
            "relays": {name: {"name": name, "url": url(name, relay.port)}
                       for name, relay in web.relays.items()},
            "stranger": f"http://127.0.0.1:{web.server_port}/#stranger"}

    def browse(self, web, url):
        """Chromium with a profile of its own; what it says, in a file."""
        home = tempfile.mkdtemp(dir=self.dir)
        said = open(self.dir / "chromium.log", "w+", encoding="utf-8")
        self.addCleanup(said.close)
        process = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", "--no-proxy-server", f"--user-data-dir={home}/profile",
             f"--ignore-certificate-errors-spki-list={key_pin(self.dir / 'server.crt')}",
             "--remote-debugging-port=0", url],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=os.environ | {"HOME": home},
            start_new_session=True, preexec_fn=die_with_parent)

        def notice_end():
            process.wait()
            with web.changed:
                web.changed.notify_all()
        threading.Thread(target=notice_end, daemon=True).start()

        def end():
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended by itself, and the test has said so
            process.wait(PATIENCE)
            shutil.rmtree(home, ignore_errors=True)
        self.addCleanup(end)
        return process, said

    def test_page(self):
        web = Web()
        self.addCleanup(web.server_close)
        self.addCleanup(web.shutdown)
        self.serve_all(web)
        process, said = self.browse(web, f"http://localhost:{web.server_port}/")
        with web.changed:
            came = web.changed.wait_for(lambda: web.ended() or process.poll() is not None,
                                        BROWSER_PATIENCE)
            results = list(web.results)
        if not came or not web.ended():
            said.seek(0)
            self.fail(f"the browser ({process.poll()}) came as far as {results[-1:]}: {said.read()}"
                      f"\n{''.join(self.broker.lines[-40:])}")
        for result in results:
            with self.subTest(test=result["name"]):
                self.assertIsNone(result["error"], "".join(self.broker.lines[-40:]))
        # ws, wss and auto in two versions with two tests, two of the doors also with cuts, three
        # farewells, four of origins and certificates, and the end.
        self.assertEqual(len(results), 3 * 2 * 2 + 2 * 2 + 3 + 4 + 1)
        self.broker.find(lambda line: "rigin" in line, 0, "a refused origin")


if __name__ == "__main__":
    unittest.main()
