# SPDX-License-Identifier: MIT
"""The commands in the README and in the other Markdown files: each line of their `sh` blocks is
executed, with files of the names that it uses, or is in the table below, which says what is executed
for it and where it is itself."""

import argparse
import os
import pathlib
import re
import shutil
import site
import subprocess
import sys
import tempfile
import typing

import markdown
import tone

sys.path.insert(0, str(markdown.ROOT / "tests" / "command"))
import random_model  # noqa: E402  pylint: disable=wrong-import-position

TIMEOUT = 300
VERSION = re.search(r"^  version: '([\d.]+)'", (markdown.ROOT / "meson.build").read_text("utf-8"),
                    re.MULTILINE)[1]


class Elsewhere(typing.NamedTuple):
    why: str      # it is not executed here
    where: str    # it is, a file; empty: nowhere as a whole
    words: str    # in that file
    instead: str  # what is executed here; empty: nothing


def peers(arguments):
    """Of tools/bench-peers: its arguments are checked."""
    return Elsewhere(
        "fetches engines and measures for minutes to hours",
        "tests/bench_peers/run.py", "tools/bench-peers without engines",
        "PYTHONPATH=tools python3 -c 'import sys; from bench_peers import command; "
        f"command.parsed(sys.argv[1:])' {arguments}")


WITHOUT_LANGUAGES = "needs tools of the language that not everybody has"

