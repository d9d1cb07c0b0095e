# SPDX-License-Identifier: MIT
"""How exact each engine is: its states beside a float64 encoder's, and the words in them."""

from . import entrants
from .encoding import REFUSALS, job_of, refusal
from .native import say
from .process import Worker

# Sums in the same order on every machine.
THREADS = 1


class Listener:
    """A model's own decoder, which hears what all engines' states say."""

    def __init__(self, model, recordings):
        # pylint: disable=import-outside-toplevel
        import ctranslate2_states
        import transcript
        self.oracle, self.decoder = ctranslate2_states, transcript.Decoder(model.directory)
        self.own = ctranslate2_states.transcripts(self.decoder, recordings)

    def hears(self, states, recording):
        """What is heard, the number of wrong words, and whether CTranslate2's own states say the
        same."""
        heard = self.oracle.heard_in(self.decoder, states, recording)
        return heard | {"same": heard["transcript"] == self.own[recording.stem]["transcript"]}


def summary(clips):
    """The worst of the recordings, and the words of all."""
    return {"cosine": min(clip["cosine"] for clip in clips),
            "worst_frame": min(clip["worst_frame"] for clip in clips),
            "max_abs": max(clip["max_abs"] for clip in clips),
            **{name: sum(clip[name] for clip in clips) for name in ("errors", "words", "same")}}


def measure(entrant, model, recordings, listener):
    """One row of the report."""
    row = {"engine": entrant.engine, "title": entrant.label, "precision": entrant.precision,
           "model": model.name}
    clips = []
    try:
        for recording in recordings:
            heard = model.hearing(recording)
            # As installed, not as is fastest: that would be another one on another day.
            with Worker(job_of(entrant, heard, THREADS), entrant.variants[0].environment) as worker:
                row["version"] = worker.facts["version"]
                states = worker.result()
            clips.append({"recording": recording.name, **heard.accuracy(states),
                          **listener.hears(states, recording)})
    except REFUSALS as error:
        return row | refusal(error)
    return row | summary(clips) | {"recordings": clips}


def run(settings, models, recordings):
    """The list `accuracy` of the report."""
    result = []
    for model in models:
        listener = Listener(model, recordings)
        for precision in settings.precisions:
            peers = [peer for peer in settings.peers if peer.precision == precision]
            for entrant in [entrants.npuenc(precision, settings.library), *peers]:
                say(f"accuracy: {model.name}, {entrant.label}")
                result.append(measure(entrant, model, recordings, listener))
    return result
