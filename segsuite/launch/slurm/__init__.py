"""Launching on a SLURM cluster: plain sbatch arrays over commands on run directories, no daemon of our own.

profile.py: what a site wants to be told; queue.py: the one reader of squeue; snapshot.py: the code as it was;
arrays.py: which trial an array's task runs, and the sbatch command; reconcile.py: what is still to be submitted.
"""
