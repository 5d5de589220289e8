"""What the program removes, replaces, renames or empties: one table of all places and of what each may touch.

A new place fails here until it has a line. tests/test_files_of_others.py tries the table with files of a person beside
what is removed.
"""

from pathlib import Path

import pytest

from tests.removing import found_in, places, shell_places

REPOSITORY = Path(__file__).resolve().parents[1]

# File -> function, or line of a shell script -> what it may touch; nothing else, and never what a link leads to.
MAY_TOUCH: dict[str, dict[str, str]] = {
    "segsuite/cli.py": {"_open_streams": "no file: the place of a stream that was closed"},
    "segsuite/datasets/audit.py": {
        "audit_cached": "audit-FINGERPRINT-SPLIT.json in the folder given",
    },
    "segsuite/datasets/decoded.py": {
        "_make": "DIGEST.decoded in the cache",
        "_remove_old": "DIGEST.decoded in the cache, the oldest of over 20 GiB",
    },
    "segsuite/datasets/fingerprints.py": {
        "_Remembered.keep": "DIGEST.json in the cache",
    },
    "segsuite/datasets/image_io.py": {
        "write_label": "samples/*.png of a run directory",
    },
    "segsuite/datasets/objects.py": {
        "split_objects": "FINGERPRINT-objects.npz in the cache",
    },
    "segsuite/datasets/statistics.py": {
        "label_counts": "FINGERPRINT.npz in the cache",
    },
    "segsuite/inspect/evidence_page.py": {
        "write_page": "the page that --out names; no other file, see report.gallery.check_out",
    },
    "segsuite/inspect/page.py": {
        "write_page": "the page that --out names; no other file, see report.gallery.check_out",
    },
    "segsuite/io/atomic.py": {
        "check_writable": "its own new file",
        "now_in": "its own new file",
        "write_with.replace": "the file that its caller names, by a new one beside it",
        "write_bytes": "as write_with",
        "write_text": "as write_with",
        "write_json": "as write_with",
        "duplicate.link": "as write_with",
        "set_aside": "a damaged file that its caller names: it becomes NAME.damaged, which is never one that is there",
        "append_line.append": "the half line that it has just written itself",
        "_remove": "a temporary file that its caller has just made",
        "remove": "the file or link that its caller names, never what a link leads to",
        "take_away": "the claim that its caller names",
        "put_back": "what take_away took",
        "remove_stale_temporaries": "files named .NAME.16HEX.tmp, as _temporary names them; no link, no folder",
        "put_in_place": "the folder that its caller has just made; never the one that is there",
    },
    "segsuite/io/logs.py": {"bound": "the middle of log.txt of a run directory"},
    "segsuite/io/claims.py": {
        "Claim.release": "claim.json, if it is this process's own",
        "_remove_if_stale": "claim.json of a process that is gone",
    },
    "segsuite/io/manifest.py": {
        "add": "manifest.json",
    },
    "segsuite/io/store.py": {
        "RunDirectory.open": "failure.json; when batches get smaller, the checkpoints and the files of OF_TRAINING",
        "RunDirectory.rewind": "events.jsonl",
        "RunDirectory.add_event": "metrics.csv",
        "RunDirectory.finish": "result.json, previous.ckpt",
        "record_failure": "failure.json",
    },
    "segsuite/launch/attempt.py": {
        "Attempt.__init__": "nothing: opens a pipe",
    },
    "segsuite/launch/doctor/features.py": {"features": "within .doctor-*"},
    "segsuite/launch/doctor/folder.py": {
        "check_folder": "the folder .doctor-* that it has just made",
        "_speed": "within .doctor-*",
        "_renames": "within .doctor-*",
    },
    "segsuite/launch/doctor/neighbour.py": {
        "replace": "within .doctor-*",
        "see": "within .doctor-*",
    },
    "segsuite/launch/freeze.py": {
        "_write": "trial.yaml",
    },
    "segsuite/launch/profiling.py": {
        "profile_steps": "a folder of its own in TMPDIR",
    },
    "segsuite/launch/slurm/asking.py": {
        "_keep": "slurm/squeue.json, what was last asked of SLURM",
    },
    "segsuite/launch/slurm/cancelled.py": {
        "record": "slurm/cancelled.json",
    },
    "segsuite/launch/slurm/hold.py": {
        "main": "slurm/held.json",
        "_record_death": "failure.json",
        "cancel": "slurm/held.json",
        "_waiting": "slurm/held.json",
        "keep_going": "slurm/keep-going",
    },
    "segsuite/launch/slurm/node.py": {
        "main": "answer.json in .doctor-*",
        "check_node": "the folder .doctor-* that it has just made",
    },
    "segsuite/launch/slurm/queue.py": {
        "forget_look": "slurm/squeue.json, what was last asked of SLURM",
    },
    "segsuite/launch/slurm/snapshot.py": {
        "snapshot": "folders that it has just made; a snapshot that is there stays",
        "_new_folder": "the folder that it has just made, which only its user can look into",
    },
    "segsuite/prediction/evaluating.py": {"evaluate_trial": "result.json of evaluations/NAME of a run directory"},
    "segsuite/prediction/outputs.py": {
        "Outputs.begin": "as write: predictions.json",
        "Outputs.write": "files of --out that `begin` did not find, or that --force overwrites",
        "Outputs.end": "as write: shares.csv",
    },
    "segsuite/launch/slurm/stage.py": {
        "_digest": "DIGEST.json in the cache",
    },
    "segsuite/report/build.py": {
        "write_report": "files that .report-files.json lists",
        "own_files": ".report-files.json",
    },
    "segsuite/report/dashboard.py": {
        "dashboard": "wandb-dashboard.json in the experiment's folder",
    },
    "segsuite/report/data_page.py": {
        "write_data_page": "the page that --out names; no other file, see report.gallery.check_out",
    },
    "segsuite/report/figure_files.py": {
        "write_figures": "figures of the report, listed before by own_files; a folder of its own in TMPDIR",
    },
    "segsuite/report/gallery.py": {
        "write_gallery": "the page that --out names; no other file, see check_out",
    },
    "segsuite/report/serve.py": {
        "leading_to": "its own new file",
    },
    "segsuite/train/callbacks.py": {
        "Checkpoints._keep_as_best": "best.ckpt",
    },
    "segsuite/train/checkerboard.py": {
        "Artefacts.write": "artefacts.json",
        "Artefacts.write_pictures": "artefacts.npz",
    },
    "segsuite/train/checkpoint_io.py": {
        "save": "the checkpoint that its caller names, and previous.ckpt",
        "load_newest_whole": "last.ckpt where it is damaged",
        "keep_weights": "last, previous and best.ckpt of a finished trial",
    },
    "segsuite/trial/clean.py": {
        "_delete": "checkpoints and caches by their names; no link, nothing in a folder that is one",
    },
    "segsuite/trial/profile.py": {
        "profile": "a folder of its own in TMPDIR",
    },
    "segsuite/trial/ranks.py": {
        "run_ranks": "failure.json; a folder of its own in TMPDIR",
    },
    "segsuite/trial/result.py": {
        "write_counts": "counts.npz, histograms.npz",
    },
    "segsuite/trial/smaller_batch.py": {
        "halved_when_out_of_memory": "smaller_batch.json",
    },
    "benchmarks/quality.py": {
        "counts_of": "NAME.yaml in the folder that --runs names",
        "main": "a folder of its own in TMPDIR",
    },
    "benchmarks/section_records.py": {"Records.__init__": "within a folder of its own in TMPDIR"},
    "benchmarks/sectioned.py": {
        "Benchmark.main": "a folder of its own in TMPDIR",
        "Benchmark._write": "the file that --out names",
        "_in_child": "within a folder of its own in TMPDIR",
    },
    "benchmarks/gpu_sections/sweep.py": {
        "experiment": "within a folder of its own in TMPDIR",
    },
    "benchmarks/gpu_sections/training.py": {
        "fit": "a folder of its own in TMPDIR",
    },
    "benchmarks/overhead.py": {
        "main": "a folder of its own in TMPDIR",
    },
    "benchmarks/scale.py": {
        "write_experiment": "within a folder of its own in TMPDIR",
        "fill": "within a folder of its own in TMPDIR",
        "_train": "within a folder of its own in TMPDIR",
        "_write": "within a folder of its own in TMPDIR",
        "main": "a folder of its own in TMPDIR",
    },
    "benchmarks/torture.py": {"main": "the folder that it has just made in TMPDIR"},
    "benchmarks/torture_faults/checkpoints.py": {
        "turn": "a checkpoint in the folder of benchmarks/torture.py",
        "cut": "a checkpoint in the folder of benchmarks/torture.py",
    },
    "benchmarks/torture_faults/forbidden.py": {"main": "within the folder of benchmarks/torture.py"},
    "benchmarks/torture_faults/full.py": {"_fill": "within a tmpfs of its own"},
    "benchmarks/torture_faults/pauses.py": {"main": "within the folder of benchmarks/torture.py"},
    "benchmarks/torture_faults/small_trials.py": {
        "written": "within the folder of benchmarks/torture.py",
        "plant": "within the folder of benchmarks/torture.py",
    },
    "benchmarks/torture_faults/takeovers.py": {"stale": "within the folder of benchmarks/torture.py"},
    "benchmarks/warm_start.py": {
        "Experiments.__call__": "within a folder of its own in TMPDIR",
        "main": "a folder of its own in TMPDIR",
    },
    "slurm/environment.sh": {'[ "$said" != /dev/null ] && rm -f "$said"': "a file of its own in TMPDIR"},
    "slurm/local-cluster/down": {
        'rm -f "$@"': "pid files of the cluster",
        'for made in state spool log run dev munge slurm.conf gres.conf cgroup.conf "$mark"; do rm -rf "${dir:?}/$made"; done': (  # noqa: E501
            "what `up` has made, in a folder that carries its mark"
        ),
        'rmdir "$dir" 2>/dev/null || echo "$dir holds other things, which stay"': "the folder of `up`, when empty",
        '[ -n "${CLUSTER_DIR:-}" ] || rm -f "$note"': "the note of where the cluster lay",
    },
    "slurm/local-cluster/up": {
        'for gpu in $(seq 0 $((gpus - 1))); do ln -sfn /dev/null "$dir/dev/gpu$gpu"; done': "dev/ of the cluster",
    },
    "slurm/stage.sh": {
        'mv "$there/.complete.tmp" "$there/.complete" || exit 1': "what it has just written, in the folder it unpacked",
        'rm -rf "$there"': "segsuite-UID-SHA, which is not complete, in the folder that `stage` names",
        'esac >&2 || { rm -rf "$there"; echo "stage: $archive could not be unpacked to $to" >&2; exit 1; }': (
            "the folder that it has just made"
        ),
    },
    "slurm/trial.sbatch": {
        'printf \'%s\\n\' "$2" >"$1.$me.tmp" && mv -f "$1.$me.tmp" "$1"': "failure.json, slurm/held.json",
        'ln -sfn "$common" "$folder/$trial/slurm.log"': "the link slurm.log",
        'ln -sfn "$log" "$run/slurm.log"': "the link slurm.log",
        'rm -f "$run/begun"': "begun",
        '[ "$ended" -eq 77 ] && rm -f "$run/failure.json" # of processes that failed because one had left': (
            "failure.json"
        ),
    },
}


