# SPDX-License-Identifier: MIT
"""npuenc, through its C ABI."""

import numpy as np

from .. import abi


class Engine:
    def __init__(self, job):
        self.library = abi.Library(job["library"], job["threads"])
        self.version = self.library.version()
        self.model = self.library.load(job["model"], job["precision"])
        self.mel = np.repeat(np.load(job["mel"])[None], job.get("batch", 1), axis=0)
        self.states = np.zeros((len(self.mel), *job["shape"]), np.float32)

    def run(self):
        self.library.encode(self.model, self.mel, self.states)

    def result(self):
        return self.states[0]
