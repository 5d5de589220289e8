"""The commands of `segsuite`: a file for those of one duty. Each has `add(commands)`; what a command needs is imported
when it is called."""
