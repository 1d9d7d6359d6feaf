"""The manual page and the shell completions say what every command's --help says."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "mspeckv.1"
BASH = ROOT / "tools" / "shell" / "mspeckv.bash"
ZSH = ROOT / "tools" / "shell" / "_mspeckv"
BENCHES = ["attention", "ceilings", "matmul", "memory", "probe"]
BUILD = None


def said(*words, cwd=None):
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, check=True,
                          cwd=cwd).stdout


def help_of(command):
    if command == "convert":
        return said(sys.executable, "-B", ROOT / "tools/convert/convert_bin.py", "--help")
    if command in ("build", "test"):
        return said(ROOT / "mspeckv", "help", command)
    return said(pathlib.Path(BUILD) / "bin" / "mspeckv", *command.split(), "--help")


def options_of(text):
    """option -> whether it takes a value."""
    rows = re.findall(r"^  (?:-h, )?--([a-z-]+)( \S+)?(?=\n|  |$)", text, re.M)
    return {name: value != "" for name, value in rows}


def completed(*words, cwd=None):
    """What bash offers for the last of the words."""
    script = ('source "$0"; COMP_WORDS=(mspeckv "$@"); COMP_CWORD=$#; _mspeckv; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    return said("bash", "-c", script, BASH, *words, cwd=cwd).split()


class Manual(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        usage = said(ROOT / "mspeckv", "help")
        cls.commands = set(re.findall(r"^  ([a-z]+)\b", usage, re.M)) | {"version"}
        asked = sorted(cls.commands - {"help", "version"}) + [f"bench {b}" for b in BENCHES]
        cls.help = {command: help_of(command) for command in asked}
        cls.options = {command: options_of(text) for command, text in cls.help.items()}

    def test_helps_are_read(self):
        self.assertGreater(len(self.commands), 14)
        self.assertTrue(self.options["run"]["set"])
        self.assertFalse(self.options["run"]["quiet"])
        for command, options in self.options.items():
            self.assertIn("help", options, command)
        self.assertIn("|".join(BENCHES), self.help["bench"])

    def test_the_page_has_every_command_and_option(self):
        sections = re.split(r"^\.SS (.*)\n", PAGE.read_text(), flags=re.M)[1:]
        page = {name.strip('"'): text for name, text in zip(sections[::2], sections[1::2])}
        self.assertEqual(set(page), self.commands | set(self.help))
        for command, options in self.options.items():
            rows = re.findall(r"^\.(BI?) \\-\\-(\S+)", page[command], re.M)
            found = {name.replace("\\-", "-"): macro == "BI" for macro, name in rows}
            self.assertEqual(found, options, command)

    @unittest.skipUnless(shutil.which("groff"), "no groff")
    def test_the_page_is_rendered_without_warnings(self):
        done = subprocess.run(["groff", "-man", "-Tutf8", "-wall", str(PAGE)], capture_output=True,
                              encoding="utf-8")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("MSPECKV(1)", done.stdout)

    def test_bash_offers_every_command_and_option(self):
        self.assertEqual(set(completed("")), self.commands)
        for command, options in self.options.items():
            self.assertEqual(set(completed(*command.split(), "-")), {f"--{o}" for o in options},
                             command)
        for command, options in self.options.items():
            table = said("bash", "-c", 'source "$0"; _mspeckv_options "$1"', BASH,
                         command.replace(" ", "-")).split()
            self.assertEqual({o.strip("-="): o.endswith("=") for o in table}, options, command)

    def test_bash_completes_what_options_take(self):
        methods = {"baseline", "vanilla_specdec", "mspeckv", "mspeckv_kv_quant"}
        self.assertEqual(set(completed("generate", "--method", "")), methods)
        self.assertTrue(all(method in self.help["generate"] for method in methods))
        self.assertEqual(completed("generate", "--method", "=", "v"), ["vanilla_specdec"])
        self.assertEqual(completed("gen"), ["generate"])
        self.assertEqual(completed("run", "--resu"), ["--resume"])
        self.assertEqual(completed("bench", "att"), ["attention"])
        shapes = re.findall(r"^  (\S+) +\d+ layers", self.help["synth"], re.M)
        self.assertEqual(set(completed("synth", "--arch", "")), {*shapes, "custom"})

    def test_bash_offers_the_choices_of_the_help(self):
        n_seen = 0
        for command, text in self.help.items():
            for option, choices in re.findall(r"^  --([a-z-]+) (\S+\|\S+)(?=\n|  )", text, re.M):
                n_seen += 1
                self.assertEqual(set(completed(command, f"--{option}", "")),
                                 set(choices.split("|")), f"{command} --{option}")
        self.assertGreater(n_seen, 2)

    def test_bash_offers_experiments_and_folders(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("a.yaml", "b.txt"):
                (pathlib.Path(folder) / name).write_text("")
            (pathlib.Path(folder) / "sub").mkdir()
            self.assertEqual(set(completed("run", "", cwd=folder)), {"a.yaml", "sub"})
            self.assertEqual(completed("report", "", cwd=folder), ["sub"])
            self.assertEqual(completed("run", "--out", "", cwd=folder), ["sub"])
            self.assertEqual(set(completed("dataset", "", cwd=folder)),
                             {"a.yaml", "b.txt", "sub", "demo"})

    @unittest.skipUnless(shutil.which("zsh"), "no zsh")
    def test_zsh_offers_every_command_and_option(self):
        listed = re.search(r"commands=\(\n(.*?)\n    \)", ZSH.read_text(), re.S)[1]
        self.assertEqual(set(re.findall(r'^ +"([a-z]+):', listed, re.M)), self.commands)
        for command, options in self.options.items():
            specs = said("zsh", "-fc", 'source $0; typeset -a specs; _mspeckv_specs $1; '
                         'print -rl -- $specs', ZSH, command.replace(" ", "-"))
            rows = re.findall(r"^\*?--([a-z-]+)(=?)\[", specs, re.M)
            self.assertEqual({name: equals == "=" for name, equals in rows}, options, command)


if __name__ == "__main__":
    BUILD = sys.argv.pop()
    unittest.main()
