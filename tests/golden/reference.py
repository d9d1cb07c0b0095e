#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whisper's encoder in float64, from its definition, and the probes made from it.

Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022), section 2.2;
the details it leaves open (eps 1e-5, exact GELU, the key without a bias, the log-mel's constants)
are those of OpenAI's `whisper/model.py` and `whisper/audio.py`. Written to be read beside them, not
to be fast: nothing here is shared with the library under test.

    reference.py probes MODEL DIRECTORY RECORDING...    print the probes of a model as JSON
    reference.py check MODEL DIRECTORY RECORDING...     compare them with MODEL.json beside this
    reference.py states DIRECTORY RECORDING OUT.npy [--n-ctx N] [--mel MEL.npy]
"""

import argparse
import hashlib
import json
import math
import os
import pathlib
import re
import sys
import wave

import numpy as np

import check_states
import weights

SAMPLE_RATE = 16000
N_FFT = 400
HOP = 160
HERE = pathlib.Path(__file__).resolve().parent


# --- from sound to log-mel ------------------------------------------------------------------------

def read_recording(path):
    """Samples in [-1, 1) of a 16 kHz mono 16-bit WAV file."""
    with wave.open(str(path), "rb") as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (SAMPLE_RATE, 1, 2):
            raise ValueError(f"{path}: expected 16 kHz, one channel, 16 bits")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768.0


def slaney_hz(mel):
    """Slaney's Auditory Toolbox (1998): linear to 1 kHz at 3 mel per 200 Hz, logarithmic above with
    27 steps to the factor 6.4."""
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * math.log(6.4) / 27))


def slaney_mel(hz):
    return hz * 3 / 200 if hz < 1000 else 15 + math.log(hz / 1000) * 27 / math.log(6.4)


def mel_filters(n_mels):
    """Triangles [n_mels][201] between bands equally spaced in mel from 0 to 8000 Hz, each of area
    one (in Hz)."""
    edges = slaney_hz(np.linspace(0, slaney_mel(SAMPLE_RATE / 2), n_mels + 2))
    bins = np.arange(N_FFT // 2 + 1) * SAMPLE_RATE / N_FFT
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low)


def log_mel(samples, n_mels, n_ctx):
    """[n_mels][2 n_ctx] of one window, padded with zeros before the transform."""
    if len(samples) > 2 * n_ctx * HOP:
        raise ValueError(f"{len(samples)} samples are longer than the window of {2 * n_ctx * HOP}")
    window = np.zeros(2 * n_ctx * HOP)
    window[:len(samples)] = samples
    padded = np.pad(window, N_FFT // 2, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP][:2 * n_ctx]
    power = np.abs(np.fft.rfft(frames * hann, axis=1)) ** 2
    spectrum = np.log10(np.maximum(mel_filters(n_mels) @ power.T, 1e-10))
    return (np.maximum(spectrum, spectrum.max() - 8) + 4) / 4


# --- from log-mel to states -----------------------------------------------------------------------

def gelu(x):
    """The exact form, with the C library's erf."""
    erf = np.fromiter(map(math.erf, (x / math.sqrt(2)).ravel()), np.float64, x.size)
    return 0.5 * x * (1 + erf.reshape(x.shape))


def layer_norm(x, weight, bias):
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred ** 2).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + 1e-5) * weight + bias


def conv(x, weight, bias, stride):
    """Kernel of 3, padding of 1; x is [channels][frames], weight [out][in][3]."""
    padded = np.pad(x, ((0, 0), (1, 1)))
    n = (x.shape[1] - 1) // stride + 1
    return bias[:, None] + sum(weight[:, :, k] @ padded[:, k:k + stride * n:stride][:, :n]
                               for k in range(3))


