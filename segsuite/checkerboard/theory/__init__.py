"""What can be said of an upsampler before anything is trained: how its output repeats with the period of its factor.

    overlap.py       products summed into each output pixel, for a kernel, stride and padding, or a chain of them
    impulse.py       the response to one pixel, and all that follows from it: phase gains, harmonics, images, condition
    probes.py        the response to constants, polynomials and band-limited noise, also of data-dependent upsamplers
    draws.py         all figures over draws of the weights -> profile.py, plain numbers with standard errors
    targets.py, build.py, operators.py, own_module.py
                     from a text of the command line to the operator that is looked at
    command.py       `segsuite inspect --checkerboard`

Everything is float64. docs/guides/checkerboard.md defines each figure, with its unit, null value and source. This
module imports no torch; neither do overlap, targets, profile and command.
"""
