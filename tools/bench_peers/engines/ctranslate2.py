# SPDX-License-Identifier: MIT
"""CTranslate2's Whisper encoder. It loads the decoder too."""

import ctranslate2
import numpy as np

TYPES = {"int8": "int8", "f32": "float32"}


class Engine:
    def __init__(self, job):
        self.version = ctranslate2.__version__
        self.model = ctranslate2.models.Whisper(
            job["model"], device="cpu", compute_type=TYPES[job["precision"]], inter_threads=1,
            intra_threads=job["threads"])
        self.mel = ctranslate2.StorageView.from_array(np.load(job["mel"])[None])
        self.states = None

    def run(self):
        self.states = self.model.encode(self.mel, to_cpu=True)

    def result(self):
        return np.array(self.states, np.float32)[0]
