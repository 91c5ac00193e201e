#!/usr/bin/env python3
"""Man pages and shell completions, written from what the program says about itself: `--help` of
every command, and the reference of its configuration.

    write_docs.py STENTOR DIRECTORY

Standard library only: a package is made with nothing else.
"""

import dataclasses
import gzip
import pathlib
import re
import subprocess
import sys

TEXT_COLUMN = 30  # where texts begin, of options that are not too long for that
INDENT_MIN = 24  # what is so far right continues a text


@dataclasses.dataclass
class Option:
    names: list
    value: str  # "FILE", "0|1|2"; empty: a flag
    text: str


@dataclasses.dataclass
class Command:
    path: list  # ["stentor", "store", "dump"]
    about: list = dataclasses.field(default_factory=list)  # what stands around the lists
    usage: str = ""
    groups: dict = dataclasses.field(default_factory=dict)  # title: options
    positionals: list = dataclasses.field(default_factory=list)  # (name, text)
    commands: list = dataclasses.field(default_factory=list)  # Command
    summary: str = ""

    @property
    def options(self):
        return [option for options in self.groups.values() for option in options]

    def all(self):
        yield self
        for command in self.commands:
            yield from command.all()


def entry(line):
    """(left, text) of a line of a list."""
    match = re.match(r"\s{2,6}(\S.*?)(?:\s{2,}(\S.*))?$", line)
    if match.group(2) is None and line[TEXT_COLUMN - 1:TEXT_COLUMN] == " ":  # it just fits
        return line[:TEXT_COLUMN].strip(), line[TEXT_COLUMN:]
    return match.group(1), match.group(2) or ""


def option_of(left, text):
    left = re.sub(r" Needs: \S+| REQUIRED| \.\.\.", "", left)
    names = re.findall(r"(?<!\S)(--?[A-Za-z][\w-]*)", left.replace(",", " "))
    value = re.sub(r"(?<!\S)--?[A-Za-z][\w-]*,? ?", "", left.replace(",-", ", -")).strip()
    value, default = re.match(r"((?:DIR|FILE|URL|TEXT)(?==)|.*)=?(.*)$", value).groups()
    return Option(names, value, f"{text} (default: {default})" if default else text)


def entries(lines):
    """Those of one list, continuations joined."""
    found = []
    for line in lines:
        if len(line) - len(line.lstrip()) >= INDENT_MIN:
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}".strip())
        else:
            found.append(entry(line))
    return found


def is_list(title, lines):
    if title in ("Positionals:", "Subcommands:"):
        return True
    return re.fullmatch(r"[A-Z][^:]*:", title) and lines and lines[0].lstrip().startswith("-")


def read_help(program, path):
    text = subprocess.run([program, *path[1:], "--help"], check=True, capture_output=True,
                          text=True).stdout
    command = Command(path)
    for block in re.split(r"\n\n+", text.rstrip()):
        lines = block.split("\n")
        # A list may follow the usage without an empty line.
        while lines:
            if lines[0].startswith("Usage: "):
                command.usage = lines.pop(0).removeprefix("Usage: ")
                continue
            if is_list(lines[0], lines[1:]):
                take_list(program, command, lines[0][:-1], entries(lines[1:]))
                break
            if path[1:] == ["bench"] and lines[0].startswith("  conn"):
                take_list(program, command, "Subcommands", entries(lines))
                break
            count = next((i for i, line in enumerate(lines) if line.startswith("Usage: ")),
                         len(lines))
            command.about.append(lines[:count])
            del lines[:count]
    return command


def take_list(program, command, title, found):
    if title == "Subcommands":
        for name, text in found:
            below = read_help(program, command.path + [name])
            below.summary = text
            command.commands.append(below)
    elif title == "Positionals":
        command.positionals += [(left.split()[0], text) for left, text in found]
    else:
        command.groups[title] = [option_of(*each) for each in found]


# --- man pages ---------------------------------------------------------------------------------


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = re.sub(r"\*\*?([^*\s]+)\*?\*", r"\\fB\1\\fR", text)
    text = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", text)
    text = re.sub(r"\[([^]]+)\]\(([^)]+)\)", r"\1", text)
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line
                     for line in text.split("\n"))


def paragraph(lines):
    if any(line.startswith("  ") for line in lines):  # an example: as it stands
        return [".PP", ".nf", *(roff(line) for line in lines), ".fi"]
    return [".PP", *(roff(line) for line in lines)]


def command_page(command):
    out = []
    if len(command.path) > 1:
        out += [f'.SS "{roff(" ".join(command.path[1:]))}"', roff(command.summary + ".")]
    if command.usage and len(command.path) > 1:
        out += [".PP", f"\\fB{roff(command.usage)}\\fR"]
    for lines in command.about:
        if lines not in ([command.summary], [command.summary + "."]):
            out += paragraph(lines)
    for name, text in command.positionals:
        out += [".TP", f"\\fI{roff(name)}\\fR", roff(text)]
    for title, options in command.groups.items():
        if title != "Options":
            out += [".PP", f"{roff(title)}:"]
        for option in options:
            names = ", ".join(f"\\fB{roff(name)}\\fR" for name in option.names)
            value = f" \\fI{roff(option.value)}\\fR" if option.value else ""
            out += [".TP", names + value, roff(option.text)]
    for below in command.commands:
        out += command_page(below)
    return out