NOT_HERE = {
    "tools/demo": Elsewhere(
        "installs packages, builds for minutes and fetches weights",
        "tools/test", 'check demo "$tools/demo"', "tools/demo --help"),
    "tools/test": Elsewhere(
        "runs this test",
        ".ci/run", "tools/test", "tools/test --help"),
    "tools/bench-bindings": Elsewhere(
        "builds and measures for minutes in every language",
        "", "", "tools/bench-bindings --build build c"),
    "tools/bench-bindings go": Elsewhere(
        WITHOUT_LANGUAGES,
        "", "", "tools/bench-bindings --build build c"),
    "tools/bench-peers --accuracy": peers(
        "--accuracy"),
    "tools/bench-peers --encode --minutes 27 --tolerance 20 --svg docs/speed.svg": peers(
        "--encode --minutes 27 --tolerance 20 --svg docs/speed.svg"),
    "tools/bench-peers --encode --ratios 30 --minutes 8": peers(
        "--encode --ratios 30 --minutes 8"),
    "tools/bench-peers --encode --model base --threads 2 --precision f32 --ratios 30 "
    "--minutes 1.6": peers(
        "--encode --model base --threads 2 --precision f32 --ratios 30 --minutes 1.6"),
    "tools/bench-peers --products --threads 1 --ratios 30 --minutes 3": peers(
        "--products --threads 1 --ratios 30 --minutes 3"),
    "tools/bench-peers --second-thread --ratios 12 --minutes 3 --tolerance 20": peers(
        "--second-thread --ratios 12 --minutes 3 --tolerance 20"),
    "tools/bench-peers --batch --precision int8 --precision bf16 --ratios 30 --minutes 10 "
    "--tolerance 20": peers(
        "--batch --precision int8 --precision bf16 --ratios 30 --minutes 10 --tolerance 20"),
    "tools/bench-peers --products --threads 1 --ratios 30 --minutes 4 --tolerance 20": peers(
        "--products --threads 1 --ratios 30 --minutes 4 --tolerance 20"),
    "tools/abi-baseline": Elsewhere(
        "writes into the source tree",
        "tests/abi/meson.build", "test('abi baseline'", ""),
    "tools/bindings": Elsewhere(
        "writes into the source tree",
        "tests/bindings/committed.py", 'ROOT / "tools" / "bindings"', "tools/bindings --help"),
    "meson dist -C build --no-tests": Elsewhere(
        "needs a checkout of a commit",
        "tools/package_test/source.py", '"meson", "dist", "-C", build, "--no-tests"', ""),
    "npuenc selftest --device npu": Elsewhere(
        "needs an NPU; the test has the virtual one",
        "tests/command/npu.py", '"selftest", "--device", "npu"', ""),
    "npuenc bench npu": Elsewhere(
        "needs an NPU; the test has the virtual one",
        "tests/command/npu.py", '"bench", "npu"', ""),
    "ninja -C build": Elsewhere(
        "takes minutes",
        "tools/test", 'ninja -C "$build"', "ninja -C build -n"),
    "meson test -C build": Elsewhere(
        "runs this test",
        "tools/test", 'meson test -C "$build"', "meson test -C build --no-rebuild --list"),
    "meson test -C build --suite products --verbose": Elsewhere(
        "is a run of tests by itself",
        "tools/test", 'meson test -C "$build"',
        "meson test -C build --no-rebuild --suite products --list"),
    "meson test -C build --suite csharp": Elsewhere(
        "is a run of tests by itself",
        "tools/test", 'meson test -C "$build"',
        "meson test -C build --no-rebuild --suite csharp --list"),
    "meson test -C build --suite go": Elsewhere(
        "is a run of tests by itself",
        "tools/test", 'meson test -C "$build"',
        "meson test -C build --no-rebuild --suite go --list"),
    "meson install -C build": Elsewhere(
        "writes into the system, and wants everything built; what developers get needs only headers",
        "", "",
        "meson install -C build --no-rebuild --tags devel --destdir installed"),
    "meson test -C build --suite abi --suite unit --no-suite npu": Elsewhere(
        "is a run of tests by itself",
        "tools/packaging/npuenc.spec", "meson test -C build --suite abi --suite unit --no-suite npu",
        "meson test -C build --no-rebuild --suite abi --list"),
    "DESTDIR=$PWD/root meson install -C build --no-rebuild": Elsewhere(
        "wants everything built",
        "tools/packaging/debian/rules", "meson install -C $(BUILD) --no-rebuild", ""),
    "tools/package-test": Elsewhere(
        "builds packages in clean systems, which takes an hour",
        "", "", "tools/package-test --help"),
    "tools/packaging/update-numbers": Elsewhere(
        "writes into the source tree",
        "tests/packaging/numbers.py", '"tools/packaging/update-numbers"',
        "tools/packaging/update-numbers --check"),
    "DEB_BUILD_PROFILES='pkg.npuenc.noxrt pkg.npuenc.nogo' dpkg-buildpackage -us -uc": Elsewhere(
        "is a part of tools/package-test",
        "tools/package_test/debs.py", '"dpkg-buildpackage", "-us", "-uc"', ""),
    "cc program.c $(pkg-config --cflags --libs --static npuenc | "
    "sed 's/-lnpuenc/-l:libnpuenc.a/')": Elsewhere(
        "needs the static library",
        "tools/packaging/debian/tests/c-program", "-l:libnpuenc.a", ""),
    "bindings/csharp/build .": Elsewhere(
        WITHOUT_LANGUAGES,
        "bindings/csharp/test", '"$here/build" "$work"', ""),
    "mcs -r:NpuEnc.dll States.cs": Elsewhere(
        WITHOUT_LANGUAGES,
        "bindings/csharp/test", "grep '^mcs .*States.cs' \"$here/README.md\"", ""),
    "mono States.exe ggml-base.bin < speech.s16 > states.f32": Elsewhere(
        WITHOUT_LANGUAGES,
        "bindings/csharp/test", '"$work/States.exe" "$NPUENC_TEST_MODEL" <', ""),
    "go mod init states": Elsewhere(
        WITHOUT_LANGUAGES, "bindings/go/test", "first_block sh", ""),
    f"go mod edit -require npuenc@v{VERSION} -replace npuenc=/path/to/npuenc/bindings/go": Elsewhere(
        WITHOUT_LANGUAGES, "bindings/go/test", "first_block sh", ""),
    "go build -o states .": Elsewhere(
        WITHOUT_LANGUAGES, "bindings/go/test", "first_block sh", ""),
    "pip wheel bindings/python": Elsewhere(
        "fetches NumPy", "bindings/python/test", '"${pip[@]}" wheel', ""),
    f"pip install npuenc-{VERSION}-*.whl": Elsewhere(
        "fetches NumPy", "bindings/python/test", '"${pip[@]}" install', ""),
}

# Where there is an NPU that is not well, the doctor says so.
STATUSES = {"npuenc doctor": (0, 1)}


def fail(text):
    sys.exit(f"FAIL: {text}")


def commands_of(block):
    """Its lines, without comments."""
    lines = (re.sub(r"(^|\s+)#.*", "", line).strip()
             for line in block.replace("\\\n", " ").splitlines())
    return [line for line in lines if line]


