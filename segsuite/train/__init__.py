"""Training: the Lightning module, its optimizer, the callbacks and the one place that saves and loads checkpoints."""
