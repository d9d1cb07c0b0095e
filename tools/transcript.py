#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Words from encoder states: CTranslate2's Whisper decoder, and the word error rate.

    tools/transcript.py states.npy --model DIRECTORY [--recording FILE.wav] [--json]

The states are float32, [n_ctx][n_state] or [windows][n_ctx][n_state]; the model is a CTranslate2
directory (tools/fetch-model). Decoding is greedy, in float32, English, without timestamps, so the
same states always give the same words. Run by a Python without CTranslate2, this file starts itself
again in the private environment that tools/python-env makes.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

# An English sentence of 30 s has at most about 120 tokens; a decoder that loops stops here.
MAX_TOKENS = 224

ABBREVIATIONS = {"mr": "mister", "mrs": "missus", "dr": "doctor", "st": "saint"}


def enter_environment():
    """Go on in the private environment unless this Python has what is needed."""
    try:
        import ctranslate2  # noqa: F401  pylint: disable=unused-import,import-outside-toplevel
        return
    except ImportError:
        pass
    helper = pathlib.Path(__file__).resolve().parent / "python-env"
    made = subprocess.run([str(helper), "decoder"], check=False, stdout=subprocess.PIPE, text=True)
    if made.returncode != 0:
        sys.exit(made.returncode)
    python = made.stdout.splitlines()[-1]
    if python == sys.executable:
        sys.exit(f"transcript: {python} cannot import ctranslate2: remove that environment")
    os.execv(python, [python, *sys.argv])


def load_states(path):
    """States from a .npy file as [windows][n_ctx][n_state]."""
    import numpy as np  # pylint: disable=import-outside-toplevel
    states = np.load(path, allow_pickle=False)
    if states.dtype != np.float32 or states.ndim not in (2, 3):
        raise ValueError(f"{path}: expected float32 states of 2 or 3 dimensions, found "
                         f"{states.dtype} of shape {states.shape}")
    return states if states.ndim == 3 else states[None]


def byte_of_character():
    """GPT-2's vocabulary writes each byte as one printable character: those that print as they
    are, the others in order from 256 up (Radford et al. 2019, `bytes_to_unicode`)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1),
             *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return ({chr(byte): byte for byte in plain}
            | {chr(256 + i): byte for i, byte in enumerate(others)})


def text_of(tokens):
    """The text that byte-level tokens stand for, special ones left out."""
    table = byte_of_character()
    spoken = "".join(token for token in tokens
                     if not (token.startswith("<|") and token.endswith("|>")))
    return bytes(table[c] for c in spoken).decode("utf-8", "replace").strip()


class Decoder:
    """CTranslate2's Whisper model, used for its decoder (and, as an oracle, its encoder)."""

    def __init__(self, model_directory):
        import ctranslate2  # pylint: disable=import-outside-toplevel
        self.view = ctranslate2.StorageView
        self.model = ctranslate2.models.Whisper(
            str(model_directory), device="cpu", compute_type="float32",
            inter_threads=1, intra_threads=2)

    def encode(self, mel):
        """States [windows][n_ctx][n_state] of log-mel features [windows][n_mels][frames]."""
        import numpy as np  # pylint: disable=import-outside-toplevel
        mel = np.ascontiguousarray(mel, dtype=np.float32)
        return np.array(self.model.encode(self.view.from_array(mel)))

    def transcribe(self, states):
        """The text of each window."""
        import numpy as np  # pylint: disable=import-outside-toplevel
        prompt = (["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]
                  if self.model.is_multilingual else
                  ["<|startoftranscript|>", "<|notimestamps|>"])
        states = np.ascontiguousarray(states, dtype=np.float32)
        results = self.model.generate(
            self.view.from_array(states), [prompt] * len(states), beam_size=1,
            sampling_topk=1, max_length=MAX_TOKENS)
        return [text_of(result.sequences[0]) for result in results]


def normalised_words(text):
    """Words as they are compared: lower case, hyphens and dashes part words, apostrophes are
    dropped, all other punctuation too, and abbreviations of titles are written out."""
    text = re.sub(r"[-\u2010-\u2015/]", " ", text.lower())
    text = re.sub(r"['\u2019]", "", text)
    words = re.findall(r"\w+", text)
    return [ABBREVIATIONS.get(word, word) for word in words]


def word_errors(reference, hypothesis):
    """The fewest words to insert, delete or replace, and the number of words spoken."""
    said, heard = normalised_words(reference), normalised_words(hypothesis)
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(diagonal + (word != other), row[j] + 1, row[j - 1] + 1)
    return row[-1], len(said)


def recorded_transcripts(path):
    """A file in the form of Debian's pocketsphinx-testdata: `<s> words </s> (recording)`."""
    line = re.compile(r"^\s*<s>\s*(.*?)\s*</s>\s*\((\S+)\)\s*$")
    matches = [line.match(text) for text in pathlib.Path(path).read_text("utf-8").splitlines()]
    return {match[2]: match[1] for match in matches if match}


def recorded_transcript(recording):
    """What is said in a recording, from the `transcription` file beside it."""
    recording = pathlib.Path(recording)
    table = recorded_transcripts(recording.parent / "transcription")
    if recording.stem not in table:
        raise ValueError(f"{recording.parent / 'transcription'} has no line for {recording.stem}")
    return table[recording.stem]


def main():
    parser = argparse.ArgumentParser(
        prog="transcript", description="Turn encoder states into words with CTranslate2's decoder.")
    parser.add_argument("states", help=".npy file, float32, [n_ctx][n_state] or "
                        "[windows][n_ctx][n_state], windows of one recording in order")
    parser.add_argument("--model", required=True, help="CTranslate2 directory of the model")
    parser.add_argument("--recording", help="compare with this recording's line in the file "
                        "`transcription` beside it")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    arguments = parser.parse_args()
    enter_environment()
    try:
        said = recorded_transcript(arguments.recording) if arguments.recording else None
        windows = Decoder(arguments.model).transcribe(load_states(arguments.states))
    except (OSError, ValueError, RuntimeError) as error:
        print(f"transcript: {error}", file=sys.stderr)
        return 1
    heard = " ".join(windows)
    result = {"transcript": heard, "windows": windows}
    if said is not None:
        errors, words = word_errors(said, heard)
        result |= {"recorded": said, "errors": errors, "words": words,
                   "word_error_rate": errors / words if words else None}
    if arguments.json:
        print(json.dumps(result, ensure_ascii=False))
        return 0
    print(f"heard: {heard}")
    if said is not None:
        rate = f"{100 * errors / words:.1f} %" if words else "undefined"
        print(f"said:  {said}\nword error rate: {rate} ({errors} of {words} words)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