def test_every_place_is_in_the_table() -> None:
    found = found_in(REPOSITORY)
    new = [
        f"{file}:{line}: {where} removes, replaces or renames, and MAY_TOUCH does not say what it may touch"
        for (file, where), line in found.items()
        if where not in MAY_TOUCH.get(file, {})
    ]
    gone = [
        f"{file}: {where} is in MAY_TOUCH and does nothing of the kind any more"
        for file, functions in MAY_TOUCH.items()
        for where in functions
        if (file, where) not in found
    ]
    assert not new + gone, "\n".join([*new, *gone])


@pytest.mark.parametrize(
    "line",
    [
        "path.unlink()",
        "os.remove(path)",
        "os.replace(a, b)",
        "a.replace(b)",
        "a.rename(b)",
        "shutil.rmtree(folder)",
        "shutil.move(a, b)",
        "open(path, 'w')",
        "path.open('wb')",
        "os.open(path, os.O_WRONLY | os.O_TRUNC)",
        "path.write_text('')",
        "atomic.write_json(path, {})",
        "tempfile.TemporaryDirectory()",
        "patiently(path.unlink)",
    ],
)
def test_a_place_is_found(line: str) -> None:
    assert list(places(f"class A:\n    def f(self):\n        {line}\n")) == [("A.f", 3)]


@pytest.mark.parametrize("line", ["text.replace('a', 'b')", "replace(one, at=1)", "open(path)", "open(path, 'ab')"])
def test_what_touches_nothing_is_not_found(line: str) -> None:
    assert not list(places(f"def f():\n    {line}\n"))


def test_a_place_in_a_shell_script_is_found() -> None:
    script = 'set -u\nrm -rf "$there"\n# rm is explained\ntrue && mv a b\necho form a\n'
    assert list(shell_places(script)) == [('rm -rf "$there"', 2), ("true && mv a b", 4)]
