"""The sections of benchmarks/step.py, in order of worth."""

from sectioned import Section

SECTIONS = (
    Section("training", "a training step: stock, bare loop, segsuite", 20, 600),
    Section("inference", "an image's prediction: stock, segsuite", 5, 60),
    Section("counting", "confusion matrices and bilinear enlargement", 5, 60),
    Section("precision", "precision auto against fp32, on CPUs that have less", 10, 120),
    Section("sweep", "a sweep of short trials: default, one after the other, a cold process each", 30, 400),
    Section("sharing", "two trainings at once, started by different people", 20, 400),
)