def man1(root, version):
    out = [f'.TH STENTOR 1 "" "stentor {version}" "User Commands"', ".SH NAME",
           "stentor \\- MQTT 3.1.1 and 5.0 broker, with its clients and tools", ".SH SYNOPSIS",
           "\\fBstentor\\fR \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]", ".SH DESCRIPTION",
           "A broker for mobile and IoT push: MQTT over TCP, TLS and WebSockets, sessions and",
           "what waits for them on disk before it is acknowledged, HTTP for backends.",
           *command_page(dataclasses.replace(root, about=[], commands=[])), ".SH COMMANDS"]
    for command in root.commands:
        out += command_page(command)
    out += [".SH SIGNALS", ".TP", "\\fBTERM\\fR, \\fBINT\\fR",
            "The broker lets clients go and stops; at a second one it stops at once.",
            ".TP", "\\fBHUP\\fR",
            "It reads configuration, users and rules again. With a mistake nothing changes.",
            ".SH ENVIRONMENT", ".TP", "\\fBSTENTOR_\\fISECTION\\fB__\\fIKEY\\fR",
            "A key of the configuration: \\fBSTENTOR_LIMITS__PACKET_BYTES_MAX=2MiB\\fR.",
            ".TP", "\\fBNOTIFY_SOCKET\\fR, \\fBWATCHDOG_USEC\\fR",
            "Set by systemd; see sd_notify(3).",
            ".SH FILES", ".TP", "\\fI/etc/stentor/stentor.toml\\fR",
            "The configuration of the service.", ".TP", "\\fI/var/lib/stentor\\fR", "Its store.",
            ".SH EXIT STATUS", "0: done. 1: failed. 2: usage or configuration.", ".SH SEE ALSO",
            ".BR stentor.toml (5),", "\\fI/usr/share/doc/stentor\\fR"]
    return "\n".join(out) + "\n"


def man5(reference, version):
    """From Markdown: headings, paragraphs, numbered lists, tables of keys."""
    out = [f'.TH STENTOR.TOML 5 "" "stentor {version}" "File Formats"', ".SH NAME",
           "stentor.toml \\- configuration of the Stentor MQTT broker", ".SH DESCRIPTION"]
    reference = re.sub(r"<!--.*?-->\n*", "", reference, flags=re.DOTALL)
    for block in re.split(r"\n\n+", reference.strip()):
        lines = block.split("\n")
        if lines[0].startswith("# "):
            continue
        if lines[0].startswith("## "):
            title = lines[0][3:]
            out.append(f'.SH "{title if "[" in title else title.upper()}"')
        elif lines[0].startswith("|"):
            for row in lines[2:]:
                key, values, default, changes, text = (
                    cell.strip() for cell in row.strip("|").split(" | ", 4))
                out += [".TP", f"{roff(key)} ({roff(values)}; default {roff(default)})",
                        roff(text.rstrip("| ")), ".br", f"Changes at: {changes}."]
        elif re.match(r"1\. ", lines[0]):
            for item in re.split(r"\n(?=\d+\. )", block):
                number, text = item.split(". ", 1)
                out += [f".IP {number}.", roff(re.sub(r"\n\s+", "\n", text))]
        else:
            out += [".PP", roff(block)]
    return "\n".join(out + [".SH SEE ALSO", ".BR stentor (1)"]) + "\n"


# --- completions ---------------------------------------------------------------------------------


def choices(option):
    return option.value.split("|") if "|" in option.value else []


def takes_file(name):
    return bool(re.fullmatch(r"(FILE|DIR|PATH|DEST)", name))


def bash(root):
    out = ["# bash completion of stentor(1); written by packaging/write_docs.py.", "",
           "_stentor() {", '    local current=${COMP_WORDS[COMP_CWORD]} command="" i',
           "    COMPREPLY=()",
           '    for ((i = 1; i < COMP_CWORD; ++i)); do',
           '        case "$command ${COMP_WORDS[i]}" in']
    for command in root.all():
        path = " ".join(command.path[1:])
        if path:
            pattern = f'" {path}"' if len(command.path) == 2 else f'"{ " " + path}"'
            out.append(f"            {pattern}) command={pattern} ;;")
    out += ["        esac", "    done",
            "    local options='' words='' files=''",
            '    case "$command/${COMP_WORDS[COMP_CWORD - 1]}" in']
    for command in root.all():
        path = "".join(" " + word for word in command.path[1:])
        for option in command.options:
            if not option.value:
                continue
            patterns = " | ".join(f'"{path}/{name}"' for name in option.names)
            if choices(option):
                out.append(f"        {patterns}) words='{' '.join(choices(option))}' ;;")
            elif takes_file(option.value):
                out.append(f"        {patterns}) files=1 ;;")
            else:
                out.append(f"        {patterns}) return ;;")
    out += ["        *)", '            case "$command" in']
    for command in root.all():
        path = "".join(" " + word for word in command.path[1:])
        names = " ".join(name for option in command.options for name in option.names)
        words = " ".join(below.path[-1] for below in command.commands)
        files = 1 if any(takes_file(name) for name, _ in command.positionals) else ""
        out.append(f"                \"{path}\") options='{names}' words='{words}'"
                   f" files='{files}' ;;")
    out += ["            esac", "            ;;", "    esac",
            '    if [[ $current == -* ]]; then words=$options files=""; fi',
            '    [[ -z $words ]] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")',
            "    if [[ -n $files ]]; then", "        compopt -o filenames 2>/dev/null",
            '        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$current")',
            "    fi", "}", "complete -F _stentor stentor", ""]
    return "\n".join(out)


