"""What `segsuite inspect` shows of an upsampler or a network without training it. Imports no torch."""
