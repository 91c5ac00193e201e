#!/usr/bin/env python3
"""`stentor import`: what it makes of real mosquitto.conf files, and that both brokers then let in,
and pass on, the same."""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "access"))
from access_kit import PATIENCE, SHARDS, STENTOR, AccessCase, Client, Closed  # noqa: E402
from broker import BrokerProcess, die_with_parent  # noqa: E402

EXAMPLES = ("/etc/mosquitto/mosquitto.conf", "/usr/share/doc/mosquitto/examples/mosquitto.conf")
MOSQUITTO = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")

CONF = """
# as in many guides
per_listener_settings false
persistence true
persistence_location {dir}/mosquitto/
log_dest stderr
log_type warning
max_inflight_messages 50
max_queued_messages 200
allow_anonymous false
password_file {dir}/passwords
acl_file {dir}/acl
listener {port} 127.0.0.1
listener {tls_port} 127.0.0.1
certfile {dir}/server.crt
keyfile {dir}/server.key
"""

ACL = """
topic read news/#

user anna
topic readwrite home/#
topic deny home/secret

pattern write devices/%c/up
"""


def run(*command, **how):
    return subprocess.run([str(each) for each in command], capture_output=True, text=True,
                          timeout=60, check=False, **how)


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Files(AccessCase):
    def test_debians_files_are_taken(self):
        for example in EXAMPLES:
            if not pathlib.Path(example).exists():
                continue  # documentation may be left out of an installation
            done = run(STENTOR, "import", example, "--data", self.dir / "data")
            self.assertEqual((done.returncode, "warning: unknown" in done.stderr), (0, False),
                             done.stderr)
            file = self.dir / "stentor.toml"
            file.write_text(done.stdout.replace(":1883", ":0"))
            checked = run(STENTOR, "check", "-c", file)
            self.assertEqual(checked.returncode, 0, done.stdout + checked.stderr)

    def test_every_directive_of_mosquittos_example_is_known(self):
        example = pathlib.Path(EXAMPLES[1])
        if not example.exists():
            self.skipTest("this system has no documentation")
        names = re.findall(r"^#([a-z_]+)(?: |$)", example.read_text(), re.MULTILINE)
        file = self.dir / "all.conf"
        bridge = names.index("connection")
        file.write_text("".join(f"{name} 1\n" for name in names[:bridge]) + "connection edge\n" +
                        "".join(f"{name} 1\n" for name in names[bridge + 1:]
                                if name != "include_dir"))
        done = run(STENTOR, "import", file)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("unknown directive", done.stderr)
        self.assertGreater(len(names), 80)

    def test_what_is_written_does_not_overwrite(self):
        file = self.dir / "mosquitto.conf"
        file.write_text("allow_anonymous false\nnonsense 1\n")
        made = self.dir / "made.toml"
        done = run(STENTOR, "import", file, "-o", made)
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertIn(f"{file}:2:1: warning: unknown directive `nonsense`", done.stderr)
        content = made.read_text()
        self.assertIn('anonymous = "never"  # mosquitto.conf:1', content)
        done = run(STENTOR, "import", file, "-o", made)
        self.assertEqual((done.returncode, made.read_text()), (1, content))

    def test_a_file_that_cannot_be_read(self):
        done = run(STENTOR, "import", self.dir / "nowhere")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("nowhere", done.stderr)


class BothBrokers(AccessCase):
    def setUp(self):
        super().setUp()
        self.ports = free_ports(2)
        made = run(STENTOR, "init", self.dir / "init", "--host", "localhost")
        self.assertEqual(made.returncode, 0, made.stderr)
        for name in ("server.crt", "server.key"):
            shutil.copy(self.dir / "init" / name, self.dir / name)
        (self.dir / "passwords").touch(0o600)
        for name in ("anna", "bert"):
            run("mosquitto_passwd", "-b", self.dir / "passwords", name, name * 2)
        (self.dir / "acl").write_text(ACL)
        (self.dir / "mosquitto").mkdir()
        self.conf = self.dir / "mosquitto.conf"
        self.conf.write_text(CONF.format(dir=self.dir, port=self.ports[0], tls_port=self.ports[1]))

    def mosquitto(self):
        user = [] if os.geteuid() != 0 else ["user root\n"]
        with open(self.conf, "a", encoding="ascii") as conf:
            conf.writelines(user)
        process = subprocess.Popen([MOSQUITTO, "-c", self.conf], preexec_fn=die_with_parent,
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        while True:  # it does not say when it listens
            try:
                socket.create_connection(("127.0.0.1", self.ports[1]), PATIENCE).close()
                return
            except ConnectionRefusedError:
                self.assertIsNone(process.poll())

    def stentor(self):
        done = run(STENTOR, "import", self.conf, "--data", self.dir / "data")
        self.assertEqual(done.returncode, 0, done.stderr)
        file = self.dir / "stentor.toml"
        file.write_text(done.stdout)
        checked = run(STENTOR, "check", "-c", file)
        self.assertEqual(checked.returncode, 0, done.stdout + checked.stderr)
        broker = BrokerProcess(STENTOR, "-c", str(file), "--set", f"node.shards={SHARDS}",
                               "--set", "store.min_free_bytes=1MiB", patience=PATIENCE)
        self.assertTrue(broker.wait_until_ready(), broker.lines)
        self.assertEqual(broker.ports, self.ports)
        return broker

    def let_in(self, *who):
        client = Client(self.ports[0])
        try:
            return client.ask(*who) == 0
        except Closed:
            return False
        finally:
            client.close()

    def passed_on(self, publisher, topic):
        """Whether what `publisher` says there reaches a reader of everything."""
        reader = Client(self.ports[0])
        self.assertEqual(reader.ask("reader", "anna", "annaanna"), 0)
        reader.subscribe("home/#", "end")
        writer = Client(self.ports[0])
        self.assertEqual(writer.ask(*publisher), 0)
        writer.publish(topic)
        # Behind it comes what is allowed: it ends the wait.
        last = Client(self.ports[0])
        self.assertEqual(last.ask("last", "anna", "annaanna"), 0)
        last.publish("home/end")
        topics = reader.messages(until="home/end")
        for client in (reader, writer, last):
            client.close()
        return topic in topics

    def behaviour(self):
        anna, bert = ("a", "anna", "annaanna"), ("b", "bert", "bertbert")
        return {
            "anna": self.let_in(*anna),
            "a wrong password": self.let_in("a", "anna", "wrong"),
            "nobody": self.let_in("a"),
            "anna at home": self.passed_on(anna, "home/door"),
            "anna's secret": self.passed_on(anna, "home/secret"),
            "bert at anna's home": self.passed_on(bert, "home/door"),
            "TLS": run("openssl", "s_client", "-connect", f"127.0.0.1:{self.ports[1]}", "-CAfile",
                       self.dir / "init/ca.crt", "-verify_return_error",
                       stdin=subprocess.DEVNULL).returncode == 0,
        }

    @unittest.skipUnless(MOSQUITTO, "there is no mosquitto here")
    def test_they_agree(self):
        broker = self.stentor()
        try:
            ours = self.behaviour()
        finally:
            broker.stop()
        self.mosquitto()
        self.assertEqual(ours, self.behaviour())
        self.assertEqual([name for name, allowed in ours.items() if allowed],
                         ["anna", "anna at home", "TLS"])


if __name__ == "__main__":
    unittest.main()
