#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Golden tests: real weights and real speech through the npuenc command.

    run.py --npuenc COMMAND          tiny.en on five recordings and base on one, against the
                                     committed probes; needs nothing but Python
    run.py --npuenc COMMAND --all    every state of both models against float64, CTranslate2's
                                     states and words, every file format, random models
    run.py --npuenc COMMAND --run-with-xrt SCRIPT ... [--all]
                                     on the virtual NPU: tiny.en beside the CPU, or every recording
                                     with both models against float64, and the words

Without --fetch nothing is downloaded, and what is absent is skipped: exit status 77 when nothing
could be run, else 0 when all held and 1 when something did not.
"""

import argparse
import array
import json
import math
import operator
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import wave

import check_states

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = HERE.parents[1] / "tools"
RECORDINGS = pathlib.Path("/usr/share/pocketsphinx/test/data/librivox")
NAMES = [f"sense_and_sensibility_01_austen_64kb-{number}"
         for number in ("0870", "0880", "0890", "0920", "0930")]
WINDOW = 30 * 16000  # samples
SKIPPED = 77


class Skip(Exception):
    """Why nothing can be run."""


class Tally:
    """Prints each check as it is made and counts them."""

    def __init__(self):
        self.passed = self.failed = 0
        self.skipped = []

    def check(self, name, faults, detail=""):
        """A check holds when it found no fault."""
        faults = list(faults)
        self.failed += bool(faults)
        self.passed += not faults
        verdict = "FAIL" if faults else "ok  "
        print(f"{verdict}  {name}{': ' + detail if detail else ''}", flush=True)
        for fault in faults[:8]:
            print(f"      {fault}", flush=True)

    def skip(self, name, why):
        self.skipped.append(why)
        print(f"skip  {name}: {why}", flush=True)

    def close(self):
        """The closing line, and the exit status."""
        if not self.passed + self.failed:
            raise Skip("; ".join(map(str, self.skipped)))
        print(f"golden: {self.passed} passed, {self.failed} failed, {len(self.skipped)} skipped")
        return 1 if self.failed else 0


class Encoder:
    """The command under test, on the CPU."""

    device, launcher, environment = "cpu", (), {}

    def __init__(self, command, work, threads):
        self.command, self.work, self.threads = command, work, threads

    def encode(self, model, recording, threads=None, precision="f32", isa=None):
        """Path of the states; RuntimeError with the command's own words when it fails."""
        out = self.work / "states.npy"
        out.unlink(missing_ok=True)
        result = subprocess.run(
            [*self.launcher, self.command, "encode", "--model", str(model), "--precision", precision,
             "--device", self.device, "--threads", str(threads or self.threads),
             "--output", str(out), str(recording)],
            check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, errors="replace",
            env=os.environ | self.environment | ({"NPUENC_ISA": isa} if isa else {}))
        if result.returncode != 0 or not out.is_file():
            said = next((line for line in result.stderr.splitlines() if line.startswith("npuenc:")),
                        result.stderr.strip() or "(it said nothing)")
            raise RuntimeError(f"npuenc encode ended with {result.returncode}: {said}")
        return out


class EncoderOnNpu(Encoder):
    """The same on a virtual NPU of its own for each call."""

    device = "npu"

    def __init__(self, arguments, work):
        super().__init__(arguments.npuenc, work, arguments.threads)
        self.launcher = (arguments.run_with_xrt, "--prefix", arguments.xrt_prefix,
                         "--virtual-npu", arguments.virtual_npu)
        self.environment = {"NPUENC_MODULE_PATH": arguments.module_path,
                            "NPUENC_OVERLAY_PATH": arguments.overlay_path}


def helper(tool, name, fetch):
    """What a tool of tools/ prints last, or Skip with its words."""
    result = subprocess.run([sys.executable, str(TOOLS / tool), name,
                             *([] if fetch else ["--print-path"])], check=False,
                            stdout=subprocess.PIPE, stderr=None if fetch else subprocess.PIPE,
                            text=True)
    if result.returncode != 0:
        raise Skip((result.stderr or f"tools/{tool} {name} failed").strip().splitlines()[-1])
    return result.stdout.strip().splitlines()[-1]


