#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compare encoder states (.npy, float32) with the float64 reference.

    check_states.py STATES.npy --model tiny.en --recording FILE.wav
        against the committed probes; needs nothing but Python
    check_states.py STATES.npy --model tiny.en --recording FILE.wav --full --directory DIRECTORY
        against every state, computed from the CTranslate2 DIRECTORY; needs numpy
"""

import argparse
import array
import ast
import hashlib
import json
import math
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent

# Of float32 arithmetic against float64 with the same weights.
MIN_COSINE = 0.999999
MAX_ABS = 2e-3

# Of narrower arithmetic: the least cosine of a whole clip and of its worst frame.
LEAST = {("bf16", "tiny.en"): (0.9999, 0.97), ("bf16", "base"): (0.9998, 0.97),
         ("int8", "tiny.en"): (0.9994, 0.9), ("int8", "base"): (0.998, 0.9)}

# Frames in one fingerprint.
BLOCK = 25


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def read_npy(path):
    """Shape and values of a float32 .npy file (format version 1 or 2, C order)."""
    data = pathlib.Path(path).read_bytes()
    if data[:6] != b"\x93NUMPY" or data[6] not in (1, 2):
        raise ValueError(f"{path} is not a .npy file")
    form = "<H" if data[6] == 1 else "<I"
    size, = struct.unpack_from(form, data, 8)
    start = 8 + struct.calcsize(form) + size
    header = ast.literal_eval(data[8 + struct.calcsize(form):start].decode("latin-1"))
    if header["descr"] != "<f4" or header["fortran_order"]:
        raise ValueError(f"{path}: expected <f4 in C order, found {header}")
    values = array.array("f", data[start:])
    if len(values) != math.prod(header["shape"]):
        raise ValueError(f"{path}: {len(values)} values for the shape {header['shape']}")
    return header["shape"], values


def fingerprints(values, n_state):
    """For each block of frames: the sum of the values under fixed random signs, and their norm."""
    size = BLOCK * n_state
    signs = [1 if byte & 1 else -1 for byte in hashlib.shake_128(b"signs").digest(size)]
    return [[math.fsum(sign * value for sign, value in zip(signs, values[at:at + size])),
             math.sqrt(math.fsum(value * value for value in values[at:at + size]))]
            for at in range(0, len(values), size)]


def check_probes(states_path, probes):
    """Faults found (an empty list is good) and the largest error at the probes.

    The probes are held to MAX_ABS. The fingerprints see every value: if no value is off by more
    than MAX_ABS, the norm of the error of a block of n values is at most MAX_ABS √n. So its norm
    can differ by no more than that; and its sum under random signs, by Hoeffding's inequality, by
    more than MAX_ABS √n √(2 ln(2/p)) with probability below p, which is set to 1e-12.
    """
    shape, values = read_npy(states_path)
    n_ctx, n_state = probes["n_ctx"], probes["n_state"]
    if tuple(shape) not in ((n_ctx, n_state), (1, n_ctx, n_state)):
        return [f"shape {shape}, expected ({n_ctx}, {n_state})"], math.inf
    if not all(map(math.isfinite, values)):
        return ["a state is not finite"], math.inf

    faults = []
    worst, place = max((abs(values[frame * n_state + channel] - value), (frame, channel))
                       for frame, channel, value in probes["probes"])
    if worst > MAX_ABS:
        faults.append(f"frame {place[0]}, channel {place[1]}: off by {worst:.3g}")
    for i, (found, expected) in enumerate(zip(fingerprints(values, n_state), probes["blocks"])):
        norm = MAX_ABS * math.sqrt(min(BLOCK, n_ctx - i * BLOCK) * n_state)
        total = norm * math.sqrt(2 * math.log(2 / 1e-12))
        if abs(found[0] - expected[0]) > total or abs(found[1] - expected[1]) > norm:
            faults.append(f"frames from {i * BLOCK} on: signed sum {found[0]:.6g} and norm "
                          f"{found[1]:.6g}, expected {expected[0]:.6g} and {expected[1]:.6g}")
    return faults, worst


def compare(states, reference):
    """Cosine of the whole clip, of the worst frame, and the largest error, in float64."""
    import numpy as np  # pylint: disable=import-outside-toplevel
    states = states.astype(np.float64).reshape(-1, states.shape[-1])
    if states.shape != reference.shape:
        raise ValueError(f"shape {states.shape}, expected {reference.shape}")
    if not np.isfinite(states).all():
        raise ValueError("a state is not finite")

    def cosine(a, b):
        norms = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
        return (a * b).sum(axis=-1) / np.where(norms == 0, 1, norms)

    return {"cosine": float(cosine(states.ravel(), reference.ravel())),
            "worst_frame": float(cosine(states, reference).min()),
            "max_abs": float(np.abs(states - reference).max())}


def faults_of(figures, max_abs=MAX_ABS):
    """What of a comparison is out of bounds."""
    faults = []
    if not figures["cosine"] >= MIN_COSINE:
        faults.append(f"cosine {figures['cosine']:.9f} is below {MIN_COSINE}")
    if not figures["max_abs"] <= max_abs:
        faults.append(f"max abs {figures['max_abs']:.3g} is above {max_abs}")
    return faults


def narrow_faults_of(figures, precision, model):
    """The same for a narrower precision."""
    cosine, worst_frame = LEAST[precision, model]
    faults = []
    if not figures["cosine"] >= cosine:
        faults.append(f"cosine {figures['cosine']:.6f} is below {cosine}")
    if not figures["worst_frame"] >= worst_frame:
        faults.append(f"the worst frame's cosine {figures['worst_frame']:.4f} is below {worst_frame}")
    return faults


def load_probes(model, recording):
    """The committed probes of a recording; None when it is not one of the five."""
    table = json.loads((HERE / f"{model}.json").read_text("utf-8"))["recordings"]
    probes = table.get(pathlib.Path(recording).stem)
    if probes is None or probes["sha256"] != sha256(recording):
        raise ValueError(f"no probes of {model} for {recording}")
    return probes


def main():
    parser = argparse.ArgumentParser(description="Compare states with the float64 reference.")
    parser.add_argument("states")
    parser.add_argument("--model", required=True, choices=["tiny.en", "base"])
    parser.add_argument("--recording", required=True)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--directory", help="CTranslate2 directory of the model, for --full")
    arguments = parser.parse_args()
    try:
        if arguments.full:
            import numpy as np  # pylint: disable=import-outside-toplevel
            import reference  # pylint: disable=import-outside-toplevel
            if arguments.directory is None:
                parser.error("--full needs --directory")
            figures = compare(np.load(arguments.states, allow_pickle=False),
                              reference.cached_states(arguments.directory, arguments.recording))
            faults = faults_of(figures)
            summary = ("cosine {cosine:.9f}, worst frame {worst_frame:.9f}, "
                       "max abs {max_abs:.3g}".format(**figures))
        else:
            faults, worst = check_probes(arguments.states,
                                         load_probes(arguments.model, arguments.recording))
            summary = f"max abs {worst:.3g} at the probes"
    except (OSError, ValueError) as error:
        print(f"check_states: {error}", file=sys.stderr)
        return 2
    print("\n".join([summary, *faults]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
