#!/usr/bin/env python3
"""Man pages and completions as the package has them, against the real program: every option that a
shell offers is taken, every option of --help is offered, in the shells themselves."""

import gzip
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[3]
STENTOR = os.environ["STENTOR"]
PATIENCE = 60

# (what has been typed, what has to be among the offers, what must not)
TYPED = [
    ("stentor ", "serve", "dump"),
    ("stentor store ", "dump", "serve"),
    ("stentor serve --li", "--listen", "--data"),
    ("stentor store dump --fr", "--from", "--json"),
    ("stentor sub --disable-clean", "--disable-clean-session", "--retain"),
    ("stentor bench conn --cli", "--clients", "--rate"),
    ("stentor pub -q ", "2", "serve"),
]


def run(*command, **how):
    return subprocess.run([str(each) for each in command], capture_output=True, text=True,
                          timeout=PATIENCE, check=False, **how)


class Docs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="stentor-docs-"))
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        done = run(sys.executable, "-B", ROOT / "packaging/write_docs.py", STENTOR, cls.dir)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        cls.bash = cls.dir / "completions/stentor.bash"
        cls.zsh = cls.dir / "completions/_stentor"
        cls.fish = cls.dir / "completions/stentor.fish"

    def commands(self):
        """(words, options) as the completion of bash has them."""
        for words, options in re.findall(r"^ +\"([ a-z]*)\"\) options='([^']*)'",
                                         self.bash.read_text(), re.MULTILINE):
            yield words.split(), options.split()

    def test_every_option_of_the_help_is_offered_and_explained(self):
        page = gzip.decompress((self.dir / "man1/stentor.1.gz").read_bytes()).decode()
        shown = 0
        for words, offered in self.commands():
            text = run(STENTOR, *words, "--help").stdout
            # Not as they are in write_docs.py: whatever looks like one at a line's begin.
            for line in re.findall(r"^ {2,6}(-.*?)(?:  |$)", text, re.MULTILINE):
                for option in re.findall(r"(?:^|[ ,])(--?[A-Za-z][\w-]*)",
                                         re.sub(r"Needs: .*", "", line)):
                    shown += 1
                    with self.subTest(words=words, option=option):
                        self.assertIn(option, offered)
                        self.assertIn(option.replace("-", "\\-"), page)
        self.assertGreater(shown, 150)

    def test_every_option_that_is_offered_is_known(self):
        for words, offered in self.commands():
            for option in offered:
                # Behind it as many values as any takes, and what is none: nothing runs.
                done = run(STENTOR, *words, option, "1", "1", "1", "--no-such-option",
                           stdin=subprocess.DEVNULL)
                with self.subTest(words=words, option=option):
                    self.assertNotRegex(done.stderr, rf"unknown (flag|option) `?{option}\b(?!-)")

    def test_all_commands_are_there(self):
        top = re.search(r"Subcommands:\n((?:  .*\n)+)", run(STENTOR, "--help").stdout).group(1)
        names = {line.split()[0] for line in top.splitlines()}
        self.assertEqual({words[0] for words, _ in self.commands() if words}, names)

    def test_every_key_has_an_entry(self):
        page = gzip.decompress((self.dir / "man5/stentor.toml.5.gz").read_bytes()).decode()
        keys = re.findall(r"^#?([a-z_]+) = ", run(STENTOR, "check", "--print-example").stdout,
                          re.MULTILINE)
        self.assertGreater(len(keys), 60)
        for key in keys:
            self.assertIn(f".TP\n\\fB{key}\\fR (", page)

    @unittest.skipUnless(shutil.which("man"), "there is no man here")
    def test_the_pages_are_read_without_a_complaint(self):
        for page in ("man1/stentor.1.gz", "man5/stentor.toml.5.gz"):
            done = run("man", "--warnings=w", "-l", self.dir / page,
                       env=os.environ | {"LC_ALL": "C.UTF-8", "MANWIDTH": "100"})
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertGreater(len(done.stdout.splitlines()), 100)

    def judge(self, offers):
        for typed, wanted, other in TYPED:
            with self.subTest(typed=typed):
                offered = offers(typed)
                self.assertIn(wanted, offered)
                self.assertNotIn(other, offered)

    def test_bash(self):
        def offers(typed):
            words = typed.split(" ")
            script = (f'source {self.bash}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _stentor; '
                      'printf "%s\\n" "${COMPREPLY[@]}"')
            return run("bash", "--norc", "-c", script, "bash", *words).stdout.split()
        self.judge(offers)

    @unittest.skipUnless(shutil.which("fish"), "there is no fish here")
    def test_fish(self):
        def offers(typed):
            done = run("fish", "--no-config", "-c", f"source {self.fish}; complete -C '{typed}'",
                       env=os.environ | {"HOME": str(self.dir)})
            self.assertEqual(done.stderr, "")
            return [line.split("\t")[0] for line in done.stdout.splitlines()]
        self.judge(offers)

    @unittest.skipUnless(shutil.which("zsh"), "there is no zsh here")
    def test_zsh(self):
        """At a terminal of its own: zsh completes nowhere else. ^D lists what it would offer."""
        def offers(typed):
            process, terminal = pty.fork()
            if process == 0:
                os.environ.update(TERM="dumb", HOME=str(self.dir))
                os.execvp("zsh", ["zsh", "-f", "-i"])
            try:
                # In quotes that the echo of what is typed has and the output has not.
                os.write(terminal, (
                    "PROMPT='<''END''>'; unset zle_bracketed_paste; "
                    f"fpath=({self.zsh.parent} $fpath); autoload -Uz compinit; compinit -D; "
                    "setopt NO_ALWAYS_LAST_PROMPT; "
                    "bindkey '^D' list-choices\n").encode())
                self.listen(terminal, "<END>")
                os.write(terminal, typed.encode() + b"\x04")
                said = self.listen(terminal, "<END>")
            finally:
                os.close(terminal)
                os.waitpid(process, 0)
            return said.replace("\x1b", " ").split()
        self.judge(offers)

    def listen(self, terminal, until):
        said = ""
        while until not in said:
            ready, _, _ = select.select([terminal], [], [], PATIENCE)
            self.assertTrue(ready, f"no {until!r} in {said!r}")
            said += os.read(terminal, 65536).decode(errors="replace")
        return said


if __name__ == "__main__":
    unittest.main()