def model_directory(name, arguments):
    if arguments.models is None:
        return pathlib.Path(helper("fetch-model", name, arguments.fetch))
    directory = arguments.models / name
    if not (directory / "model.bin").is_file():
        raise Skip(f"{directory} has no model.bin")
    return directory


def recordings_in(directory):
    paths = [directory / f"{name}.wav" for name in NAMES]
    if missing := [path for path in paths if not path.is_file()]:
        raise Skip(f"{missing[0]} is missing: `apt-get install pocketsphinx-testdata` has it")
    return paths


def guarded(tally, name, work):
    """Run a check; an error in it is a failure of this check, not the end of all."""
    try:
        work()
    except (RuntimeError, ValueError, OSError) as error:
        tally.check(name, [str(error)])


# --- the quick tests ------------------------------------------------------------------------------

def write_npy(path, shape, values):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(shape)}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
                     + header.encode("latin-1") + values.tobytes())


def test_probes(tally, encoder, name, directory, recording):
    def work():
        faults, worst = check_states.check_probes(
            encoder.encode(directory, recording), check_states.load_probes(name, recording))
        tally.check(f"{name} {recording.stem[-4:]}", faults, f"max abs {worst:.3g} at the probes")
    guarded(tally, f"{name} {recording.stem[-4:]}", work)


def test_threads(tally, encoder, name, directory, recording):
    def work():
        one = encoder.encode(directory, recording, threads=1).read_bytes()
        two = encoder.encode(directory, recording, threads=2).read_bytes()
        tally.check(f"{name} threads", [] if one == two else
                    ["states of one thread and of two differ"], "1 and 2 give the same bits")
    guarded(tally, f"{name} threads", work)


def test_probes_can_fail(tally, encoder, name, directory, recording):
    """States that are wrong in small ways must be told from right ones."""
    def wrong_states(values, n_state):
        middle = len(values) // 2 // n_state * n_state
        swapped = values[:]
        swapped[middle:middle + n_state] = values[middle + n_state:middle + 2 * n_state]
        swapped[middle + n_state:middle + 2 * n_state] = values[middle:middle + n_state]
        yield "zeroed", array.array("f", bytes(4 * len(values)))
        yield "two frames swapped", swapped
        yield "off by 0.003", array.array("f", (value + 0.003 for value in values))
        yield "one frame late", values[:n_state] + values[:-n_state]

    def work():
        probes = check_states.load_probes(name, recording)
        shape, values = check_states.read_npy(encoder.encode(directory, recording))
        path = encoder.work / "wrong.npy"
        accepted = []
        for what, wrong in wrong_states(values, probes["n_state"]):
            write_npy(path, shape, wrong)
            if not check_states.check_probes(path, probes)[0]:
                accepted.append(f"accepted states that are {what}")
        tally.check(f"{name} wrong states are found", accepted)
    guarded(tally, f"{name} wrong states are found", work)


def quick(tally, encoder, arguments, recordings):
    for name, chosen in (("tiny.en", recordings), ("base", recordings[:1])):
        try:
            directory = model_directory(name, arguments)
        except Skip as why:
            tally.skip(name, why)
            continue
        for recording in chosen:
            test_probes(tally, encoder, name, directory, recording)
        if name == "tiny.en":
            test_threads(tally, encoder, name, directory, recordings[1])
            test_probes_can_fail(tally, encoder, name, directory, recordings[1])


def cosine(a, b):
    norms = math.sqrt(math.fsum(map(operator.mul, a, a)) * math.fsum(map(operator.mul, b, b)))
    return math.fsum(map(operator.mul, a, b)) / norms


def test_beside_cpu(tally, npu, cpu, name, directory, recording, precision):
    """If the states of both are as near to exact ones as they have to be, the angle between them is
    at most twice that bound, and cos 2x = 2 cos^2 x - 1."""
    label = f"{name} {recording.stem[-4:]} {precision} on the NPU"

    def work():
        shape, ours = check_states.read_npy(npu.encode(directory, recording, precision=precision))
        _, theirs = check_states.read_npy(cpu.encode(directory, recording, precision=precision))
        whole = cosine(ours, theirs)
        frame = min(cosine(ours[at:at + shape[-1]], theirs[at:at + shape[-1]])
                    for at in range(0, len(ours), shape[-1]))
        least, least_frame = (2 * bound * bound - 1 for bound in check_states.LEAST[precision, name])
        faults = []
        if not whole >= least:
            faults.append(f"cosine with the CPU's states {whole:.6f}, below {least:.6f}")
        if not frame >= least_frame:
            faults.append(f"cosine of a frame {frame:.4f}, below {least_frame:.4f}")
        tally.check(label, faults, f"beside the CPU's states: cosine {whole:.6f}, worst frame "
                                   f"{frame:.4f}")
    guarded(tally, label, work)


