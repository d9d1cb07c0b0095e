#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the npuenc command: what it prints, writes and returns, whatever it is given."""

import array
import ast
import json
import math
import os
import pathlib
import pty
import random
import re
import signal
import stat
import struct
import subprocess
import tempfile
import time
import unittest
import wave

import random_model
from programs import PROGRAMS, main

RATE = 16000
WINDOW = 30 * RATE
COMMANDS = ("encode", "mel", "info", "devices", "doctor", "bench", "bench npu", "selftest")
TIMEOUT = 120  # seconds, for a single run


# --- recordings and arrays ------------------------------------------------------------------------

def tone(hertz, amplitude, rate, seconds):
    """A list of floats."""
    step = 2 * math.pi * hertz / rate
    return [amplitude * math.sin(step * i) for i in range(int(rate * seconds))]


def noise(count, seed=1):
    """Cheap and never the same twice, so that windows can be told apart."""
    generator = random.Random(seed)
    return array.array("h", (generator.getrandbits(14) - 8192 for _ in range(count)))


def to_int16(samples):
    return array.array("h", (round(32767 * sample) for sample in samples))


def write_wav(path, samples, rate=RATE, channels=1):
    """Interleaved int16 samples."""
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


def interleave(left, right):
    samples = array.array("h", bytes(4 * len(left)))
    samples[0::2], samples[1::2] = left, right
    return samples


def parse_npy(data):
    """Shape and floats of a .npy file, by the description of numpy/lib/format.py."""
    if data[:8] != b"\x93NUMPY\x01\x00":
        raise AssertionError(f"not a .npy file: {data[:8]}")
    length, = struct.unpack("<H", data[8:10])
    if (10 + length) % 64 or data[9 + length:10 + length] != b"\n":
        raise AssertionError("the header is not padded to 64 bytes")
    header = ast.literal_eval(data[10:10 + length].decode("latin-1"))
    if set(header) != {"descr", "fortran_order", "shape"}:
        raise AssertionError(f"keys of the header: {sorted(header)}")
    if header["descr"] != "<f4" or header["fortran_order"]:
        raise AssertionError(f"not little-endian float32 in C order: {header}")
    values = array.array("f")
    values.frombytes(data[10 + length:])
    if len(values) != math.prod(header["shape"]):
        raise AssertionError(f"{len(values)} values for {header['shape']}")
    return header["shape"], values


# --- the command ----------------------------------------------------------------------------------

class Case(unittest.TestCase):
    """A directory of its own for each test; the model is made once."""

    @classmethod
    def setUpClass(cls):
        cls.shared_ = tempfile.TemporaryDirectory(prefix="npuenc-command-")
        cls.shared = pathlib.Path(cls.shared_.name)
        cls.model = random_model.write(cls.shared / "model")
        cls.wav = write_wav(cls.shared / "noise.wav", noise(2 * RATE))

    @classmethod
    def tearDownClass(cls):
        cls.shared_.cleanup()

    def setUp(self):
        directory = tempfile.TemporaryDirectory(dir=self.shared)
        self.addCleanup(directory.cleanup)
        self.work = pathlib.Path(directory.name)

    def run_command(self, *arguments, expect=0, stdin=None, **options):
        options.setdefault("cwd", self.work)
        result = subprocess.run([PROGRAMS.npuenc, *map(os.fspath, arguments)], check=False,
                                input=b"" if stdin is None else stdin, capture_output=True,
                                timeout=TIMEOUT, **options)
        self.assertEqual(result.returncode, expect,
                         f"{arguments}\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}")
        return result

    def wider(self, precision):
        """What a step wider is on this CPU."""
        devices = json.loads(self.run_command("devices", "--json").stdout)["devices"]
        if precision != "f32" and any(device["isa"] == "amx" for device in devices):
            return "bf16x2"
        return "bf16" if precision == "int8" else "f32"

    def refused(self, status, message, *arguments, **options):
        """Ends with this status and message on standard error, and leaves nothing behind."""
        before = sorted(os.listdir(self.work))
        result = self.run_command(*arguments, expect=status, **options)
        self.assertEqual(result.stdout, b"")
        self.assertTrue(result.stderr.startswith(b"npuenc: "), result.stderr)
        self.assertRegex(result.stderr.decode(errors="replace"), message)
        self.assertEqual(sorted(os.listdir(self.work)), before)

    def encode(self, audio, *arguments):
        """The bytes of the .npy file."""
        out = self.work / "out.npy"
        self.run_command("encode", "--model", self.model, "--output", out, *arguments, audio)
        return out.read_bytes()

    def mel(self, audio, *arguments):
        out = self.work / "out.mel.npy"
        self.run_command("mel", "--output", out, *arguments, audio)
        return parse_npy(out.read_bytes())

    def copy_in_background(self, source, target):
        process = subprocess.Popen(["cp", source, target])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)  # cleanups run last to first
        return process

    def write_audio(self, form, source, name):
        path = self.work / name
        subprocess.run([PROGRAMS.write_audio, form, source, path], check=True)
        return path


