"""What `segsuite data` does: which datasets there are, whether their files are good, what their labels hold. Imports no
torch."""
