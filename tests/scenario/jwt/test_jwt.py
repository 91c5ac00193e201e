"""Tokens made by PyJWT, and the real binary: test_jwt.py SHARDS STENTOR."""

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

import with_broker
from jwt_client import Client
from wire import AUTH, CONNACK, DISCONNECT, PUBACK, PUBLISH

SHARDS, STENTOR = sys.argv[1:3]
REFUSED = {4: 4, 5: 0x86}  # bad user name or password
SUBACK_REFUSED = {4: 0x80, 5: 0x87}
VERSIONS = (4, 5)
METHOD = "OAUTH2-JWT"
AGAIN = 0x19  # re-authenticate

RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
EC = {"ES256": ec.generate_private_key(ec.SECP256R1()),
      "ES384": ec.generate_private_key(ec.SECP384R1()),
      "ES512": ec.generate_private_key(ec.SECP521R1())}
SECRET = os.urandom(64)


def public_pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM,
                                         serialization.PublicFormat.SubjectPublicKeyInfo)


def jwk(key, kid):
    if isinstance(key, bytes):
        members = {"kty": "oct", "k": base64.urlsafe_b64encode(key).rstrip(b"=").decode()}
    elif isinstance(key, rsa.RSAPrivateKey):
        members = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    else:
        numbers = key.public_key().public_numbers()
        size = (key.curve.key_size + 7) // 8
        encode = lambda n: base64.urlsafe_b64encode(n.to_bytes(size, "big")).rstrip(b"=").decode()
        members = {"kty": "EC", "crv": f"P-{key.curve.key_size}",
                   "x": encode(numbers.x), "y": encode(numbers.y)}
    return members | {"kid": kid, "use": "sig"}


def token(key, algorithm, kid=None, seconds=3600, **claims):
    claims = {"sub": "anna", "exp": time.time() + seconds} | claims
    return jwt.encode({name: value for name, value in claims.items() if value is not None},
                      key, algorithm, headers={"kid": kid} if kid else None)


class JwtTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.log = tempfile.TemporaryFile("w+")
        self.addCleanup(self.log.close)
        self.clients = []
        self.keys = self.path("keys.json")
        self.write_keys(("rsa", RSA), ("hmac", SECRET), *EC.items())

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return self.path(name)

    def write_keys(self, *keys):
        fresh = self.write("fresh.json", json.dumps({"keys": [jwk(key, kid) for kid, key in keys]}))
        os.replace(fresh, self.keys)

    def start(self, *settings):
        more = [part for setting in settings for part in ("--set", setting)]
        broker, port = with_broker.start(
            STENTOR, SHARDS, self.log, "--set", f"auth.jwt.jwks_file={self.keys}",
            "--set", "auth.anonymous=never", *more)
        self.addCleanup(self.end, broker)
        self.assertIsNotNone(port, "did not start")
        self.broker, self.port = broker, int(port)

    def end(self, broker):
        for client in self.clients:
            client.close()
        end = with_broker.stop(broker)
        broker.stdout.close()
        if end != 0:
            self.fail(f"the broker's end: {end}; its log:\n{self.lines()}")

    def lines(self):
        self.log.seek(0)
        return self.log.read()

    def client(self, version):
        client = Client(self.port, version)
        self.clients.append(client)
        return client

    def reason(self, version, password, client_id="c", user="device", **more):
        client = self.client(version)
        answer = client.connect(client_id, user, password, **more)
        self.assertEqual(answer.kind, CONNACK)
        if answer.body[1] != 0:
            self.assertIsNone(client.receive(), "closed after a refusal")
        client.close()
        return answer.body[1]

    def connected(self, version, password, client_id="c", **more):
        client = self.client(version)
        answer = client.connect(client_id, "device", password, **more)
        self.assertEqual((answer.kind, answer.body[1]), (CONNACK, 0))
        return client

    def test_every_algorithm_that_others_sign_with(self):
        self.start()
        for version in VERSIONS:
            for algorithm in ("HS256", "HS384", "HS512"):
                self.assertEqual(self.reason(version, token(SECRET, algorithm)), 0, algorithm)
            for algorithm in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"):
                self.assertEqual(self.reason(version, token(RSA, algorithm, "rsa")), 0, algorithm)
            for algorithm, key in EC.items():
                self.assertEqual(self.reason(version, token(key, algorithm)), 0, algorithm)
        self.assertEqual(self.reason(5, token(RSA, "RS256"), user=None), 0, "no user name")

    def test_every_refusal_is_the_same(self):
        self.start("auth.jwt.issuer=https://id.example", "auth.jwt.algorithms=RS256,HS256",
                   "auth.failures_per_user_max=0")
        good = {"iss": "https://id.example"}
        forged = [
            token(OTHER_RSA, "RS256", **good),
            token(OTHER_RSA, "RS256", "rsa", **good),
            token(RSA, "RS256", "other", **good),
            token(RSA, "RS384", **good),
            token(EC["ES256"], "ES256", **good),
            token(RSA, "RS256", iss="https://other.example"),
            token(RSA, "RS256", seconds=-60, **good),
            token(RSA, "RS256", nbf=time.time() + 3600, **good),
            token(RSA, "RS256", exp=None, **good),
            token(RSA, "RS256", sub=None, **good),
            token(None, "none", **good),
            token(base64.b64encode(public_pem(RSA)), "HS256", **good),
            token(RSA, "RS256", **good)[:-4] + "AAAA",
            token(RSA, "RS256", x="y" * 20_000, **good),
            "correct horse", "a.b.c", ""]
        for version in VERSIONS:
            self.assertEqual(self.reason(version, token(RSA, "RS256", **good)), 0)
            for each in forged:
                self.assertEqual(self.reason(version, each), REFUSED[version], each)
        log = self.lines()
        self.assertIn("the token is refused: its signature is wrong", log)
        self.assertIn("there is no key with its kid", log)
        for each in forged[:13]:
            for part in each.split(".")[1:]:
                if part:
                    self.assertNotIn(part, log, "no token in the log")

    def test_names_have_to_match_where_that_is_configured(self):
        self.start("auth.jwt.user_must_match=true", "auth.jwt.client_id_claim=client")
        for version in VERSIONS:
            right = token(RSA, "RS256", client="c")
            self.assertEqual(self.reason(version, right, user="anna"), 0)
            self.assertEqual(self.reason(version, right, user="bob"), REFUSED[version])
            self.assertEqual(self.reason(version, right, "d", user="anna"), REFUSED[version])

    def test_rules_of_the_token_and_of_the_file(self):
        rules = self.write("acl", "user anna\ntopic own/#\npattern deny +/+/secret\n")
        self.start(f"auth.acl_file={rules}")
        acl = {"pub": ["up/%c/#"], "sub": ["down/${clientid}/+", "down/+/secret"], "all": ["%u"]}
        for version in VERSIONS:
            client = self.connected(version, token(RSA, "RS256", acl=acl), "c1")
            for topic, allowed in (("anna", True), ("down/c1/x", True), ("down/c2/x", False),
                                   ("#", False), ("up/c1/x", False), ("own/x", False),
                                   ("down/c1/secret", False)):
                expected = 1 if allowed else SUBACK_REFUSED[version]
                self.assertEqual(client.subscribe(topic), expected, topic)
            witness = self.connected(version, token(RSA, "RS256", acl={"sub": ["#"]}), "w")
            self.assertEqual(witness.subscribe("up/c1/x"), 1)
            for topic in ("up/c2/x", "own/x", "down/c1/x", "up/c1/secret", "up/c1/x"):
                client.publish(topic)
                self.assertEqual(client.receive().kind, PUBACK)
            message = witness.receive()
            self.assertEqual((message.kind, message.body[2:9]), (PUBLISH, b"up/c1/x"))
            plain = self.connected(version, token(RSA, "RS256"), "c1")  # takes over
            self.assertEqual(plain.subscribe("own/x"), 1, "no rules in the token: the file's")
            self.assertEqual(plain.subscribe("anna"), SUBACK_REFUSED[version])

    ROLES = ("role meter\npattern write meters/%u/%c\ntopic read prices/#\n"
             "role reader\ntopic read news/#\ntopic deny news/secret\n"
             "user anna\ntopic read own\nuser all\ntopic #\n")

    def all_there_is(self):
        """A client that may publish everything."""
        client = self.connected(5, token(RSA, "RS256", sub="all"), "all there is")
        return lambda *topics: [client.publish(topic) for topic in topics]

    def test_roles_of_the_token(self):
        rules = self.write("acl", self.ROLES)
        self.start(f"auth.acl_file={rules}")
        for version in VERSIONS:
            client = self.connected(version, token(RSA, "RS256", roles=["meter", "unknown"]), "c1")
            for topic, allowed in (("prices/1", True), ("own", True), ("news/1", False),
                                   ("meters/anna/c1", False)):
                expected = 1 if allowed else SUBACK_REFUSED[version]
                self.assertEqual(client.subscribe(topic), expected, topic)
            witness = self.connected(version, token(RSA, "RS256", sub="all"), "w")
            self.assertEqual(witness.subscribe("meters/#"), 1)
            for topic in ("meters/anna/c2", "meters/anna/c1"):
                client.publish(topic)
                self.assertEqual(client.receive().kind, PUBACK)
            self.assertIn(b"meters/anna/c1", witness.receive().body)
            # With rules in the token as well, what the file says about her name is not added.
            acl = {"sub": ["mine", "news/secret"]}
            both = self.connected(version, token(RSA, "RS256", acl=acl, roles="reader"), "c1")
            for topic, allowed in (("mine", True), ("news/1", True), ("own", False),
                                   ("prices/1", False), ("news/secret", False)):
                expected = 1 if allowed else SUBACK_REFUSED[version]
                self.assertEqual(both.subscribe(topic), expected, topic)
            for wrong in ({"meter": True}, [1], [""], [str(i) for i in range(65)]):
                self.assertEqual(self.reason(version, token(RSA, "RS256", roles=wrong)),
                                 REFUSED[version])
            witness.close()

    def test_roles_may_be_another_claim_or_none(self):
        rules = self.write("acl", self.ROLES)
        self.start(f"auth.acl_file={rules}", "auth.jwt.roles_claim=scope")
        client = self.connected(5, token(RSA, "RS256", scope="reader meter", roles=17))
        self.assertEqual((client.subscribe("news/1"), client.subscribe("prices/1")), (1, 1))

    def test_roles_change_under_a_session(self):
        rules = self.write("acl", self.ROLES)
        self.start(f"auth.acl_file={rules}")
        say = self.all_there_is()
        client, reason = self.by_method(token(RSA, "RS256", roles=["meter", "reader"]))
        self.assertEqual(reason, 0)
        for topic in ("news/1", "prices/1", "own"):
            self.assertEqual(client.subscribe(topic), 1)
        # By the next token.
        client.auth(AGAIN, METHOD, token(RSA, "RS256", roles=["meter"]))
        answer = client.receive()
        self.assertEqual((answer.kind, answer.reason), (AUTH, 0))
        say("news/1", "prices/1")
        self.assertIn(b"prices/1", client.receive().body)
        # By a token without any.
        client.auth(AGAIN, METHOD, token(RSA, "RS256"))
        self.assertEqual(client.receive().kind, AUTH)
        say("news/1", "prices/1", "own")
        self.assertIn(b"own", client.receive().body)
        # By the file.
        client.auth(AGAIN, METHOD, token(RSA, "RS256", roles=["meter", "reader"]))
        self.assertEqual(client.receive().kind, AUTH)
        self.write("acl", self.ROLES.replace("topic read prices/#", "topic deny prices/1"))
        self.broker.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + with_broker.PATIENCE_SECONDS
        while '"event":"reloaded"' not in self.lines():
            self.assertLess(time.monotonic(), deadline, self.lines())
        say("prices/1", "news/1")
        self.assertIn(b"news/1", client.receive().body)

    def test_a_kept_session_has_the_roles_of_the_newest_token(self):
        rules = self.write("acl", self.ROLES)
        self.start(f"auth.acl_file={rules}")
        say = self.all_there_is()
        for version in VERSIONS:
            name = f"kept{version}"
            wide = self.connected(version, token(RSA, "RS256", roles="reader meter"), name,
                                  kept=True)
            self.assertEqual((wide.subscribe("news/1"), wide.subscribe("prices/1")), (1, 1))
            wide.write(b"\xe0\0")
            self.assertIsNone(wide.receive())
            say("news/1", "prices/1")
            narrow = self.connected(version, token(RSA, "RS256", roles="meter"), name, kept=True)
            message = narrow.receive()
            self.assertEqual((message.kind, message.body[2:10]), (PUBLISH, b"prices/1"))
            narrow.close()

    def test_a_will_of_a_role(self):
        rules = self.write("acl", self.ROLES)
        self.start(f"auth.acl_file={rules}")
        for version in VERSIONS:
            refused = {4: 5, 5: 0x87}[version]
            made = token(RSA, "RS256", roles=["meter"])
            self.assertEqual(self.reason(version, made, will="news/1"), refused)
            witness = self.connected(version, token(RSA, "RS256", sub="all"), "w")
            self.assertEqual(witness.subscribe("meters/#"), 1)
            client = self.connected(version, made, "c1", will="meters/anna/c1")
            client.close()
            self.assertIn(b"meters/anna/c1", witness.receive().body)
            witness.close()

    def test_a_kept_session_reads_what_the_newest_token_allows(self):
        self.start()
        for version in VERSIONS:
            name = f"kept{version}"
            wide = self.connected(version, token(RSA, "RS256", acl={"all": ["a", "b"]}), name,
                                  kept=True)
            self.assertEqual((wide.subscribe("a"), wide.subscribe("b")), (1, 1))
            narrow = self.connected(version, token(RSA, "RS256", acl={"all": ["b"]}), name,
                                    kept=True)
            publisher = self.connected(version, token(RSA, "RS256"), "p")
            publisher.publish("a")
            publisher.publish("b")
            message = narrow.receive()
            self.assertEqual((message.kind, message.body[2:3]), (PUBLISH, b"b"))

    def test_a_will_has_to_be_allowed(self):
        self.start()
        acl = {"pub": ["mine"]}
        for version in VERSIONS:
            refused = {4: 5, 5: 0x87}[version]
            self.assertEqual(self.reason(version, token(RSA, "RS256", acl=acl), will="other"),
                             refused)
            self.assertEqual(self.reason(version, token(RSA, "RS256", acl=acl), will="mine"), 0)

    def test_the_connection_ends_with_the_token(self):
        self.start("auth.jwt.leeway=0s")
        for version in VERSIONS:
            witness = self.connected(version, token(RSA, "RS256"), "witness")
            self.assertEqual(witness.subscribe("will"), 1)
            for number in range(3):  # of several homes
                expires = time.time() + 1.2
                client = self.connected(version, token(EC["ES256"], "ES256", exp=expires),
                                        f"short {number}", will="will")
                self.assertEqual(client.subscribe("x"), 1)
                last = client.receive()
                if version == 5:
                    self.assertEqual((last.kind, last.reason), (DISCONNECT, 0xA0))
                    last = client.receive()
                self.assertIsNone(last, "closed")
                self.assertGreaterEqual(time.time(), expires - 0.1)
                self.assertEqual(witness.receive().kind, PUBLISH, "the will")
            witness.close()
        self.assertIn("credentials_expired", self.lines())

    def by_method(self, password, client_id="m"):
        client = self.client(5)
        client.connect_with(client_id, METHOD, password)
        answer = client.receive()
        self.assertEqual(answer.kind, CONNACK)
        return client, answer.reason

    def test_a_token_by_enhanced_authentication(self):
        self.start()
        acl = {"all": ["of/%c"]}
        client, reason = self.by_method(token(RSA, "RS256", acl=acl))
        self.assertEqual(reason, 0)
        self.assertEqual((client.subscribe("of/m"), client.subscribe("of/c")), (1, 0x87))
        for wrong in (token(OTHER_RSA, "RS256"), "", "x" * 20_000):
            client, reason = self.by_method(wrong)
            self.assertEqual(reason, 0x86)
            self.assertIsNone(client.receive())

    def test_a_new_token_before_the_old_one_ends(self):
        self.start("auth.jwt.leeway=0s")
        first = time.time() + 1.2
        client, reason = self.by_method(token(RSA, "RS256", exp=first, acl={"sub": ["a", "b"]}))
        self.assertEqual(reason, 0)
        self.assertEqual((client.subscribe("a"), client.subscribe("b")), (1, 1))
        second = first + 1
        client.auth(AGAIN, METHOD, token(EC["ES256"], "ES256", exp=second, acl={"sub": ["b"]}))
        answer = client.receive()
        self.assertEqual((answer.kind, answer.reason), (AUTH, 0))
        publisher = self.connected(5, token(RSA, "RS256"), "p")
        publisher.publish("a")
        publisher.publish("b")
        message = client.receive()
        self.assertEqual((message.kind, message.body[2:3]), (PUBLISH, b"b"))
        last = client.receive()
        self.assertEqual((last.kind, last.reason), (DISCONNECT, 0xA0))
        self.assertGreaterEqual(time.time(), second - 0.1)
        self.assertIsNone(client.receive())

    def test_a_new_token_that_is_not_accepted(self):
        self.start()
        for wrong in (token(OTHER_RSA, "RS256"), token(RSA, "RS256", sub="bob")):
            client, reason = self.by_method(token(RSA, "RS256"))
            self.assertEqual(reason, 0)
            client.auth(AGAIN, METHOD, wrong)
            last = client.receive()
            self.assertEqual((last.kind, last.reason), (DISCONNECT, 0x87))
            self.assertIsNone(client.receive())

    def accepted_at_last(self, key, wanted=0):
        """Once the keys are read, which is the condition that is waited for."""
        deadline = time.monotonic() + with_broker.PATIENCE_SECONDS
        while self.reason(5, token(key, "RS256")) != wanted:
            self.assertLess(time.monotonic(), deadline, self.lines())

    def test_keys_are_rotated_by_a_signal(self):
        self.start()
        stays = self.connected(5, token(RSA, "RS256"), "stays")
        self.assertEqual(self.reason(5, token(OTHER_RSA, "RS256")), 0x86)
        self.write_keys(("new", OTHER_RSA))
        self.broker.send_signal(signal.SIGHUP)
        self.accepted_at_last(OTHER_RSA)
        self.assertEqual(self.reason(5, token(RSA, "RS256")), 0x86)
        self.assertEqual(stays.subscribe("x"), 1)
        self.write("keys.json", '{"keys": [{"kty": "RSA"}]}')
        self.broker.send_signal(signal.SIGHUP)
        while "the old configuration stays in force" not in self.lines():
            self.assertEqual(self.reason(5, token(OTHER_RSA, "RS256")), 0)
        self.assertEqual(self.reason(5, token(OTHER_RSA, "RS256")), 0)
        self.assertIn("keys.json:1:11: key 1: \\\"n\\\" is missing", self.lines())

    def test_keys_are_rotated_by_themselves(self):
        self.start()
        self.write_keys(("new", OTHER_RSA))
        self.accepted_at_last(OTHER_RSA)
        self.assertEqual(self.reason(5, token(RSA, "RS256")), 0x86)

    def test_a_public_key_or_a_secret_in_a_file(self):
        for content, key, algorithm in ((public_pem(RSA), RSA, "PS256"),
                                        (public_pem(EC["ES384"]), EC["ES384"], "ES384"),
                                        (b"0123456789abcdef0123456789abcdef\n",
                                         "0123456789abcdef0123456789abcdef", "HS256")):
            with self.subTest(algorithm):
                file = self.write("key", content)
                self.write_keys(("other", OTHER_RSA))
                self.start(f"auth.jwt.key_file={file}")
                for version in VERSIONS:
                    self.assertEqual(self.reason(version, token(key, algorithm, "any")), 0)
                forged = token(base64.b64encode(content), "HS256")
                self.assertEqual(self.reason(5, forged), 0x86)

    def check(self, *settings):
        more = [part for setting in settings for part in ("--set", setting)]
        done = subprocess.run(
            [os.environ.get("STENTOR_BINARY", STENTOR), "check", "--listen", "mqtt://127.0.0.1:0",
             "--data", ":memory:", *more], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_check_names_mistakes(self):
        code, said = self.check(f"auth.jwt.jwks_file={self.keys}")
        self.assertEqual(code, 0, said)
        self.assertIn('RSA, 2048 bits, kid "rsa"', said)
        broken = self.write("broken.json", '{"keys": [\n  {"kty": "EC", "crv": "P-256"}\n]}\n')
        code, said = self.check(f"auth.jwt.jwks_file={broken}")
        self.assertEqual(code, 2)
        self.assertIn('broken.json:2:3: error: key 1: "x" is missing', said)
        code, said = self.check(f"auth.jwt.jwks_file={self.path('nowhere')}")
        self.assertEqual(code, 2)
        self.assertIn("auth.jwt.jwks_file", said)
        code, said = self.check("auth.jwt.algorithms=RS265")
        self.assertEqual(code, 2)
        self.assertIn('did you mean "RS256"?', said)
        self.assertNotEqual(self.check("auth.jwt.algorithms=none")[0], 0)
        secret = self.write("secret", b"too short")
        code, said = self.check(f"auth.jwt.key_file={secret}")
        self.assertEqual(code, 2)
        self.assertIn("the secret has 9 bytes", said)
        self.assertNotIn("too short", said)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