def test_second_window(tally, npu, name, directory, recordings):
    """The second window of a file, encoded by two threads where another one has left its traces,
    has the bits that it has alone with one thread."""
    label = f"{name} windows and threads on the NPU"

    def work():
        path = npu.work / "both.wav"
        with wave.open(str(path), "wb") as out:
            for i, recording in enumerate(recordings):
                with wave.open(str(recording), "rb") as source:
                    if i == 0:
                        out.setparams(source.getparams())
                    else:
                        out.writeframes(bytes(2 * (WINDOW - out.getnframes())))
                    out.writeframes(source.readframes(source.getnframes()))
        _, both = check_states.read_npy(npu.encode(directory, path, 2, "int8"))
        _, second = check_states.read_npy(npu.encode(directory, recordings[1], 1, "int8"))
        tally.check(label, [] if both[len(second):] == second else
                    ["the states of a second window are not those of its own file"],
                    "the same bits")
    guarded(tally, label, work)


def test_f32_is_refused(tally, npu, name, directory, recording):
    label = f"{name} f32 on the NPU"
    try:
        npu.encode(directory, recording, precision="f32")
        tally.check(label, ["there are states"])
    except RuntimeError as error:
        tally.check(label, [] if "not f32" in str(error) else [str(error)], str(error))


def quick_on_npu(tally, npu, arguments, recordings):
    name = "tiny.en"
    directory = model_directory(name, arguments)
    cpu = Encoder(arguments.npuenc, npu.work, arguments.threads)
    for precision in ("bf16", "int8"):
        test_beside_cpu(tally, npu, cpu, name, directory, recordings[1], precision)
    test_second_window(tally, npu, name, directory, [recordings[4], recordings[1]])
    test_f32_is_refused(tally, npu, name, directory, recordings[1])


# --- the long tests -------------------------------------------------------------------------------

def enter_environment(fetch):
    """The long tests go on in the private environment."""
    try:
        import ctranslate2  # noqa: F401  pylint: disable=unused-import,import-outside-toplevel
        return
    except ImportError:
        pass
    python = helper("python-env", "decoder", fetch)
    os.execv(python, [python, *sys.argv])


def summary_of(figures):
    return "cosine {cosine:.9f}, worst frame {worst_frame:.9f}, max abs {max_abs:.3g}".format(
        **figures)


