"""Launching: the processes that run trials, and what is known of their states. Imports no torch; only this package
starts processes."""
