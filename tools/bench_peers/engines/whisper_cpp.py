# SPDX-License-Identifier: MIT
"""whisper.cpp's encoder with its default, flash attention; see native/whisper_cpp.cpp. It loads the
decoder too."""

import ctypes

import numpy as np

from ..abi import buffer
from ..failure import Failure


class Engine:
    def __init__(self, job):
        self.library = ctypes.CDLL(job["native"])
        self.library.peer_version.restype = ctypes.c_char_p
        self.version = self.library.peer_version().decode()
        mel = np.load(job["mel"])
        self.states = np.zeros(job["shape"], np.float32)
        if not self.library.peer_load(job["model"].encode(), job["threads"], *buffer(mel)):
            raise Failure("whisper.cpp could not load the model")

    def run(self):
        if not self.library.peer_encode():
            raise Failure("whisper.cpp could not encode")

    def result(self):
        self.library.peer_states(*buffer(self.states))
        return self.states
