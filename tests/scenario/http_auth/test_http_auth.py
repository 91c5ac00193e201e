"""The real binary and a web service that knows the users (auth.http)."""

import json
import os
import pathlib
import ssl
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "access"))

import access_kit
from login_service import Authority, LoginService

VERSIONS = (4, 5)
WRONG = {4: 4, 5: 0x86}
UNAVAILABLE = {4: 3, 5: 0x88}
REFUSED = {4: 0x80, 5: 0x87}
PASSWORD = "correct horse"
ALLOW, DENY, IGNORE = {"result": "allow"}, {"result": "deny"}, {"result": "ignore"}


PROXY = 'proxy_protocol = true\ntrusted_proxies = ["127.0.0.1"]\n'
FROM_AFAR = b"PROXY TCP4 192.0.2.7 192.0.2.1 1000 1883\r\n"  # nobody throttles loopback


def by_password(question):
    return ALLOW if question["password"] == PASSWORD else DENY


class HttpAuthTest(access_kit.AccessCase):
    def service(self, answer=by_password, **how):
        made = LoginService(answer, **how)
        self.addCleanup(made.stop)
        return made

    def serve_with(self, service, *keys, auth="", listener=access_kit.AccessCase.LISTENER,
                   scheme="http", host="127.0.0.1"):
        """A broker that asks `service`; `keys` are more of [auth.http]."""
        url = f'url = "{scheme}://{host}:{service.port}/login"'
        self.sections = (listener, f'[auth]\nanonymous = "never"\n{auth}',
                         "[auth.http]", url, *keys)
        self.serve(*self.sections)

    def reason(self, user, password=PASSWORD, version=5, client_id="c", before=b""):
        client = self.client(version=version, before=before)
        code = client.ask(client_id, user, password)
        client.close()
        return code

    def log(self):
        return "".join(self.broker.lines)

    def test_the_service_of_the_documentation(self):
        docs = pathlib.Path(__file__).parents[3] / "docs" / "operations.md"
        code = docs.read_text().split("```python\n")[1].split("```")[0]
        code = code.replace("8000", "0").replace("server.serve_forever()", "")
        made = {}
        exec(compile(code, str(docs), "exec"), made)
        server = made["server"]
        server.RequestHandlerClass.log_message = lambda *_: None
        server.port, server.daemon_threads = server.server_address[1], True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        self.serve_with(server)
        anna = self.connected("c", "anna", PASSWORD)
        self.assertEqual(anna.subscribe("home/anna/#", "home/bert/#"), [1, 0x87])
        self.assertEqual(self.reason("anna", "x"), 0x86)
        self.assertEqual(self.reason("bert"), 0x86)

    def test_lets_in_and_refuses(self):
        service = self.service()
        self.serve_with(service)
        for version in VERSIONS:
            self.assertEqual(self.reason("anna", version=version, client_id=f"c{version}"), 0)
            self.assertEqual(self.reason("anna", "wrong secret", version), WRONG[version])
        question, headers = service.questions[0]
        self.assertEqual(question, {
            "clientid": "c4", "username": "anna", "password": PASSWORD, "address": "127.0.0.1",
            "listener": f"mqtt://127.0.0.1:{self.port}", "certificate": None})
        self.assertEqual(headers["Content-Type"], "application/json")
        nameless = self.client()
        self.assertEqual(nameless.ask("d"), 0x87, "nobody who gave no password has a wrong one")
        self.assertEqual(service.questions[-1][0]["username"], None)
        self.broker.said(event="not_admitted", reason="bad_user_name_or_password")
        self.assertNotIn(PASSWORD, self.log())
        self.assertNotIn("wrong secret", self.log())

    def test_ignored_users_are_those_of_the_file(self):
        self.user("add", "bert", "b")
        service = self.service(
            lambda question: IGNORE if question["username"] == "bert" else by_password(question))
        self.serve_with(service, auth='password_file = "users"\n')
        for version in VERSIONS:
            self.assertEqual(self.reason("bert", "b", version), 0)
            self.assertEqual(self.reason("bert", "c", version), WRONG[version])
            self.assertEqual(self.reason("anna", version=version), 0)

    def test_a_service_that_hangs_disturbs_nobody_else(self):
        hangs = threading.Event()
        self.addCleanup(hangs.set)

        def answer(question):
            if question["username"].startswith("slow"):
                hangs.wait(30)
            return ALLOW

        service = self.service(answer)
        self.serve_with(service, 'timeout = "2s"', "connections_max = 4")
        receiver = self.connected("receiver", "anna", PASSWORD)
        receiver.subscribe("news")
        sender = self.connected("sender", "bert", PASSWORD)
        codes = {}

        def knock(version, number):
            codes[version, number] = self.reason(
                f"slow{number}", version=version, client_id=f"slow{version}{number}")

        threads = [threading.Thread(target=knock, args=(version, number))
                   for version in VERSIONS for number in range(4)]
        for thread in threads:
            thread.start()
        service.wait_for(count=6)  # the two above, and four of them: all the connections there are
        rounds = 0
        while not codes:  # for all the time that they wait
            self.assertEqual(sender.publish("news"), 0)
            self.assertEqual(receiver.message()[0], "news")
            rounds += 1
        self.assertGreater(rounds, 10)
        # Known ones do not need the service.
        self.assertEqual(self.reason("bert", client_id="sender"), 0)
        for thread in threads:
            thread.join()
        for (version, _), code in codes.items():
            self.assertEqual(code, UNAVAILABLE[version])
        said = self.broker.said(event="auth_service_failed")
        self.assertIn("in time", said["msg"])
        hangs.set()
        self.assertEqual(self.reason("carl"), 0)
        self.broker.said(event="auth_service_answers")

    def test_what_is_no_answer_is_nobodys_wrong_password(self):
        answers = {
            "error": (500, "oops"),
            "html": (200, "<html>It works!</html>"),
            "huge": (200, " " * 1_000_000 + "{}"),
            "head": (200, "{}", {"X-Long": "x" * 20_000}),
            "moved": (302, "", {"Location": "http://127.0.0.1:1/"}),
            "nothing": (204, ""),
            "secret": (401, json.dumps(ALLOW)),
            "typo": {"result": "allow", "expires_at": 1},
            "rules": {"result": "allow", "acl": {"forbid": ["#"]}},
        }
        service = self.service(lambda question: answers.get(question["username"], ALLOW))
        self.serve_with(service, auth="failures_per_user_max = 2\nfailures_per_address_max = 2\n",
                        listener=self.LISTENER + PROXY)
        for name in answers:
            for version in VERSIONS:
                for _ in range(2):
                    self.assertEqual(self.reason(name, version=version, before=FROM_AFAR),
                                     UNAVAILABLE[version], name)
        answers.clear()
        for name in ("error", "huge"):
            self.assertEqual(self.reason(name, before=FROM_AFAR), 0, "not throttled or remembered")
        self.assertLess(self.log().count('"auth_service_failed"'), 36, "not for each of 36")

    def test_a_service_that_is_gone_and_comes_back(self):
        service = self.service()
        self.serve_with(service)
        self.assertEqual(self.reason("anna"), 0)
        service.stop()
        for version in VERSIONS:
            self.assertEqual(self.reason("bert", version=version), UNAVAILABLE[version])
        self.assertIn("onnect", self.broker.said(event="auth_service_failed")["msg"])
        again = self.service(port=service.port)
        self.assertEqual(self.reason("bert"), 0)
        self.broker.said(event="auth_service_answers")
        self.assertEqual(again.asked("bert"), 1)

    def test_a_service_that_restarts_between_two_questions(self):
        service = self.service()
        self.serve_with(service)
        for round_ in range(5):
            self.assertEqual(self.reason("anna", client_id=f"c{round_}"), 0)
            self.assertEqual(service.connections, 1)
            service.stop()
            service = self.service(port=service.port)
            self.assertEqual(self.reason("bert", client_id=f"c{round_}"), 0,
                             "the connection was kept, and is dead")
            self.assertEqual(service.asked("bert"), 1)
        self.assertNotIn("auth_service_failed", self.log())

    def test_answers_are_remembered_until_a_reload(self):
        service = self.service()
        self.serve_with(service, 'cache = "1h"', 'cache_refusals = "1h"')
        for _ in range(3):
            self.assertEqual(self.reason("anna"), 0)
            self.assertEqual(self.reason("anna", "x"), 0x86)
        self.assertEqual(service.asked(), 2)
        self.assertEqual(self.reason("anna", client_id="d"), 0)
        self.assertEqual(service.asked(), 3, "another client is another question")
        self.assertTrue(self.broker.reload())
        self.assertEqual(self.reason("anna"), 0)
        self.assertEqual(self.reason("anna", "x"), 0x86)
        self.assertEqual(service.asked(), 5)

    def test_nothing_is_remembered_if_nobody_wants_that(self):
        service = self.service()
        self.serve_with(service, "cache = 0")
        for _ in range(3):
            self.assertEqual(self.reason("anna"), 0)
        self.assertEqual(service.asked(), 3)
        self.assertEqual(service.connections, 1)

    def test_refusals_are_forgotten_by_themselves(self):
        service = self.service()
        self.serve_with(service, "cache_refusals = 0")
        self.assertEqual([self.reason("anna", "x"), self.reason("anna", "x")], [0x86, 0x86])
        self.assertEqual(service.asked(), 2)

    def test_guessing_is_slowed_down_all_the_same(self):
        service = self.service()
        self.serve_with(service, auth="failures_per_user_max = 3\n", listener=self.LISTENER + PROXY)
        codes = []
        for number in range(5):
            codes.append(self.reason("anna", f"guess {number}", before=FROM_AFAR))
        self.assertEqual(codes, [0x86] * 3 + [0x9F] * 2)
        self.assertEqual(service.asked(), 3)
        self.assertEqual(service.questions[0][0]["address"], "192.0.2.7")

    def test_a_fleet_behind_one_address_is_nobody_who_guesses(self):
        go = threading.Event()
        self.addCleanup(go.set)

        def answer(question):
            go.wait(30)
            return by_password(question)

        service = self.service(answer)
        self.serve_with(service, listener=self.LISTENER + PROXY)
        fleet = [self.client(before=FROM_AFAR) for _ in range(250)]
        for number, client in enumerate(fleet):
            client.request(f"c{number}", "fleet" if number % 2 else f"user{number}", PASSWORD)
        service.wait_for()
        go.set()
        self.assertEqual([client.answer() for client in fleet], [0] * len(fleet))

    def test_the_rules_of_the_answer(self):
        self.rules("user anna\ntopic own/#\npattern deny +/+/secret\n")
        acl = {"pub": ["up/%c/#"], "sub": ["down/%c/+", "down/+/secret"], "all": ["%u"]}

        def answer(question):
            if question["clientid"] == "plain":
                return ALLOW
            return {"result": "allow", "username": "anna",
                    "acl": {"sub": ["#"]} if question["clientid"] == "witness" else acl}

        self.serve_with(self.service(answer), auth='acl_file = "acl"\n')
        for version in VERSIONS:
            client = self.connected("c1", "key-7", version=version)
            for topic, allowed in (("anna", True), ("down/c1/x", True), ("down/c2/x", False),
                                   ("#", False), ("up/c1/x", False), ("own/x", False),
                                   ("down/c1/secret", False)):
                code = 1 if allowed else REFUSED[version]
                self.assertEqual(client.subscribe(topic), [code], topic)
            witness = self.connected("witness", "key-7")
            self.assertEqual(witness.subscribe("up/c1/x"), [1])
            for topic in ("up/c2/x", "own/x", "down/c1/x"):
                self.assertEqual(client.publish(topic), 0x87 if version == 5 else 0)
            client.publish("up/c1/x")
            self.assertEqual(witness.message()[0], "up/c1/x")
            plain = self.connected("plain", "anna", version=version)
            self.assertEqual(plain.subscribe("own/x", "anna"), [1, REFUSED[version]],
                             "no rules in the answer: the file's")

    def test_roles_of_the_answer(self):
        self.rules("role meter\npattern write meters/%u/%c\ntopic read prices/#\n"
                   "role reader\ntopic read news/#\nuser anna\ntopic read own\n")
        roles = {"m": ["meter"], "both": "meter reader", "none": [], "void": {"meter": True}}

        def answer(question):
            said = {"result": "allow", "username": "anna",
                    "roles": roles[question["username"]]}
            return said | ({"acl": {"sub": ["mine"]}} if question["clientid"] == "acl" else {})

        service = self.service(answer)
        self.serve_with(service, auth='acl_file = "acl"\n')
        for version in VERSIONS:
            no = REFUSED[version]
            for name, codes in (("m", [1, no, 1]), ("both", [1, 1, 1]), ("none", [no, no, 1])):
                for _ in range(2):  # asked, and from memory
                    client = self.connected("c", name, version=version)
                    self.assertEqual(client.subscribe("prices/1", "news/1", "own"), codes, name)
            client = self.connected("acl", "m", version=version)
            self.assertEqual(client.subscribe("mine", "prices/1", "news/1", "own"),
                             [1, 1, no, no])
            self.assertEqual(self.reason("void", version=version), UNAVAILABLE[version])
        self.assertEqual(service.asked("m"), 2, "once for each client identifier")
        self.assertIn("neither an array nor a text",
                      self.broker.said(event="auth_service_failed")["msg"])
        live = self.connected("c", "both")
        self.assertEqual(live.subscribe("news/1", "prices/1"), [1, 1])
        self.rules("role meter\ntopic #\nrole reader\ntopic deny news/#\n")
        self.assertTrue(self.broker.reload())
        for topic in ("news/1", "prices/1"):
            live.publish(topic)
        self.assertEqual(live.messages("prices/1"), ["prices/1"])

    def test_the_connection_ends_when_the_answer_says(self):
        ends = time.time() + 3
        self.serve_with(self.service(lambda _: {"result": "allow", "expire_at": ends}))
        clients = [self.connected(f"c{version}", version=version) for version in VERSIONS]
        known = self.connected("c5", version=5)  # from memory: the same end, and not a later one
        self.assertEqual(clients[1].farewell(), 0x8E)  # taken over
        self.assertIsNone(clients[0].farewell())
        self.assertEqual(known.farewell(), 0xA0)
        self.assertLess(ends - 0.1, time.time())
        self.assertEqual(self.reason("anna"), 0x86, "what has expired lets nobody in")

    def test_administrators(self):
        self.serve_with(self.service(
            lambda question: {"result": "allow", "admin": question["username"] == "root"}),
            listener="sys_interval = 0\n" + self.LISTENER)  # nothing between the answers
        for version in VERSIONS:
            root = self.connected("root", "root", version=version)
            self.assertEqual(root.subscribe("$SYS/#"), [1])
            self.assertTrue(self.broker.reload())
            self.assertEqual(root.subscribe("$SYS/broker/#"), [1], "still, after a reload")
            anna = self.connected("anna", "anna", version=version)
            self.assertEqual(anna.subscribe("$SYS/#"), [REFUSED[version]])

    def test_whom_it_let_in_goes_when_nobody_is_asked_any_more(self):
        self.serve_with(self.service())
        client = self.connected("c", "anna", PASSWORD)
        self.assertTrue(self.broker.reload())
        self.assertLess(client.publish("x"), 0x80, "a reload alone changes nothing")
        text = self.broker.config.read_text()
        self.broker.config.write_text(text[:text.index("[auth.http]")])
        self.assertTrue(self.broker.reload())
        self.assertEqual(client.farewell(), 0x87)

    def test_headers_from_a_file(self):
        (self.dir / "headers").write_text("# who we are\nAuthorization: Bearer s3cret-token\n")
        service = self.service()
        self.serve_with(service, 'headers_file = "headers"')
        self.assertEqual(self.reason("anna"), 0)
        self.assertEqual(service.questions[0][1]["Authorization"], "Bearer s3cret-token")
        (self.dir / "headers").write_text("Authorization: Bearer n3xt-token\n")
        self.assertTrue(self.broker.reload())
        self.assertEqual(self.reason("anna"), 0)
        self.assertEqual(service.questions[1][1]["Authorization"], "Bearer n3xt-token")
        (self.dir / "headers").write_text("Authorization Bearer lost-token\n")
        self.assertFalse(self.broker.reload())
        self.assertEqual(self.reason("bert"), 0)
        self.assertEqual(service.questions[2][1]["Authorization"], "Bearer n3xt-token")
        for secret in ("s3cret", "n3xt", "lost-token"):
            self.assertNotIn(secret, self.log())

    def test_over_tls(self):
        ours, others = Authority(self.dir, "ours"), Authority(self.dir, "others")
        service = self.service(tls=ours.server_context("service", "localhost", "127.0.0.1"))
        self.serve_with(service, 'ca_file = "ours.crt"', scheme="https", host="localhost")
        for number in range(3):
            self.assertEqual(self.reason("anna", client_id=str(number)), 0)
        self.assertEqual((service.asked(), service.connections), (3, 1))
        text = self.broker.config.read_text()

        def reloaded(old, new):
            self.broker.config.write_text(text.replace(old, new))
            self.assertTrue(self.broker.reload())
            return self.broker.mark()

        reloaded("https://localhost", "https://127.0.0.1")
        self.assertEqual(self.reason("anna"), 0, "an address in the certificate")
        for old, new in (("ours.crt", "others.crt"), ('ca_file = "ours.crt"', "")):
            since = reloaded(old, new)
            for version in VERSIONS:
                self.assertEqual(self.reason("anna", version=version), UNAVAILABLE[version])
            said = self.broker.said(since, event="auth_service_failed")
            self.assertIn("not trusted", said["msg"])
        self.assertEqual(service.asked(), 4)
        del others

    def test_over_tls_for_another_host(self):
        ours = Authority(self.dir, "ours")
        service = self.service(tls=ours.server_context("service", "auth.example.org"))
        self.serve_with(service, 'ca_file = "ours.crt"', scheme="https")
        self.assertEqual(self.reason("anna"), 0x88)
        self.assertIn("not for the host", self.broker.said(event="auth_service_failed")["msg"])
        self.assertEqual(service.asked(), 0, "no password has left")

    def test_a_service_that_does_not_speak_tls(self):
        self.serve_with(self.service(), scheme="https")
        self.assertEqual(self.reason("anna"), 0x88)
        self.assertIn("TLS failed", self.broker.said(event="auth_service_failed")["msg"])

    def certified(self, name):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.authority.file)
        context.load_cert_chain(*self.authority.issue(name))
        client = self.client()
        client.wrap(context)
        return client

    def test_clients_with_certificates(self):
        self.authority = Authority(self.dir, "ours")
        self.authority.issue("server", "localhost")
        listener = ('[[listener]]\nurl = "mqtts://127.0.0.1:0"\ntls = { certificate = "server.crt",'
                    ' key = "server.key", client_ca = "ours.crt", client_certificate = "optional" '
                    "}\n")
        acl = {"all": ["of/%u"]}
        service = self.service(
            lambda question: {"result": "allow", "acl": acl} if question["certificate"] == "device"
            else IGNORE if question["certificate"] == "other" else DENY)
        self.serve_with(service, "certificates = true", listener=listener)
        device = self.certified("device")
        self.assertEqual(device.ask("c"), 0)
        self.assertEqual(device.subscribe("of/device", "of/other"), [1, 0x87])
        self.assertEqual(self.certified("stolen").ask("c"), 0x87)
        other = self.certified("other")
        self.assertEqual(other.ask("c"), 0, "the certificate is enough where the service says so")
        self.assertEqual(other.subscribe("of/device"), [1])
        text = self.broker.config.read_text()
        self.broker.config.write_text(text.replace("certificates = true", ""))
        self.assertTrue(self.broker.reload())
        asked = service.asked()
        self.assertEqual(self.certified("stolen").ask("c"), 0)
        self.assertEqual(service.asked(), asked)

    def test_who_is_an_administrator_by_a_certificate_is_looked_up_again(self):
        self.authority = Authority(self.dir, "ours")
        self.authority.issue("server", "localhost")
        self.serve("sys_interval = 0",
                   '[[listener]]\nurl = "mqtts://127.0.0.1:0"\ntls = { certificate = "server.crt",'
                   ' key = "server.key", client_ca = "ours.crt", client_certificate = "required" }',
                   '[http]\nadmins = ["certificate:device"]')
        device = self.certified("device")
        self.assertEqual(device.ask("c"), 0)
        self.assertEqual(device.subscribe("$SYS/broker/#"), [1])
        text = self.broker.config.read_text()
        for admins, code in (("password:device", 0x87), ("certificate:device", 1)):
            self.broker.config.write_text(text.replace("certificate:device", admins))
            self.assertTrue(self.broker.reload())
            self.assertEqual(device.subscribe("$SYS/#"), [code], admins)

    def test_a_proxys_certificate_is_not_that_of_those_behind_it(self):
        self.authority = Authority(self.dir, "ours")
        self.authority.issue("server", "localhost")
        self.serve('[[listener]]\nurl = "auto://127.0.0.1:0"\n'
                   'trusted_proxies = ["127.0.0.1"]\ntls = { certificate = "server.crt",'
                   ' key = "server.key", client_ca = "ours.crt", client_certificate = "required" }',
                   '[http]\nadmins = ["certificate:proxy"]')

        def head_of_answer(client):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.take(1)
            return head

        def ask(head):
            kept.write(b"HEAD /metrics HTTP/1.1\r\nHost: example.org\r\n" + head + b"\r\n")
            return head_of_answer(kept)[:12]

        kept = self.certified("proxy")
        for mark in (b"X-Forwarded-For: 192.0.2.7\r\n", b"X-Forwarded-For: 127.0.0.1\r\n",
                     b"Via: 1.1 proxy\r\n"):
            self.assertEqual(ask(b""), b"HTTP/1.1 200", "the proxy itself")
            self.assertEqual(ask(mark), b"HTTP/1.1 401", mark)
        upgrade = (b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                   b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                   b"Sec-WebSocket-Protocol: mqtt\r\n"
                   b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n")
        connect = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01c"
        for head, reason in ((b"", 0), (b"X-Forwarded-For: 192.0.2.7\r\n", 0x87)):
            client = self.certified("proxy")
            client.write(upgrade + head + b"\r\n")
            self.assertTrue(head_of_answer(client).startswith(b"HTTP/1.1 101"))
            client.write(b"\x82" + bytes([0x80 | len(connect)]) + bytes(4) + connect)
            self.assertEqual(client.take(1), b"\x82")
            frame = client.take(client.take(1)[0])
            self.assertEqual((frame[0], frame[3]), (0x20, reason))

    def check(self, *keys):
        file = self.dir / "check.toml"
        file.write_text("\n".join(['[node]\ndata_dir = ":memory:"', self.LISTENER, "[auth.http]",
                                   *keys, ""]))
        done = subprocess.run([access_kit.STENTOR, "check", "-c", str(file)], cwd=self.dir,
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_check_says_what_is_wrong_where_and_what_to_do(self):
        code, said = self.check('url = "https://auth.example.org/login?key=s3cret"')
        self.assertEqual(code, 0, said)
        self.assertIn("https://auth.example.org/login, with a certificate from the system's", said)
        self.assertNotIn("s3cret", said)
        code, said = self.check('url = "http://auth.example.org/login"', 'ca_file = ""')
        self.assertEqual(code, 0)
        self.assertIn("in clear", said)
        for url, wrong in (("auth.example.org", "not a URL"), ("ftp://a/", "no web service"),
                           ("https://a:b@c/", "no name and password")):
            code, said = self.check(f'url = "{url}"')
            self.assertEqual(code, 2)
            self.assertIn(wrong, said)
            self.assertIn("check.toml:", said)
        (self.dir / "empty.crt").write_text("no certificate here\n")
        for file, wrong in (("nowhere.crt", "auth.http.ca_file"),
                            ("empty.crt", "no certificate of an authority")):
            code, said = self.check('url = "https://a/"', f'ca_file = "{file}"')
            self.assertEqual(code, 2)
            self.assertIn(wrong, said)
            self.assertIn(file, said)
        (self.dir / "headers").write_text("Good: x\nHost: s3cret\n")
        code, said = self.check('url = "https://a/"', 'headers_file = "headers"')
        self.assertEqual(code, 2)
        self.assertIn("headers:2:1: error: the header Host is the broker's to set", said)
        self.assertNotIn("s3cret", said)


if __name__ == "__main__":
    unittest.main()
