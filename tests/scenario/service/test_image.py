#!/usr/bin/env python3
"""docker/Dockerfile, built by buildah without a Docker engine and without a registry, and the
container run as its user: health check, a client from outside, SIGTERM.

    test_image.py BUILD_DIRECTORY

The base image is made by debootstrap, once per build directory (it fetches 60 MB from Debian's
mirror). The first stage, which builds the package as `./stentor.sh package` does, is replaced by
the package of this build directory unless STENTOR_IMAGE_FROM_SOURCE is set: it takes as long as a
build from nothing. Needs root, buildah and debootstrap; without them it is skipped and says so.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
PATIENCE = 600
BASE = "debian:bookworm-slim"


def run(*command, **how):
    return subprocess.run([str(each) for each in command], capture_output=True, text=True,
                          timeout=PATIENCE, check=False, **how)


def must(*command, **how):
    done = run(*command, **how)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout.strip()


def base_tree():
    tree = BUILD / "debian-bookworm"
    if not (tree / "usr/bin/dpkg").exists():
        must("debootstrap", "--variant=minbase", "bookworm", tree)
    return tree


class Image(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.store = pathlib.Path(tempfile.mkdtemp(prefix="stentor-images-"))
        cls.addClassCleanup(shutil.rmtree, cls.store, ignore_errors=True)
        container = cls.buildah("from", "scratch")
        cls.buildah("copy", "-q", container, base_tree(), "/")
        cls.buildah("commit", "-q", "--rm", container, f"docker.io/library/{BASE}")
        cls.buildah("bud", "--pull-never", "--isolation", "chroot", "-q", "-f", cls.dockerfile(),
                    "-t", "stentor", "--ignorefile", cls.store / "ignore", ROOT)

    @classmethod
    def buildah(cls, *arguments, **how):
        return must("buildah", "--root", cls.store / "root", "--runroot", cls.store / "run",
                    "--storage-driver", "vfs", *arguments, **how)

    @classmethod
    def dockerfile(cls):
        (cls.store / "ignore").write_text("")
        text = (ROOT / "docker/Dockerfile").read_text()
        if "STENTOR_IMAGE_FROM_SOURCE" in os.environ:
            (cls.store / "ignore").write_text((ROOT / ".dockerignore").read_text())
            return ROOT / "docker/Dockerfile"
        package = BUILD / "package/stentor.deb"
        wanted = re.search(r"COPY --from=build (\S+) ", text).group(1)
        stage = re.search(r"(?s)FROM \S+ AS build\n.*?\n(?=FROM )", text).group()
        # The context is the whole repository; only this one file of it is wanted.
        (cls.store / "ignore").write_text(f"*\n!{package.relative_to(ROOT)}\n!docker\n")
        file = cls.store / "Dockerfile"
        file.write_text(text.replace(
            stage, f"FROM scratch AS build\nCOPY {package.relative_to(ROOT)} {wanted}\n\n"))
        return file

    def inspect(self):
        image = json.loads(self.buildah("inspect", "--type", "image", "stentor"))
        return image["Docker"]["config"]

    def test_what_the_image_says(self):
        config = self.inspect()
        self.assertEqual(config["User"], "stentor")
        self.assertEqual(config["Entrypoint"], ["stentor"])
        self.assertEqual(config["Cmd"], ["serve", "-c", "/etc/stentor/stentor.toml"])
        self.assertIn("/var/lib/stentor", config["Volumes"])
        self.assertIn("1883/tcp", config["ExposedPorts"])

    def test_a_container_serves_and_is_healthy(self):
        container = self.buildah("from", "--pull-never", "stentor")
        self.addCleanup(self.buildah, "rm", container)
        tree = pathlib.Path(self.buildah("mount", container))
        self.assertFalse((tree / "usr/bin/g++").exists())
        self.assertFalse((tree / "lib/systemd/systemd").exists(), "all of systemd came along")

        def inside(*command, **how):
            return self.buildah("run", "--isolation", "chroot", "--network", "host", "--user",
                                "stentor", container, "--", *command, **how)
        self.assertEqual(inside("id", "-un"), "stentor")
        inside("stentor", "user", "add", "/etc/stentor/users/users", "anna", "--password-file", "-",
               input="secret\n")
        # One shell, so that the broker's end is seen; the health check is Docker's own line.
        check = re.search(r'HEALTHCHECK .* CMD \[(.*)\]', (ROOT / "docker/Dockerfile").read_text())
        command = " ".join(re.findall(r'"([^"]*)"', check.group(1)))
        said = inside("sh", "-c", f"""
            {command} && echo healthy before
            stentor serve -c /etc/stentor/stentor.toml >/tmp/out 2>/tmp/log &
            until grep -q ready /tmp/out; do kill -0 $! || exit 1; done
            {command} && echo healthy
            stentor pub -u anna -P secret -t t -m m -q 1 && echo published
            kill -TERM $! && wait $! && echo stopped
            {command} || echo ill""")
        self.assertEqual(said.splitlines(), ["ok", "healthy", "published", "stopped", "ill"])


class Compose(unittest.TestCase):
    """As far as that goes without Docker: they are YAML, and name what is there."""

    def test_files_that_are_mounted_exist(self):
        for file in ("compose.yml", "compose.monitoring.yml"):
            services = yaml.safe_load((ROOT / "docker" / file).read_text())["services"]
            for name, service in services.items():
                for mount in service.get("volumes", []):
                    source = mount.split(":")[0]
                    if source.startswith(".") and "/secrets/" not in source:
                        with self.subTest(service=name, source=source):
                            self.assertTrue((ROOT / "docker" / source).is_file())

    def test_grafanas_provisioning_is_yaml_and_finds_the_dashboard(self):
        grafana = ROOT / "docker/grafana"
        provider, = yaml.safe_load((grafana / "dashboards.yml").read_text())["providers"]
        compose = yaml.safe_load((ROOT / "docker/compose.monitoring.yml").read_text())
        mounts = compose["services"]["grafana"]["volumes"]
        self.assertTrue([mount for mount in mounts
                         if mount.split(":")[1].startswith(provider["options"]["path"] + "/")])
        source, = yaml.safe_load((grafana / "datasources.yml").read_text())["datasources"]
        port = compose["services"]["prometheus"]["ports"][0].rpartition(":")[2]
        self.assertEqual(source["url"], f"http://prometheus:{port}")


if __name__ == "__main__":
    if os.geteuid() != 0 or not all(map(shutil.which, ("buildah", "debootstrap"))):
        print("SKIPPED: the image; that needs root, buildah and debootstrap", file=sys.stderr)
        del Image
    unittest.main()