def quoted(text):
    """For fish and zsh, in single quotes."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


def fish(root):
    out = ["# fish completion of stentor(1); written by packaging/write_docs.py.",
           "complete -c stentor -f"]
    for command in root.all():
        path = command.path[1:]
        seen = [f"__fish_seen_subcommand_from {word}" for word in path]
        below = [each.path[-1] for each in command.commands]
        not_yet = [f"not __fish_seen_subcommand_from {' '.join(below)}"] if below else []
        condition = "; and ".join(seen + not_yet) or "true"
        for each in command.commands:
            out.append(f"complete -c stentor -n '{condition}' -a {each.path[-1]} "
                       f"-d '{quoted(each.summary)}'")
        for option in command.options:
            parts = [f"-s {name[1:]}" if len(name) == 2 else f"-l {name[2:]}"
                     for name in option.names if name.startswith("--") or len(name) == 2]
            if option.value:
                parts.append("-r")
                if choices(option):
                    parts.append(f"-f -a '{' '.join(choices(option))}'")
                elif takes_file(option.value):
                    parts.append("-F")
            out.append(f"complete -c stentor -n '{condition}' {' '.join(parts)} "
                       f"-d '{quoted(option.text)}'")
        if any(takes_file(name) for name, _ in command.positionals):
            out.append(f"complete -c stentor -n '{condition}' -F")
    return "\n".join(out) + "\n"


def zsh_text(text):
    return quoted(text).replace("\\'", "'\\''").replace("[", "\\[").replace("]", "\\]").replace(
        ":", "\\:")


def zsh_option(option):
    value = ""
    if option.value:
        action = f"({' '.join(choices(option))})" if choices(option) else (
            "_files" if takes_file(option.value) else " ")
        value = f":{zsh_text(option.value)}:{action}"
    return [f"'*{name}[{zsh_text(option.text)}]{value}'" for name in option.names]


def zsh_function(command):
    name = "_" + "_".join(command.path)
    out = [f"{name}() {{"]
    specs = [spec for option in command.options for spec in zsh_option(option)]
    if command.commands:
        out += ["    local -a commands", "    commands=("]
        out += [f"        '{each.path[-1]}:{zsh_text(each.summary)}'" for each in command.commands]
        out += ["    )", "    local context state line",
                "    _arguments -C \\"]
        out += [f"        {spec} \\" for spec in specs]
        out += ["        '1: :->command' '*:: :->rest'",
                "    case $state in",
                f"        command) _describe command commands ;;",
                "        rest) case $words[1] in"]
        out += [f"            {each.path[-1]}) {'_' + '_'.join(each.path)} ;;"
                for each in command.commands]
        out += ["        esac ;;", "    esac"]
    else:
        files = any(takes_file(positional) for positional, _ in command.positionals)
        out += ["    _arguments \\"] + [f"        {spec} \\" for spec in specs]
        out.append("        '*:file:_files'" if files else "        ': :'")
    out.append("}")
    return out


def zsh(root):
    out = ["#compdef stentor",
           "# zsh completion of stentor(1); written by packaging/write_docs.py."]
    for command in root.all():
        out += [""] + zsh_function(command)
    return "\n".join(out + ["", '_stentor "$@"', ""])


def main():
    program, directory = sys.argv[1], pathlib.Path(sys.argv[2])
    root = read_help(program, ["stentor"])
    version = subprocess.run([program, "version"], check=True, capture_output=True,
                             text=True).stdout.split()[1]
    reference = subprocess.run([program, "check", "--print-reference"], check=True,
                               capture_output=True, text=True).stdout
    for name, text in (("man1/stentor.1", man1(root, version)),
                       ("man5/stentor.toml.5", man5(reference, version)),
                       ("completions/stentor.bash", bash(root)),
                       ("completions/_stentor", zsh(root)),
                       ("completions/stentor.fish", fish(root))):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.startswith("man"):
            # Without a name or time in it, so that it can be made again.
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
        else:
            path.write_text(text)


if __name__ == "__main__":
    main()
