#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The same work by CTranslate2: float32 states, and the transcripts it makes of them.

    ctranslate2_states.py states DIRECTORY RECORDING OUT.npy
    ctranslate2_states.py transcripts --models DIRECTORY RECORDING...    print transcripts.json

CTranslate2 is an oracle that shares nothing with this project but the log-mel, which is that of
reference.py.
"""

import argparse
import json
import pathlib
import sys

import numpy as np

import reference

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import transcript  # noqa: E402  pylint: disable=wrong-import-position


def states_of(decoder, recording, n_mels=80, n_ctx=1500):
    """States [1][n_ctx][n_state] of a recording."""
    mel = reference.log_mel(reference.read_recording(recording), n_mels, n_ctx)
    return decoder.encode(mel[None])


def heard_in(decoder, states, recording):
    """What the decoder makes of a recording's states, and how many of the words are wrong in it."""
    heard, = decoder.transcribe(states[None])
    errors, words = transcript.word_errors(transcript.recorded_transcript(recording), heard)
    return {"transcript": heard, "errors": errors, "words": words}


def transcripts(decoder, recordings):
    """For each recording what CTranslate2 hears, and how many of the words it gets wrong."""
    return {recording.stem: heard_in(decoder, states_of(decoder, recording)[0], recording)
            for recording in map(pathlib.Path, recordings)}


def main():
    parser = argparse.ArgumentParser(description="States and transcripts by CTranslate2.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("states")
    command.add_argument("directory")
    command.add_argument("recording")
    command.add_argument("out")
    command = commands.add_parser("transcripts")
    command.add_argument("--models", required=True, help="directory of CTranslate2 directories")
    command.add_argument("recordings", nargs="+")
    arguments = parser.parse_args()
    if arguments.command == "states":
        decoder = transcript.Decoder(arguments.directory)
        np.save(arguments.out, states_of(decoder, arguments.recording)[0])
    else:
        result = {name: transcripts(transcript.Decoder(pathlib.Path(arguments.models) / name),
                                    arguments.recordings) for name in ("tiny.en", "base")}
        print(json.dumps(result, indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