class Long:
    """Everything that needs numpy and CTranslate2."""

    def __init__(self, tally, encoder, recordings):
        # pylint: disable=import-outside-toplevel
        import numpy
        import convert
        import ctranslate2_states
        import reference
        import transcript
        self.np, self.convert, self.reference = numpy, convert, reference
        self.transcript, self.oracle = transcript, ctranslate2_states
        self.tally, self.encoder, self.recordings = tally, encoder, recordings
        self.words = json.loads((HERE / "transcripts.json").read_text("utf-8"))

    def states(self, model, recording, **how):
        """States by the command, [n_ctx][n_state]."""
        states = self.np.load(self.encoder.encode(model, recording, **how), allow_pickle=False)
        return states.reshape(states.shape[-2:])

    def test_model(self, name, directory):
        """Each recording: float64, CTranslate2's states, CTranslate2's words."""
        decoder = self.transcript.Decoder(directory)
        short, _ = self.convert.convert("ctranslate2-one-layer-short", self.encoder.work, directory)
        for recording in self.recordings:
            guarded(self.tally, f"{name} {recording.stem[-4:]}",
                    lambda: self.test_recording(name, directory, decoder, short, recording))

    def test_recording(self, name, directory, decoder, short, recording):
        label = f"{name} {recording.stem[-4:]}"
        states = self.states(directory, recording)
        figures = check_states.compare(states, self.reference.cached_states(directory, recording))
        self.tally.check(f"{label} float64", check_states.faults_of(figures), summary_of(figures))

        theirs = self.oracle.states_of(decoder, recording)
        # Each of the two may be MAX_ABS away from the exact states.
        figures = check_states.compare(states, theirs[0].astype(self.np.float64))
        self.tally.check(f"{label} CTranslate2",
                         check_states.faults_of(figures, 2 * check_states.MAX_ABS),
                         summary_of(figures))

        heard, = decoder.transcribe(states[None])
        expected = self.words[name][recording.stem]
        faults = [f"{whose}: {words!r}" for whose, words in
                  (("CTranslate2 today", decoder.transcribe(theirs)[0]),
                   ("transcripts.json", expected["transcript"])) if words != heard]
        errors, words = self.transcript.word_errors(
            self.transcript.recorded_transcript(recording), heard)
        self.tally.check(f"{label} words", faults, f"{heard!r}, {errors} of {words} words wrong")

        # Cross-attention is blind to the order of frames, so what is shuffled is the channels.
        shuffled = states[:, self.np.random.Generator(self.np.random.PCG64(1)).permutation(
            states.shape[1])]
        wrong = {"zeroed": self.np.zeros_like(states), "shuffled": shuffled,
                 "one layer short": self.states(short, recording)}
        self.tally.check(f"{label} wrong states change the words",
                         [f"{what} states give the same words" for what, bad in wrong.items()
                          if decoder.transcribe(bad[None])[0] == heard])

    def test_precision(self, name, directory, precision):
        """The bounds of a narrower precision on every recording, with every instruction set that
        this CPU has, and with the best one the same words."""
        decoder = self.transcript.Decoder(directory)
        for isa in (None, *self.instruction_sets()):
            for recording in self.recordings:
                label = f"{name} {recording.stem[-4:]} {precision} on {isa or 'the best'}"
                guarded(self.tally, label, lambda: self.test_precise_enough(
                    label, (name, directory, precision, isa), decoder, recording))

    def test_precise_enough(self, label, which, decoder, recording):
        name, directory, precision, isa = which
        states = self.states(directory, recording, precision=precision, isa=isa)
        figures = check_states.compare(states, self.reference.cached_states(directory, recording))
        faults = check_states.narrow_faults_of(figures, precision, name)
        if isa is None:
            heard, = decoder.transcribe(states[None])
            expected = self.words[name][recording.stem]["transcript"]
            if heard != expected:
                faults.append(f"heard {heard!r}, expected {expected!r}")
        self.tally.check(label, faults, summary_of(figures))

    def instruction_sets(self):
        """Those that the command accepts here, but for the best one."""
        def used(environment):
            result = subprocess.run([self.encoder.command, "devices", "--json"], check=False,
                                    capture_output=True, env=os.environ | environment)
            devices = json.loads(result.stdout)["devices"] if result.returncode == 0 else []
            return [device["isa"] for device in devices if device["device"] == "cpu"]

        return [isa for isa in ("avx2", "avx512", "avx512vnni", "avx512bf16", "amx")
                if used({"NPUENC_ISA": isa}) == [isa] != used({})]

    def test_formats(self, name, directory, forms):
        """States of every format are right for the weights in the file, and those that hold the
        same weights give the same bits."""
        recording = self.recordings[1]
        first = self.states(directory, recording)
        exact = {"ggml-f32", "ggml-f16", "safetensors-f32", "safetensors-f16",
                 "safetensors-f16-sharded", "ctranslate2-f32", "ctranslate2-f16"}

        def work(form):
            with tempfile.TemporaryDirectory(dir=self.encoder.work) as out:
                path, model = self.convert.convert(form, out, directory)
                states = self.states(path, recording)
            if form in exact:
                self.tally.check(f"{name} {form}", [] if self.np.array_equal(states, first) else
                                 ["other bits than the CTranslate2 model's"], "the same bits")
                return
            figures = check_states.compare(states, self.reference.states_of(model, recording))
            self.tally.check(f"{name} {form}", check_states.faults_of(figures),
                             summary_of(figures))

        for form in forms:
            guarded(self.tally, f"{name} {form}", lambda form=form: work(form))

    def test_random(self, shape, recording):
        """Random weights in other shapes, as GGML f16 and as safetensors f32."""
        def work(form):
            with tempfile.TemporaryDirectory(dir=self.encoder.work) as out:
                path, model = self.convert.convert(form, out, random=shape)
                states = self.states(path, recording)
            figures = check_states.compare(states, self.reference.states_of(model, recording))
            self.tally.check(f"random {shape} {form}", check_states.faults_of(figures),
                             summary_of(figures))

        for form in ("ggml-f16", "safetensors-f32"):
            guarded(self.tally, f"random {shape} {form}", lambda form=form: work(form))

    def test_probe_files(self, name, directory):
        """The committed probes are what reference.py makes."""
        expected = json.loads((HERE / f"{name}.json").read_text("utf-8"))
        found = self.reference.probe_file(name, directory, self.recordings)
        self.tally.check(f"{name}.json is reproduced",
                         self.reference.differences(expected, found))