def attention(x, tensors, n_head):
    """Self-attention without a mask; x is [frames][n_state]."""
    query = x @ tensors["query.weight"].T + tensors["query.bias"]
    key = x @ tensors["key.weight"].T
    value = x @ tensors["value.weight"].T + tensors["value.bias"]
    heads = []
    for q, k, v in zip(*(np.split(part, n_head, axis=1) for part in (query, key, value))):
        scores = q @ k.T / math.sqrt(q.shape[1])
        weight = np.exp(scores - scores.max(axis=1, keepdims=True))
        heads.append(weight / weight.sum(axis=1, keepdims=True) @ v)
    return np.concatenate(heads, axis=1) @ tensors["out.weight"].T + tensors["out.bias"]


def encode(mel, model):
    """States [frames / 2][n_state] of log-mel features, and the residual before the last norm."""
    every = model.encoder()

    def under(prefix):
        return {name[len(prefix):]: tensor for name, tensor in every.items()
                if name.startswith(prefix)}

    x = gelu(conv(mel, every["encoder.conv1.weight"], every["encoder.conv1.bias"], 1))
    x = gelu(conv(x, every["encoder.conv2.weight"], every["encoder.conv2.bias"], 2)).T
    x = x + every["encoder.positional_embedding"][:len(x)]
    for i in range(model.n_layer):
        layer = under(f"encoder.blocks.{i}.")
        normed = layer_norm(x, layer["attn_ln.weight"], layer["attn_ln.bias"])
        x = x + attention(normed, under(f"encoder.blocks.{i}.attn."), model.n_head)
        normed = layer_norm(x, layer["mlp_ln.weight"], layer["mlp_ln.bias"])
        hidden = gelu(normed @ layer["mlp.0.weight"].T + layer["mlp.0.bias"])
        x = x + hidden @ layer["mlp.2.weight"].T + layer["mlp.2.bias"]
    return layer_norm(x, every["encoder.ln_post.weight"], every["encoder.ln_post.bias"]), x


def states_of(model, recording, n_ctx=None):
    """States of a recording in one window."""
    return encode(log_mel(read_recording(recording), model.n_mels, n_ctx or model.n_ctx), model)[0]


def cached_states(model_directory, recording):
    """The same, kept in the cache by the digests of everything they depend on."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    root = pathlib.Path(root) if os.path.isabs(root) else pathlib.Path.home() / ".cache"
    sources = [pathlib.Path(model_directory) / "model.bin", recording, __file__, weights.__file__]
    key = hashlib.sha256("".join(check_states.sha256(path) for path in sources).encode())
    path = root / "npuenc" / "golden" / f"{key.hexdigest()[:32]}.npy"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        with open(partial, "wb") as file:
            np.save(file, states_of(weights.read_ctranslate2(model_directory), recording))
        partial.rename(path)
    return np.load(path)


# --- probes ---------------------------------------------------------------------------------------

def some_channels(frame, n_state, count=8):
    """Channels that depend on nothing but the frame's number."""
    digest = hashlib.sha256(f"frame {frame}".encode()).digest()
    return sorted({int.from_bytes(digest[2 * i:2 * i + 2], "big") % n_state for i in range(count)})


def probe_places(states, residual, disturbed, n_speech):
    """Frames and channels worth looking at: the largest values (no more than four of a channel);
    frames that are hardest for an implementation, which are those with the largest residual (a
    coarse format loses the rest of it) and those that a small disturbance changes most; speech,
    padding and the edges of both."""
    n_frames, n_state = states.shape
    places, of_channel = [], {}
    for place in np.argsort(-np.abs(states), axis=None, kind="stable"):
        frame, channel = divmod(int(place), n_state)
        if of_channel.setdefault(channel, 0) < 4:
            of_channel[channel] += 1
            places.append((frame, channel))
        if len(places) == 32:
            break
    change = np.abs(disturbed - states)
    for frame in np.argsort(-change.max(axis=1), kind="stable")[:8]:
        channels = np.argsort(-change[frame], kind="stable")[:6]
        places += [(int(frame), int(channel)) for channel in channels]
    massive = np.argsort(-np.abs(residual).max(axis=1), kind="stable")[:6]
    speech = np.linspace(0, n_speech - 1, 8).astype(int)
    padding = np.linspace(min(n_speech, n_frames - 1), n_frames - 1, 8).astype(int)
    for frame in (int(frame) for group in (massive, speech, padding) for frame in group):
        places += [(frame, channel) for channel in some_channels(frame, n_state)]
    return sorted(set(places))


