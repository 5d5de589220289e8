"""segsuite: semantic-segmentation and upsampling experiments with error bars. Importing it imports no torch."""

__version__ = "0.1.0"
