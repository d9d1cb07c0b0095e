# SPDX-License-Identifier: MIT
"""ONNX Runtime's CPU provider. Its threads spin during a run, as they do by default, but not after
it, when it is the other engine's turn."""

import numpy as np
import onnxruntime


class Engine:
    def __init__(self, job):
        self.version = onnxruntime.__version__
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = job["threads"]
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self.session = onnxruntime.InferenceSession(job["model"], options,
                                                    providers=["CPUExecutionProvider"])
        self.input = {"mel": np.load(job["mel"])[None]}
        self.states = None

    def run(self):
        self.states, = self.session.run(None, self.input)

    def result(self):
        return np.asarray(self.states[0], np.float32)