def probes_of(model, recording):
    """What is committed of a recording's states."""
    samples = read_recording(recording)
    mel = log_mel(samples, model.n_mels, model.n_ctx)
    states, residual = encode(mel, model)
    disturbed, _ = encode(mel.astype(np.float16).astype(np.float64), model)
    n_speech = -(-len(samples) // (2 * HOP))
    places = probe_places(states, residual, disturbed, n_speech)
    return {
        "sha256": check_states.sha256(recording),
        "n_ctx": model.n_ctx,
        "n_state": model.n_state,
        "blocks": check_states.fingerprints(states.ravel().tolist(), model.n_state),
        "probes": [[frame, channel, float(states[frame, channel])] for frame, channel in places],
    }


def probe_file(name, directory, recordings):
    """The probes of a model on several recordings."""
    model = weights.read_ctranslate2(directory)
    result = {"model": name, "sha256": check_states.sha256(pathlib.Path(directory) / "model.bin"),
              "recordings": {}}
    for recording in recordings:
        result["recordings"][pathlib.Path(recording).stem] = probes_of(model, recording)
    return result


def as_json(result):
    """Readable, one probe or block a line, so that a change is seen."""
    return re.sub(r"\[[^\[\]{}]*\]", lambda match: json.dumps(json.loads(match[0])),
                  json.dumps(result, indent=1)) + "\n"


def differences(expected, found):
    """Where two probe files differ by more than float64 arithmetic in another order does. The
    largest states are near 100 and are sums of some thousand terms that pass through a few layer
    norms: 1e-9 leaves three decimal orders."""
    def walk(path, a, b):
        if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
            for key in a:
                yield from walk(f"{path}/{key}", a[key], b[key])
        elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
            for i, (x, y) in enumerate(zip(a, b)):
                yield from walk(f"{path}/{i}", x, y)
        elif isinstance(a, float) and isinstance(b, float):
            if not abs(a - b) <= 1e-9 * max(1, abs(a)):
                yield f"{path}: {a!r} is now {b!r}"
        elif a != b:
            yield f"{path}: {str(a)[:40]} is now {str(b)[:40]}"
    return list(walk("", expected, found))


def main():
    parser = argparse.ArgumentParser(description="Whisper's encoder in float64.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("probes", "check"):
        command = commands.add_parser(name)
        command.add_argument("model")
        command.add_argument("directory")
        command.add_argument("recordings", nargs="+")
    command = commands.add_parser("states")
    command.add_argument("directory")
    command.add_argument("recording")
    command.add_argument("out")
    command.add_argument("--n-ctx", type=int)
    command.add_argument("--mel")
    arguments = parser.parse_args()

    if arguments.command == "states":
        model = weights.read_ctranslate2(arguments.directory)
        n_ctx = arguments.n_ctx or model.n_ctx
        mel = log_mel(read_recording(arguments.recording), model.n_mels, n_ctx)
        if arguments.mel:
            np.save(arguments.mel, mel)
        np.save(arguments.out, encode(mel, model)[0])
        return 0
    found = probe_file(arguments.model, arguments.directory, arguments.recordings)
    if arguments.command == "probes":
        print(as_json(found), end="")
        return 0
    expected = json.loads((HERE / f"{arguments.model}.json").read_text("utf-8"))
    expected["recordings"] = {name: probes for name, probes in expected["recordings"].items()
                              if name in found["recordings"]}
    wrong = differences(expected, found)
    print("\n".join(wrong[:20]) or f"{arguments.model}: probes reproduced")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