class CommandLine(Case):
    def test_help(self):
        self.assertIn(b"usage: npuenc COMMAND", self.run_command("--help").stdout)
        for command in COMMANDS:
            result = self.run_command(*command.split(), "--help")
            self.assertTrue(result.stdout.startswith(b"usage: npuenc " + command.encode()), command)
            self.assertIn(b"Exit status:", result.stdout)
            self.assertEqual(result.stderr, b"")

    def test_help_fits_a_terminal(self):
        for command in ((), *(name.split() for name in COMMANDS)):
            for line in self.run_command(*command, "--help").stdout.decode().splitlines():
                self.assertLessEqual(len(line), 100, line)

    def test_manual_has_every_option_and_exit_status(self):
        manual = pathlib.Path(PROGRAMS.manual).read_text("utf-8")
        for command in COMMANDS:
            self.assertIn(f".It Cm {command}", manual)
            options = re.findall(r"^  --([a-z]+)",
                                 self.run_command(*command.split(), "--help").stdout.decode(),
                                 re.MULTILINE)
            self.assertIn("help", options)
            for option in options:
                self.assertIn(f".It Fl -{option}", manual)
        for status in (0, 1, 2, 3, 4, 130):
            self.assertIn(f"\n.It {status}\n", manual)

    def test_version(self):
        self.assertRegex(self.run_command("--version").stdout, rb"^npuenc \d+\.\d+\.\d+\n$")

    def test_wrong_usage(self):
        model = ("--model", self.model)
        for message, arguments in (
                ("a command is missing", ()),
                ("no such command: transcribe", ("transcribe",)),
                ("unrecognized option '--loud'", ("encode", "--loud", self.wav)),
                ("unrecognized option '--model'", ("mel", *model, self.wav)),
                ("requires an argument", ("encode", self.wav, "--model")),
                ("doesn't allow an argument", ("devices", "--json=yes")),
                ("AUDIO is missing", ("encode", *model)),
                ("AUDIO is missing", ("mel",)),
                ("MODEL is missing", ("info",)),
                ("one AUDIO at a time", ("encode", *model, self.wav, self.wav)),
                ("more than this command takes", ("devices", "cpu")),
                ("more than this command takes", ("doctor", "cpu")),
                ("more than this command takes", ("bench", "npu", self.wav)),
                ("more than this command takes", ("selftest", "cpu")),
                ("unrecognized option '--device'", ("bench", "npu", "--device", "cpu")),
                ("--threads is '0', expected a number from 1 to 1024",
                 ("encode", *model, "--threads", "0", self.wav)),
                ("--threads is '1025'", ("encode", *model, "--threads", "1025", self.wav)),
                ("--threads is '2x'", ("bench", *model, "--threads", "2x")),
                ("--threads is '-1'", ("selftest", "--threads", "-1")),
                ("--threads is '99999999999'", ("mel", "--threads", "99999999999", self.wav)),
                ("--precision is 'f64', expected one of auto, f32, bf16, int8",
                 ("encode", *model, "--precision", "f64", self.wav)),
                ("--device is 'gpu', expected one of auto, cpu, npu",
                 ("info", "--device", "gpu", self.model)),
                ("--mels is '81', expected 80 or 128", ("mel", "--mels", "81", self.wav)),
                ("--output is empty", ("mel", "--output", "", self.wav)),
                ("AUDIO is empty", ("mel", "")),
                ("name the result with --output", ("encode", *model, "-"))):
            with self.subTest(message):
                self.refused(2, message, *arguments)
                self.refused(2, "Try 'npuenc ", *arguments)

    def test_no_model_says_where_to_get_one(self):
        for arguments in (("encode", self.wav), ("bench",)):
            self.refused(2, r"(?s)no model: .*ggml-.*openai/whisper-base.*CTranslate2"
                         r".*tools/fetch-model tiny\.en", *arguments,
                         env={**os.environ, "XDG_CACHE_HOME": str(self.work)})

    def test_options_after_operands_and_names_like_options(self):
        odd = write_wav(self.work / "--json", noise(RATE))
        self.run_command("mel", "--output=x.npy", "--", odd.name)
        self.assertTrue((self.work / "x.npy").is_file())
        self.run_command("encode", self.wav, "--output", "y.npy", "--model", self.model)
        self.assertTrue((self.work / "y.npy").is_file())


