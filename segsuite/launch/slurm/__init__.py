"""Launching on a SLURM cluster: plain sbatch arrays over commands on run directories, no daemon of our own.

profile.py and words.py: what a site wants to be told; queue.py: the one reader of squeue; snapshot.py: the code as it
was; arrays.py: which trial an array's task runs, and the sbatch command; reconcile.py: what is still to be submitted.
begun.py: what a task starts. asking.py: an answer of SLURM that all terminals share; view.py and accounting.py: what
`segsuite status` tells of a cluster. hold.py: after equal failures; estimate.py: before a submission; doctor.py and
node.py: whether a site will do; endings.py: how SLURM says a task ended.
"""
