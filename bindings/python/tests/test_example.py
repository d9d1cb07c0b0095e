# SPDX-License-Identifier: MIT
"""examples/transcribe_states.py, beside the npuenc command."""

import os
import re
import signal
import subprocess
import sys
import time
import wave

import numpy as np
import pytest
from conftest import SOURCE

EXAMPLE = SOURCE / "examples" / "transcribe_states.py"


def example(*arguments, **options):
    return subprocess.run([sys.executable, EXAMPLE, *arguments], check=False, capture_output=True,
                          text=True, timeout=120, **options)


def check_as_the_command(model, recording, directory):
    mine, its = directory / "mine.npy", directory / "its.npy"
    result = example(model, recording, mine)
    assert result.returncode == 0, result.stderr
    assert re.search(r"^device: .+\n(.*\n)*time: \d+\.\d+ s", result.stdout)
    assert result.stderr.endswith("100 %\n")
    subprocess.run([os.environ["NPUENC_COMMAND"], "encode", "--model", model, recording, "--output",
                    its], check=True, capture_output=True)
    assert mine.read_bytes() == its.read_bytes()
    assert mine.stat().st_mode == its.stat().st_mode
    assert sorted(path.name for path in directory.iterdir()) == ["its.npy", "mine.npy"]
    return np.load(mine)


def test_real_speech_with_real_weights(tmp_path, real_model, speech):
    assert check_as_the_command(real_model, speech, tmp_path).shape == (1, 1500, 384)


def test_several_windows(tmp_path, model_path, long_wav):
    assert check_as_the_command(model_path, long_wav, tmp_path).shape == (3, 1500, 64)


def write(path, channels=1, width=2, rate=16000, count=100):
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(bytes(channels * width * count))
    return path


def test_what_is_wrong_is_said_in_a_line(tmp_path, model_path):
    good = write(tmp_path / "good.wav")
    text = tmp_path / "text.wav"
    text.write_text("not a recording", encoding="ascii")
    output = tmp_path / "out.npy"
    for model, recording, to in (
            (model_path, write(tmp_path / "stereo.wav", channels=2), output),
            (model_path, write(tmp_path / "bytes.wav", width=1), output),
            (model_path, write(tmp_path / "fast.wav", rate=44100), output),
            (model_path, write(tmp_path / "empty.wav", count=0), output),
            (model_path, text, output),
            (model_path, tmp_path / "absent.wav", output),
            (tmp_path / "absent", good, output),
            (text, good, output),
            (model_path, good, tmp_path / "absent" / "out.npy")):
        result = example(model, recording, to)
        assert result.returncode == 1, (recording, result)
        *_, line = result.stderr.splitlines()
        assert line.startswith("transcribe_states.py: ") and "Traceback" not in result.stderr
        assert not to.exists() and not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("arguments", [(), ("a", "b"), ("a", "b", "c", "d")])
def test_wrong_usage(arguments):
    result = example(*arguments)
    assert result.returncode == 2 and result.stderr.startswith("usage: ")


def test_ctrl_c(tmp_path, model_path):
    """Half an hour of sound, interrupted once the encoding has begun."""
    sound = write(tmp_path / "silence.wav", count=30 * 60 * 16000)
    output = tmp_path / "out.npy"
    with subprocess.Popen([sys.executable, EXAMPLE, model_path, sound, output],
                          stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        seen = b""
        while b"%" not in seen:
            seen += process.stderr.read(1)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(timeout=60) == 130, rest
        assert time.monotonic() - begun < 60
    assert b"Traceback" not in rest
    assert [path.name for path in tmp_path.iterdir()] == ["silence.wav"]
