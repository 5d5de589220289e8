"""Using a trained network: it is loaded from its run directory, and says what it sees on images of any size."""

DEVICES = ("auto", "cpu", "cuda", "mps")
"""That a person may name; auto: the fastest."""
