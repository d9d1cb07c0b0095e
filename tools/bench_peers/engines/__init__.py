# SPDX-License-Identifier: MIT
"""One engine a file. Each has a class Engine: made from a job (a dict) it loads a model; `run` does
the work that is timed, on the log-mel that it was given; `result` is what came out, as float32;
`version` says what ran. Only the worker process of an engine imports it."""