def all_blocks():
    """(file, its text, commands of one block)"""
    for path in markdown.files():
        text = markdown.read(path)
        for language, content in markdown.blocks(text):
            if language in ("bash", "shell", "console"):
                fail(f"{path}: a block of commands is `sh`, not `{language}`")
            if language == "sh":
                yield path, text, commands_of(content)


def check_table(found):
    superfluous = set(NOT_HERE) - set(found)
    if superfluous:
        fail(f"in the table, but in no Markdown file: {', '.join(sorted(superfluous))}")
    for command, elsewhere in NOT_HERE.items():
        if elsewhere.where and elsewhere.words not in markdown.read(elsewhere.where):
            fail(f"`{command}` is not executed by {elsewhere.where} any more, which has no "
                 f"{elsewhere.words}")


def prepare_home(home, write_audio):
    """What the commands name: models, and a recording in FLAC."""
    (home / "models").mkdir(parents=True)
    random_model.write_ggml(home / "models" / "ggml-base.bin")
    random_model.write(home / "models" / "whisper-large-v3-turbo")
    subprocess.run([write_audio, "flac", str(tone.write(home / "talk.wav")),
                    str(home / "talk.flac")], check=True)


def prepare_tree(directory, text, home, build, commands):
    """The source tree, to read; beside it what is in the reader's hands."""
    directory.mkdir()
    for entry in markdown.ROOT.iterdir():
        if entry.name != ".git" and not entry.name.startswith("build"):
            (directory / entry.name).symlink_to(entry)
    if not any(command.startswith("meson setup build") for command in commands):
        (directory / "build").symlink_to(build)
    (directory / "talk.flac").symlink_to(home / "talk.flac")
    (directory / "DIRECTORY").mkdir()
    programs = markdown.programs("c", text)
    if programs:
        (directory / "states.c").write_text(programs[0], "utf-8")


def environment_of(build, home):
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(("NPUENC_", "XDG_", "MESON_", "NINJA_")) and name != "DESTDIR"}
    own = {
        "PATH": [build / "tools" / "npuenc", build / "kernels" / "aie2"],
        "PKG_CONFIG_PATH": [build / "meson-uninstalled"],
        "LD_LIBRARY_PATH": [build / "src" / "abi"],
    }
    for name, paths in own.items():
        env[name] = os.pathsep.join([*map(str, paths), *filter(None, [env.get(name)])])
    # A Meson that somebody has installed for himself is found without his HOME.
    return env | {"HOME": str(home), "PYTHONUSERBASE": site.getuserbase()}


def run(path, command, directory, env):
    elsewhere = NOT_HERE.get(command)
    executed = elsewhere.instead if elsewhere else command
    print(f"{path}: {command}")
    if elsewhere:
        print(f"    not here: {elsewhere.why}; but in {elsewhere.where or 'no test as a whole'}"
              f"{', and here: ' if executed else ''}{executed}")
    if not executed:
        return
    sys.stdout.flush()
    ran = subprocess.run(["bash", "-euo", "pipefail", "-c", executed], cwd=directory, env=env,
                         check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, timeout=TIMEOUT)
    if ran.returncode not in STATUSES.get(command, (0,)):
        fail(f"status {ran.returncode} from `{executed}`:\n{ran.stdout.decode(errors='replace')}")
    for name in re.findall(r"(?:\s-o|--output|>)\s*([\w./-]+)", executed):
        file = directory / name
        if not file.is_file() or file.stat().st_size == 0:
            fail(f"`{executed}` has written no {name}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--write-audio", required=True)
    arguments = parser.parse_args()
    found = list(all_blocks())
    check_table([command for _, _, commands in found for command in commands])
    build = arguments.build.resolve()
    with tempfile.TemporaryDirectory(prefix="npuenc-readme-") as work:
        work = pathlib.Path(work)
        prepare_home(work / "home", arguments.write_audio)
        env = environment_of(build, work / "home")
        for number, (path, text, commands) in enumerate(found):
            directory = work / str(number)
            prepare_tree(directory, text, work / "home", build, commands)
            for command in commands:
                run(path, command, directory, env)
            shutil.rmtree(directory)


if __name__ == "__main__":
    main()
