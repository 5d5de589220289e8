"""Using a trained network: it is loaded from its run directory, and says what it sees on images of any size."""