def everything_on_npu(tally, npu, arguments, recordings):
    """The bounds and the words, which are the CPU's, of every recording."""
    quick_on_npu(tally, npu, arguments, recordings)
    long = Long(tally, npu, recordings)
    for name in ("tiny.en", "base"):
        directory = model_directory(name, arguments)
        decoder = long.transcript.Decoder(directory)
        for precision in ("bf16", "int8"):
            for recording in recordings:
                label = f"{name} {recording.stem[-4:]} {precision} on the NPU"
                guarded(tally, label, lambda: long.test_precise_enough(
                    label, (name, directory, precision, None), decoder, recording))


def first_samples(recording, count, path):
    """The beginning of a recording as a WAV file of its own."""
    with wave.open(str(recording), "rb") as source, wave.open(str(path), "wb") as out:
        out.setparams(source.getparams())
        out.writeframes(source.readframes(count))
    return path


def everything(tally, encoder, arguments, recordings):
    directories = {name: model_directory(name, arguments) for name in ("tiny.en", "base")}
    quick(tally, encoder, arguments, recordings)
    long = Long(tally, encoder, recordings)
    for name, directory in directories.items():
        long.test_probe_files(name, directory)
        long.test_model(name, directory)
        for precision in ("bf16", "int8"):
            long.test_precision(name, directory, precision)
    forms = [form for form in long.convert.FORMATS if form != "ctranslate2-one-layer-short"]
    long.test_formats("tiny.en", directories["tiny.en"], forms)
    long.test_formats("base", directories["base"], ["ggml-f16", "safetensors-f16"])
    long.test_random("large-v3", recordings[1])
    # A window of 149 states takes 47,680 samples.
    long.test_random("odd", first_samples(recordings[1], 39999, encoder.work / "begin.wav"))


def main():
    parser = argparse.ArgumentParser(description="Golden tests of the npuenc command.")
    parser.add_argument("--npuenc", required=True, help="the command under test")
    parser.add_argument("--models", type=pathlib.Path,
                        help="directory with tiny.en/ and base/ (default: the cache)")
    parser.add_argument("--recordings", type=pathlib.Path, default=RECORDINGS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--all", action="store_true", help="the long tests too")
    parser.add_argument("--fetch", action="store_true", help="download what is missing")
    npu = parser.add_argument_group("on the virtual NPU")
    npu.add_argument("--run-with-xrt", help="tests/virtual_npu/driver/run-with-xrt")
    npu.add_argument("--xrt-prefix", help="what tools/xrt-prefix prints")
    npu.add_argument("--virtual-npu", help="libvirtual-npu.so")
    npu.add_argument("--module-path", help="directory of npuenc-xrt.so")
    npu.add_argument("--overlay-path", help="directory of the overlays")
    arguments = parser.parse_args()
    try:
        recordings = recordings_in(arguments.recordings)
        if arguments.all:
            enter_environment(arguments.fetch)
        with tempfile.TemporaryDirectory(prefix="npuenc-golden-") as work:
            tally = Tally()
            if arguments.run_with_xrt:
                encoder = EncoderOnNpu(arguments, pathlib.Path(work))
                tests = everything_on_npu if arguments.all else quick_on_npu
            else:
                encoder = Encoder(arguments.npuenc, pathlib.Path(work), arguments.threads)
                tests = everything if arguments.all else quick
            tests(tally, encoder, arguments, recordings)
            return tally.close()
    except Skip as why:
        print(f"skipped: {why}")
        return SKIPPED


if __name__ == "__main__":
    sys.exit(main())
