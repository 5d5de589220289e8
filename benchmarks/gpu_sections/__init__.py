"""The sections of benchmarks/gpu.py, in order of worth."""

from sectioned import Section

SECTIONS = (
    Section("peaks", "what the device can do at most", 5, 30),
    Section("cuda_tests", "the tests marked cuda", 20, 150),
    Section("training", "a training step beside other loops", 30, 150),
    Section("losses", "each loss, forward and backward", 10, 45),
    Section("sweep", "trials an hour, several on the device", 40, 120),
    Section("scoring", "a finished network on a split", 15, 60),
    Section("upsamplers", "each upsampler, forward and backward", 10, 45),
    Section("profile", "where a training step goes", 15, 45),
    Section("compiled", "other loops under torch.compile", 60, 200),
)
