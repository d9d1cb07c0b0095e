# SPDX-License-Identifier: MIT
"""OpenVINO's CPU plugin, one stream. An int8 model has its quantisation in the graph, the hint
says what the rest is computed in."""

import numpy as np
import openvino


class Engine:
    def __init__(self, job):
        core = openvino.Core()
        self.version = openvino.__version__.split("-")[0]
        self.compiled = core.compile_model(core.read_model(job["model"]), "CPU", {
            "INFERENCE_PRECISION_HINT": job["hint"], "INFERENCE_NUM_THREADS": job["threads"],
            "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"})
        self.request = self.compiled.create_infer_request()
        self.mel = np.load(job["mel"])[None]
        self.states = None

    def run(self):
        self.states = self.request.infer([self.mel], share_inputs=True, share_outputs=True)[0]

    def result(self):
        return np.asarray(self.states[0], np.float32)