class Errors(Case):
    def test_not_found(self):
        model = ("encode", "--model", self.model)
        self.refused(3, r"nothing\.wav: No such file", *model, "nothing.wav")
        self.refused(3, "No such file", "mel", "nothing.wav")
        self.refused(3, r"encode: .*\(no such device or file\)", "encode", "--model", "nothing",
                     self.wav)
        self.refused(3, r"info: .*\(no such device or file\)", "info", "nothing")
        self.refused(3, "cannot write .*No such file", *model, "--output", "none/a.npy", self.wav)
        self.refused(3, "No such file", "bench", "--model", self.model, "nothing.wav")

    def test_no_npu(self):
        devices = json.loads(self.run_command("devices", "--json").stdout)["devices"]
        if any(device["device"] == "npu" and device["usable"] for device in devices):
            self.skipTest("there is a usable NPU")
        for arguments in (("encode", "--model", self.model, self.wav), ("selftest",),
                          ("info", self.model), ("bench", "--model", self.model)):
            self.refused(3, f"npuenc: {arguments[0]}: ", *arguments, "--device", "npu")
        self.refused(3, "npuenc: bench: an NPU is needed: .*\n`npuenc doctor` tells more", "bench",
                     "npu")

    def test_bad_model(self):
        whole = (self.model / "model.safetensors").read_bytes()
        for name, content in (("empty", b""), ("garbage", bytes(range(256)) * 64),
                              ("cut", whole[:len(whole) // 2])):
            path = self.shared / name
            path.write_bytes(content)
            self.refused(4, r"encode: .*\(the model is damaged or not a Whisper encoder\)",
                         "encode", "--model", path, self.wav)
            self.refused(4, "info: ", "info", path)

    def test_audio_that_cannot_be_read(self):
        whole = self.wav.read_bytes()
        slow = bytearray(whole)
        slow[24:28] = struct.pack("<I", 10)
        for name, content, message in (
                ("empty.wav", b"", "not a recording"),
                ("garbage.wav", bytes(range(256)) * 64, "not a recording"),
                ("header.wav", whole[:20], "not a recording"),
                ("damaged.wav", b"RIFF" + os.urandom(4) + b"WAVEfmt " + b"\xff" * 64,
                 "not a recording"),
                ("silent.wav", whole[:44], "not a single sample"),
                ("slow.wav", bytes(slow), "the sample rate is 10 Hz, expected 1000 to 1000000")):
            (self.shared / name).write_bytes(content)
            with self.subTest(name):
                self.refused(1, message, "encode", "--model", self.model, self.shared / name)
                self.refused(1, message, "mel", self.shared / name)
        self.refused(1, "Is a directory", "encode", "--model", self.model, self.shared)
        self.refused(1, "standard input: not a recording", "mel", "--output", "x.npy", "-")

    def test_no_frames(self):
        self.refused(1, "not a single sample", "mel",
                     write_wav(self.shared / "none.wav", array.array("h")))

    def test_samples_that_are_not_finite(self):
        for value in (math.nan, math.inf):
            path = self.write_audio("float", self.wav, "float.wav")
            content = bytearray(path.read_bytes())
            content[-4 * RATE:-4 * RATE + 4] = struct.pack("<f", value)
            path.write_bytes(content)
            self.refused(1, r"the sample at 1\.000 s is not finite", "encode", "--model",
                         self.model, path)

    def test_damaged_flac(self):
        flac = self.write_audio("flac", self.wav, "a.flac")
        content = bytearray(flac.read_bytes())
        for i in range(len(content) // 2, len(content) // 2 + 64):
            content[i] ^= 0x55
        flac.write_bytes(content)
        # libsndfile may see the damage or skip it; a crash or a file half written is neither.
        result = subprocess.run([PROGRAMS.npuenc, "mel", "a.flac"], cwd=self.work, check=False,
                                capture_output=True)
        self.assertIn(result.returncode, (0, 1), result.stderr)
        self.assertEqual((self.work / "a.mel.npy").exists(), result.returncode == 0)

    def test_output_that_cannot_be_written(self):
        model = ("encode", "--model", self.model)
        (self.work / "directory").mkdir()
        self.refused(1, "cannot write directory: Is a directory", *model, "--output", "directory",
                     self.wav)
        with open("/dev/full", "wb") as full:
            for arguments in (("devices",), (*model, self.wav),
                              (*model, self.wav, "--output", "-")):
                result = subprocess.run([PROGRAMS.npuenc, *map(str, arguments)], cwd=self.work,
                                        check=False, stdout=full, stderr=subprocess.PIPE)
                self.assertEqual(result.returncode, 1)
                self.assertIn(b"cannot write standard output: No space left", result.stderr)

    @unittest.skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_output_that_may_not_be_written(self):
        (self.work / "closed").mkdir(mode=0o500)
        kept = self.work / "kept.npy"
        kept.write_bytes(b"kept")
        kept.chmod(0o400)
        for path in ("closed/a.npy", kept):
            self.refused(1, "cannot write .*Permission denied", "mel", "--output", path, self.wav)
        self.assertEqual(kept.read_bytes(), b"kept")

    def test_the_recording_is_never_replaced(self):
        path = write_wav(self.work / "a.npy", noise(RATE))
        before = path.read_bytes()
        self.refused(2, "would replace the recording", "encode", "--model", self.model, "a.npy")
        self.assertEqual(path.read_bytes(), before)


class Audio(Case):
    def test_rates_channels_and_formats(self):
        """44.1 kHz stereo gives the mel of the same tones made at 16 kHz, wherever it is not more
        than 50 dB below the peak: there, 16 bits and a resampler that is flat to 0.01 dB leave
        differences of less than 0.001 (a factor of 10^0.004 in power). A tone above 8 kHz, which
        would come back as one of 6 kHz, leaves nothing. The ends, where the tones begin and stop at
        once, ring differently."""
        seconds = 3

        def mix(rate, *tones):
            return [sum(samples) for samples in zip(*(tone(*t, rate, seconds) for t in tones))]

        mono = mix(RATE, (440, 0.25), (3000, 0.2))
        expected_shape, expected = self.mel(write_wav(self.work / "16.wav", to_int16(mono)))
        self.assertEqual(expected_shape, (1, 80, 3000))
        wav = write_wav(self.work / "44.wav",
                        interleave(to_int16(mix(44100, (440, 0.5))),
                                   to_int16(mix(44100, (3000, 0.4), (10000, 0.4)))), 44100, 2)
        floor = max(expected) - 5 / 4
        cells = [band * 3000 + frame for band in range(80)
                 for frame in range(10, 100 * seconds - 10)]
        self.assertGreater(sum(expected[i] > floor for i in cells), 1000)
        for path in (wav, self.write_audio("flac", wav, "44.flac")):
            shape, found = self.mel(path)
            self.assertEqual(shape, expected_shape)
            worst = max(abs(max(found[i], floor) - max(expected[i], floor)) for i in cells)
            self.assertLess(worst, 0.001, path)
        # Vorbis is lossy: it is only known that the tones are still the loudest.
        shape, found = self.mel(self.write_audio("ogg", wav, "44.ogg"))
        self.assertEqual(shape, expected_shape)
        loudest = max(range(80), key=lambda band: expected[band * 3000 + 150])
        self.assertEqual(max(range(80), key=lambda band: found[band * 3000 + 150]), loudest)

    def test_16_khz_mono_passes_unchanged(self):
        """The same samples in other containers, and twice in two channels, give the same bits."""
        samples = noise(2 * RATE)
        expected = self.encode(self.wav)
        for path in (self.write_audio("flac", self.wav, "a.flac"),
                     self.write_audio("float", self.wav, "float.wav"),
                     write_wav(self.work / "two.wav", interleave(samples, samples), channels=2)):
            self.assertEqual(self.encode(path), expected, path)

    def test_other_rates_and_lengths(self):
        """Duration is kept to a sample of 16 kHz."""
        for rate in (8000, 11025, 22050, 48000, 96000):
            path = write_wav(self.work / "a.wav", noise(rate + 1), rate)
            result = json.loads(self.run_command("mel", "--json", path).stdout)
            self.assertAlmostEqual(result["audio_seconds"], 1 + 1 / rate, delta=1 / RATE)
            self.assertEqual((result["sample_rate"], result["channels"]), (rate, 1))

    def test_mels(self):
        shape, values = self.mel(self.wav, "--mels", "128")
        self.assertEqual(shape, (1, 128, 3000))
        self.assertAlmostEqual(max(values) - min(values), 2, places=5)  # silence is at the clamp

    def test_pipes(self):
        """Standard input and output, and a WAV whose writer did not know its length."""
        expected = self.encode(self.wav)
        content = self.wav.read_bytes()
        endless = content[:4] + b"\xff" * 4 + content[8:40] + b"\xff" * 4 + content[44:]
        for data in (content, endless):
            result = self.run_command("encode", "--model", self.model, "-", "--output", "-",
                                      stdin=data)
            self.assertEqual(result.stdout, expected)
            self.assertIn(b"states", result.stderr)
        result = self.run_command("mel", "-", "--output", "-", "--json", stdin=content)
        self.assertEqual(parse_npy(result.stdout)[0], (1, 80, 3000))
        self.assertEqual(json.loads(result.stderr)["output"], "-")

    def test_named_pipe(self):
        expected = self.encode(self.wav)
        os.mkfifo(self.work / "pipe")
        writer = self.copy_in_background(self.wav, self.work / "pipe")
        self.assertEqual(self.encode(self.work / "pipe"), expected)
        self.assertEqual(writer.wait(timeout=TIMEOUT), 0)


class States(Case):
    def test_array(self):
        shape, values = parse_npy(self.encode(self.wav))
        self.assertEqual(shape, (1, random_model.N_CTX, random_model.N_STATE))
        self.assertTrue(all(map(math.isfinite, values)))
        rows = [values[i:i + shape[2]] for i in range(0, len(values), shape[2])]
        self.assertEqual(len(set(map(bytes, rows))), shape[1], "every state is one of its own")

    def test_threads_give_the_same_bits(self):
        self.assertEqual(self.encode(self.wav, "--threads", "1"),
                         self.encode(self.wav, "--threads", "2"))

    def test_long_audio(self):
        """95 s are four windows, each as if it were alone."""
        samples = noise(95 * RATE)
        shape, values = parse_npy(self.encode(write_wav(self.work / "long.wav", samples)))
        size = random_model.N_CTX * random_model.N_STATE
        self.assertEqual(shape, (4, random_model.N_CTX, random_model.N_STATE))
        for window in range(4):
            part = samples[window * WINDOW:(window + 1) * WINDOW]
            alone = parse_npy(self.encode(write_wav(self.work / "part.wav", part)))[1]
            self.assertEqual(values[window * size:(window + 1) * size], alone, window)

    def test_every_sample_counts(self):
        """The first and the last of each window, for the states of that window alone."""
        samples = noise(WINDOW + RATE)
        path = self.work / "a.wav"
        size = random_model.N_CTX * random_model.N_STATE
        expected = parse_npy(self.encode(write_wav(path, samples)))[1]
        for position in (0, WINDOW - 1, WINDOW, WINDOW + RATE - 1):
            other = samples[:]
            other[position] = -20000
            found = parse_npy(self.encode(write_wav(path, other)))[1]
            same = [found[i:i + size] == expected[i:i + size] for i in (0, size)]
            self.assertEqual(same, [position >= WINDOW, position < WINDOW], position)

    def test_precision_is_what_was_asked_for(self):
        for precision in ("f32", "bf16", "int8"):
            result = json.loads(self.run_command("info", self.model, "--json", "--precision",
                                                 precision).stdout)
            self.assertEqual((result["precision"], result["wide_precision"]),
                             (precision, self.wider(precision)))

    def test_window_borders(self):
        for count, windows in ((1, 1), (WINDOW - 1, 1), (WINDOW, 1), (WINDOW + 1, 2)):
            path = write_wav(self.work / "a.wav", noise(count))
            self.assertEqual(parse_npy(self.encode(path))[0][0], windows, count)
            self.assertEqual(self.mel(path)[0][0], windows, count)


class Output(Case):
    def test_default_name(self):
        self.run_command("encode", "--model", self.model, self.wav)
        self.run_command("mel", self.wav)
        self.assertEqual(sorted(os.listdir(self.work)), ["noise.mel.npy", "noise.npy"])
        self.assertEqual(stat.S_IMODE((self.work / "noise.npy").stat().st_mode),
                         0o666 & ~self.umask())

    @staticmethod
    def umask():
        mask = os.umask(0)
        os.umask(mask)
        return mask

    def test_replaces_a_file_where_it_lies(self):
        real = self.work / "real.npy"
        real.write_bytes(b"old")
        real.chmod(0o640)
        (self.work / "link.npy").symlink_to("real.npy")
        self.run_command("mel", "--output", "link.npy", self.wav)
        self.assertTrue((self.work / "link.npy").is_symlink())
        self.assertEqual(parse_npy(real.read_bytes())[0], (1, 80, 3000))
        self.assertEqual(stat.S_IMODE(real.stat().st_mode), 0o640)

    def test_writes_into_a_named_pipe(self):
        expected = self.encode(self.wav)
        path = self.work / "pipe"
        os.mkfifo(path)
        reader = self.copy_in_background(path, self.work / "copy")
        self.run_command("encode", "--model", self.model, "--output", path, self.wav)
        self.assertEqual(reader.wait(timeout=TIMEOUT), 0)
        self.assertEqual((self.work / "copy").read_bytes(), expected)
        self.assertTrue(path.is_fifo())

    def test_keeps_the_old_file_after_a_failure(self):
        (self.work / "a.npy").write_bytes(b"old")
        self.refused(4, "model", "encode", "--model", self.wav, "--output", "a.npy", self.wav)
        self.assertEqual((self.work / "a.npy").read_bytes(), b"old")

    def test_text(self):
        """Everything that a person asks for, and nothing on standard error."""
        result = self.run_command("encode", "--model", self.model, self.wav, "--device", "cpu")
        labels = [line.split()[0] for line in result.stdout.decode().splitlines()]
        self.assertEqual(labels, ["device", "precision", "model", "audio", "time", "states"])
        self.assertEqual(result.stderr, b"")

    def test_json_keys(self):
        device = {"device", "device_name", "isa", "device_reason"}
        shape = {"audio", "audio_seconds", "sample_rate", "channels", "windows", "output", "shape"}
        model = {"model", "model_path", "model_format", "weight_type", "precision"}
        for arguments, keys in (
                (("encode", "--model", self.model, self.wav),
                 device | shape | model | {"threads", "encode_seconds", "times_real_time"}),
                (("mel", self.wav), shape),
                (("info", self.model),
                 device | model | {
                     "n_mels", "n_ctx", "n_state", "n_head", "n_layer", "n_vocab", "n_parameters",
                     "file_bytes", "weight_bytes", "wide_precision", "linear_device", "attention_device",
                     "conv_device", "elementwise_device"}),
                (("devices",), {"devices", "auto"}),
                (("doctor",),
                 {"version", "system", "well", "verdict", "cpu", "npus", "runtime"}),
                (("selftest",),
                 device | {"version", "system", "threads", "bus_address", "driver", "firmware",
                           "runtime", "overlays", "failed", "checks"})):
            with self.subTest(arguments[0]):
                result = self.run_command(*arguments, "--json")
                self.assertEqual(set(json.loads(result.stdout)), keys)
                self.assertEqual(result.stdout.count(b"\n"), 1)

    def test_json_values(self):
        result = json.loads(self.run_command("encode", "--model", self.model, self.wav, "--json",
                                             "--threads", "2", "--device", "cpu").stdout)
        self.assertEqual((result["device"], result["threads"], result["precision"]),
                         ("cpu", 2, "f32"))
        self.assertEqual((result["audio_seconds"], result["windows"]), (2, 1))
        self.assertEqual(result["shape"], [1, random_model.N_CTX, random_model.N_STATE])
        self.assertAlmostEqual(result["times_real_time"], 2 / result["encode_seconds"])
        self.assertEqual((result["output"], result["model_path"]), ("noise.npy", str(self.model)))

        info = json.loads(self.run_command("info", self.model, "--json").stdout)
        count = sum(math.prod(shape) for _, shape in random_model.shapes())
        self.assertEqual(info["n_parameters"], count)
        self.assertEqual((info["model"], info["model_format"], info["weight_type"]),
                         ("custom", "safetensors", "f32"))
        self.assertEqual((info["n_mels"], info["n_ctx"], info["n_state"], info["n_head"],
                          info["n_layer"], info["n_vocab"]),
                         (random_model.N_MELS, random_model.N_CTX, random_model.N_STATE,
                          random_model.N_HEAD, random_model.N_LAYER, 51865))

    def test_json_of_names_that_are_not_text(self):
        name = b'\xff"\\\n\xed\xa0\x80\xc3\xa9.wav'
        (self.work / os.fsdecode(name)).write_bytes(self.wav.read_bytes())
        result = json.loads(self.run_command("mel", "--json", os.fsdecode(name)).stdout)
        self.assertEqual(os.fsencode(result["audio"]), name)

    def open_terminal(self):
        """Both ends of one; a root without /dev/pts has none to give."""
        try:
            return pty.openpty()
        except OSError as error:
            return self.skipTest(f"no terminal: {error}")

    def test_progress_is_for_terminals(self):
        path = write_wav(self.work / "a.wav", noise(3 * WINDOW))
        main, terminal = self.open_terminal()
        subprocess.run([PROGRAMS.npuenc, "mel", path], cwd=self.work, check=True, stderr=terminal,
                       stdout=subprocess.PIPE)
        os.close(terminal)
        shown = b""
        try:
            while block := os.read(main, 4096):
                shown += block
        except OSError:  # the terminal's other end is closed
            pass
        os.close(main)
        self.assertIn(b"100 %  window 3 of 3", shown)
        self.assertTrue(shown.endswith(b"\r\x1b[K"), "the bar goes away")
        self.assertEqual(self.run_command("mel", path).stderr, b"")

    def test_no_array_on_a_terminal(self):
        main, terminal = self.open_terminal()
        result = subprocess.run([PROGRAMS.npuenc, "mel", self.wav, "--output", "-"], check=False,
                                stdout=terminal, stderr=subprocess.PIPE, timeout=TIMEOUT)
        os.close(terminal)
        os.close(main)
        self.assertEqual(result.returncode, 2)
        self.assertIn(b"is a terminal", result.stderr)


class Interruption(Case):
    def start(self, *arguments, hangup=signal.SIG_DFL, **options):
        def settle_signals():
            # Whoever runs the tests in the background may have had SIGINT ignored.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, hangup)

        return subprocess.Popen([PROGRAMS.npuenc, *map(str, arguments)], cwd=self.work,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                preexec_fn=settle_signals, **options)

    def wait_for(self, process, condition):
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            self.assertIsNone(process.poll(), "ended before it could be interrupted")
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.002)

    def interrupted_while_encoding(self, number):
        """In the middle of four hours of silence."""
        path = self.work / "long.wav"
        write_wav(path, array.array("h"))
        size = 4 * 3600 * RATE * 2
        header = bytearray(path.read_bytes())
        header[4:8], header[40:44] = struct.pack("<I", 36 + size), struct.pack("<I", size)
        path.write_bytes(header)
        os.truncate(path, 44 + size)
        (self.work / "a.npy").write_bytes(b"old")

        def written():
            return any(path.stat().st_size > 1 << 16 for path in self.work.glob(".npuenc-*"))

        with self.start("encode", "--model", self.model, "--output", "a.npy", path) as process:
            self.wait_for(process, written)
            process.send_signal(number)
            out, error = process.communicate(timeout=TIMEOUT)
        self.assertEqual(process.returncode, 128 + number, error)
        self.assertEqual((out, error), (b"", b"npuenc: encode: interrupted\n"))
        self.assertEqual(sorted(os.listdir(self.work)), ["a.npy", "long.wav"])
        self.assertEqual((self.work / "a.npy").read_bytes(), b"old")

    def test_while_encoding(self):
        self.interrupted_while_encoding(signal.SIGINT)

    def test_terminated_while_encoding(self):
        self.interrupted_while_encoding(signal.SIGTERM)

    def start_waiting_for_input(self, **options):
        process = self.start("mel", "--output", "a.npy", "-", stdin=subprocess.PIPE, **options)
        process.stdin.write(self.wav.read_bytes())
        process.stdin.flush()
        # The unnamed file that the input is copied to is open once signals are caught.
        descriptors = pathlib.Path(f"/proc/{process.pid}/fd")

        def unnamed_file_is_open():
            try:
                return any(os.readlink(path).endswith("(deleted)")
                           for path in descriptors.iterdir())
            except FileNotFoundError:  # a descriptor that was closed meanwhile
                return False

        self.wait_for(process, unnamed_file_is_open)
        return process

    def test_while_waiting_for_input(self):
        with self.start_waiting_for_input() as process:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=TIMEOUT)
            error = process.stderr.read()
        self.assertEqual((process.returncode, error), (130, b"npuenc: mel: interrupted\n"))
        self.assertEqual(os.listdir(self.work), [])

    def test_ignored_signals_stay_ignored(self):
        """As under nohup."""
        with self.start_waiting_for_input(hangup=signal.SIG_IGN) as process:
            process.send_signal(signal.SIGHUP)
            error = process.communicate(timeout=TIMEOUT)[1]
        self.assertEqual((process.returncode, error), (0, b""))
        self.assertEqual(os.listdir(self.work), ["a.npy"])


class Doctor(Case):
    """Where there is no NPU; tests on the virtual one are in npu.py."""

    EMPTY_SYS = ("unshare", "--mount", "--map-root-user", "sh", "-c",
                 'mount -t tmpfs none /sys && exec "$@"', "sh")

    def examine(self, *wrapper):
        result = subprocess.run([*wrapper, PROGRAMS.npuenc, "doctor", "--json"], check=False,
                                capture_output=True, timeout=TIMEOUT)
        report = json.loads(result.stdout)
        self.assertEqual(result.stderr, b"")
        self.assertEqual(result.returncode, 0 if report["well"] else 1)
        return report

    def assert_without_npu(self, report, why):
        self.assertEqual((report["well"], report["npus"]), (True, []))
        self.assertTrue(report["cpu"]["opened"])
        self.assertEqual(report["verdict"], f"{why}; the CPU is used")

    def test_without_npu(self):
        report = self.examine()
        if report["npus"]:
            self.skipTest("there is an NPU")
        self.assert_without_npu(report, "the PCI bus has no AMD NPU")
        lines = self.run_command("doctor").stdout.decode().splitlines()
        self.assertEqual([line.split()[0] for line in lines if line[0] != " "],
                         ["npuenc", "system", "cpu", "runtime", "verdict"])

    def test_without_sys(self):
        if subprocess.run([*self.EMPTY_SYS, "true"], check=False,
                          stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("/sys cannot be hidden without privileges here")
        self.assert_without_npu(self.examine(*self.EMPTY_SYS),
                                "the PCI bus cannot be seen (/sys/bus/pci/devices)")

    def test_says_why_the_module_cannot_be_used(self):
        """Whatever else there is: each is named, and the rest is examined."""
        (self.work / "npuenc-xrt.so").write_bytes(b"not a library")
        for directory, words in (("nowhere", "NPUENC_MODULE_PATH"), (self.work, "damaged")):
            result = self.run_command(
                "doctor", "--json",
                env={**os.environ, "NPUENC_MODULE_PATH": str(self.work / directory),
                     "NPUENC_OVERLAY_PATH": str(self.work)})
            runtime = json.loads(result.stdout)["runtime"]
            errors = [finding["text"] for finding in runtime["findings"]
                      if finding["severity"] == "error"]
            self.assertEqual(runtime["module"], "")
            self.assertIn(str(self.work), errors[0])
            self.assertIn(words, errors[0])
            self.assertTrue(all("NPUENC_OVERLAY_PATH" in error for error in errors[1:]), errors)
            self.assertEqual(len(errors), 1 + 6)  # and the overlays


class Measurements(Case):
    def test_selftest(self):
        result = self.run_command("selftest", "--device", "cpu")
        lines = result.stdout.decode().splitlines()
        self.assertIn("None of 17 checks failed.", lines[-1])
        checks = json.loads(self.run_command("selftest", "--device", "cpu", "--json",
                                             "--threads", "1").stdout)["checks"]
        self.assertEqual([check["result"] for check in checks], ["ok"] * 17)
        # Sums of int8 products are exact: the hash is the same everywhere.
        hashes = {check["name"]: check["hash"] for check in checks if "hash" in check}
        self.assertEqual(hashes["matmul int8 to int32 512"], "0c710350f0d89c6b")

    def test_times_of_selftest(self):
        checks = json.loads(self.run_command("selftest", "--device", "cpu", "--json").stdout)
        self.assertEqual(checks["overlays"], [])
        self.assertTrue(all(0 < check["ms"] < 1000 for check in checks["checks"]))

    def test_selftest_finds_wrong_results(self):
        # AddressSanitizer wants to be the first library, but nothing is instrumented here.
        environment = {**os.environ, "LD_PRELOAD": PROGRAMS.wrong_results,
                       "ASAN_OPTIONS": "verify_asan_link_order=0"}
        result = self.run_command("selftest", "--device", "cpu", expect=1, env=environment)
        lines = result.stdout.decode().splitlines()
        self.assertEqual(sum(line.startswith("FAILED ") for line in lines), 17, result.stdout)
        self.assertIn("17 of 17 checks FAILED.", lines[-1])
        result = self.run_command("selftest", "--device", "cpu", "--json", expect=1,
                                  env=environment)
        self.assertEqual(json.loads(result.stdout)["failed"], 17)

    def test_bench(self):
        result = json.loads(self.run_command("bench", "--model", self.model, "--device", "cpu",
                                             "--threads", "2", "--json").stdout)
        self.assertEqual(set(result),
                         {"version", "device", "device_name", "isa", "input", "encode", "matmul"})
        self.assertEqual([row["threads"] for row in result["encode"]], [1, 2])
        for row in result["encode"]:
            self.assertGreaterEqual(row["runs"], 10)
            self.assertLessEqual(row["min_ms"], row["median_ms"])
            self.assertGreater(row["load_ms"], 0)
            self.assertGreater(row["peak_bytes"], 4 * random_model.N_CTX * random_model.N_STATE)
            self.assertAlmostEqual(row["times_real_time"], 30000 / row["min_ms"])
            self.assertNotIn("operators", row)
        self.assertEqual([(row["size"], row["threads"]) for row in result["matmul"]],
                         [(512, 1), (512, 2)] * 3)

    def test_bench_of_a_recording(self):
        result = self.run_command("bench", "--model", self.model, "--threads", "1", self.wav)
        self.assertIn(str(self.wav), result.stdout.decode())
        self.assertNotIn(b"attention", result.stdout)

    def test_profile_adds_up(self):
        """The operators by the library's clock are the fastest encode by the command's. Between
        operators the input is checked, once, whatever the model's width: this one is as wide as
        base, of which that is less than 1 %."""
        model = random_model.write(self.work / "wide", n_state=512)
        rows = json.loads(self.run_command("bench", "--model", model, "--device", "cpu",
                                           "--precision", "bf16", "--threads", "2", "--profile",
                                           "--json").stdout)["encode"]
        self.assertEqual([row["threads"] for row in rows], [1, 2])
        for row in rows:
            operators = row["operators"]
            parts = sum(operator["ms"] for operator in operators)
            self.assertLessEqual(parts, row["min_ms"])
            self.assertLess(1 - parts / row["min_ms"], 0.03)
            self.assertAlmostEqual(parts + row["between_operators_ms"], row["min_ms"])
            for operator in operators:
                self.assertAlmostEqual(operator["share"], operator["ms"] / row["min_ms"])
            self.assertAlmostEqual(
                sum(operator["gflops"] * operator["ms"] for operator in operators)
                / (row["gflops"] * row["min_ms"]), 1)
            self.assertEqual(len({(operator["name"], operator["layer"]) for operator in operators}),
                             len(operators))
            attention = [operator for operator in operators if operator["name"] == "attention"]
            self.assertEqual([(operator["layer"], operator["device"], operator["precision"],
                               operator["calls"]) for operator in attention],
                             [(0, "cpu", self.wider("bf16"), 1), (1, "cpu", "bf16", 1)])

    def test_profile_in_text(self):
        """Summed over layers; what is between operators and the whole follow."""
        lines = self.run_command("bench", "--model", self.model, "--threads", "1",
                                 "--profile").stdout.decode().splitlines()
        self.assertEqual([line.split()[1] for line in lines if line.startswith("attention  ")],
                         [str(random_model.N_LAYER)])
        whole = [line for line in lines if re.match(r"all +\d+\.\d+ 100\.0 %", line)]
        self.assertEqual(len(whole), 1)
        self.assertIn("between operators", lines[lines.index(whole[0]) - 1])


if __name__ == "__main__":
    main("Tests of the npuenc command.",
         {"npuenc": "the command under test",
          "write_audio": "the program write-audio",
          "wrong_results": "the module wrong-results.so",
          "manual": "npuenc.1"})
