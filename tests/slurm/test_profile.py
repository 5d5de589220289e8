"""Site profiles: what sbatch accepts is accepted, and becomes words that no shell reads."""

from pathlib import Path

import pytest

from segsuite.errors import ConfigError
from segsuite.launch.slurm.profile import Profile, read_profile


def profile(tmp_path: Path, text: str) -> Profile:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    return read_profile(str(path))[1]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('constraint: "[rack1|rack2]"', "--constraint=[rack1|rack2]"),
        ('constraint: "(a100|h100)&ib"', "--constraint=(a100|h100)&ib"),
        ("account: 2011234", "--account=2011234"),
        ("partition: 7", "--partition=7"),
        ("mem: 16GB", "--mem=16GB"),
        ("mem: 16gb", "--mem=16gb"),
        ("mem: 64000", "--mem=64000"),
        ("mem: 0", "--mem=0"),
        ("time: 240", "--time=240"),
        ("time: 1440", "--time=1440"),
        ("time: 2-0", "--time=2-0"),
        ("time: 90:00", "--time=90:00"),
        ("time: 1-02:30:00", "--time=1-02:30:00"),
        ("time: UNLIMITED", "--time=UNLIMITED"),
        ("options: {comment: two words; and more}", "--comment=two words; and more"),
        ("options: {exclusive: true}", "--exclusive"),
        ("options: {exclusive: user}", "--exclusive=user"),
        ("options: {mail-type: 'END,FAIL'}", "--mail-type=END,FAIL"),
        ("options: {mail-user: me+slurm@uni.example}", "--mail-user=me+slurm@uni.example"),
        ("options: {export: NONE}", "--export=NONE"),
        ("options: {export: 'ALL,A=b c'}", "--export=ALL,A=b c"),
        ("options: {hint: nomultithread}", "--hint=nomultithread"),
        ("options: {no-requeue: true}", "--no-requeue"),
        ("options: {nice: 5}", "--nice=5"),
        ("options: {nice: true}", "--nice"),
        ("options: {wckey: 12}", "--wckey=12"),
        ("options: {begin: now+1hour}", "--begin=now+1hour"),
        ('sbatch: [--constraint, "gpu&ib"]', "gpu&ib"),
        ("sbatch: [-C, ib]", "-C"),
    ],
)
def test_what_sbatch_accepts_is_accepted_as_one_word(text: str, word: str, tmp_path: Path) -> None:
    assert profile(tmp_path, text).sbatch_options().count(word) == 1


def test_an_option_that_is_off_is_left_out(tmp_path: Path) -> None:
    assert not [word for word in profile(tmp_path, "options: {exclusive: false}").sbatch_options() if "excl" in word]


def test_the_documented_container_and_words_of_any_kind_are_handed_on(tmp_path: Path) -> None:
    text = (
        "container: [apptainer, exec, --nv, --bind, '/a b:/c', image.sif]\nsrun: [--mpi=pmix, -l]\n"
        "modules: [cuda/12.4]\nprologue: [[conda, activate, my env], [export, 'A=$B']]\n"
    )
    assert profile(tmp_path, text).site_words() == [
        "--module", "cuda/12.4", "--do", "3", "conda", "activate", "my env", "--do", "2", "export", "A=$B",
        "--srun", "--mpi=pmix", "--srun", "-l",
        "--", "apptainer", "exec", "--nv", "--bind", "/a b:/c", "image.sif",
    ]  # fmt: skip


def test_a_prologue_of_one_text_is_a_script_that_is_sourced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "/scratch/me")
    assert profile(tmp_path, "prologue: $MINE/site.sh").site_words()[2:] == ["source", "/scratch/me/site.sh", "--"]


def test_options_of_sbatch_may_have_their_values_behind_them(tmp_path: Path) -> None:
    words = ("--constraint", "gpu&ib", "-C", "a b", "--nice=5", "-Hv", "--new-option", "value")
    assert profile(tmp_path, f"sbatch: {list(words)}").sbatch == words


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("options: {exclude: true}", "options.exclude: this option takes a value"),
        ("options: {no-requeue: 1}", "options.no-requeue: this option takes no value"),
        ("options: {mem: 16G}", "write `mem: 16G` of the profile itself"),
        ("options: {partition: big}", "write `partition: big` of the profile itself"),
        ("options: {cpus-per-task: 8}", "write `cpus: 8` of the profile itself"),
        ("container: apptainer", "container must be a list, not the text 'apptainer': write [apptainer]"),
        ("modules: x", "modules must be a list, not the text 'x'"),
        ("sbatch: x", "sbatch must be a list, not the text 'x'"),
        ("throttle: '8'", "throttle must be a whole number, not the text '8': remove the quotes"),
        ("attempts: 1.5", "attempts must be a whole number, not 1.5"),
        ("stage: x", "stage must be a mapping, not the text 'x'"),
        ("mem: [1]", "mem must be text, not [1]"),
        ("gpus_per_node: [1]", "gpus_per_node must be a whole number or text, not [1]"),
        ("gpus_per_node: a b", "gpus_per_node: 'a b' is no plain word"),
        ("prologue: [[conda, 5.5]]", "prologue.0.1 must be text, not 5.5"),
        ("resources: [{profile: [1], match: {arm: a}}]", "resources.0.profile must be text, not [1]"),
        ("5: x", "unknown key '5'"),
        ("options: {mail_type: END}", "did you mean 'mail-type'"),
        ("options: {output: x}", "the suite sets this itself"),
        ("options: {comment: [a, b]}", "options.comment: must be a number"),
        ("container: [--nv, image.sif]", "container: the first word, '--nv', must be a program"),
        ("sbatch: [other.sh]", "sbatch: 'other.sh' is no option, and no value of the one before"),
        ("sbatch: [--exclusive, other.sh]", "sbatch: 'other.sh' is no option"),
        ("sbatch: [--comment=a, other.sh]", "sbatch: 'other.sh' is no option"),
        ("sbatch: [-H, other.sh]", "sbatch: 'other.sh' is no option"),
        ("sbatch: [--job-na=x]", "the suite sets --job-name itself"),
        ("sbatch: [-HJx]", "the suite sets --job-name itself"),
        ("sbatch: [-Mother]", "the suite sets --clusters itself"),
        ("options: {clusters: other}", "the suite sets this itself"),
        ("srun: [--export=NONE]", "the suite sets --export itself"),
        ("account: 1e5", "account"),
        ("sbatch: [--array=3]", "the suite sets --array itself"),
        ("sbatch: [-J, mine]", "the suite sets --job-name itself"),
        ("sbatch: [--wrap, rm]", "the suite sets --wrap itself"),
        ("srun: [--ntasks=3]", "the suite sets --ntasks itself"),
        ("prologue: [[]]", "prologue: a command has no word"),
        ("mem: 1.5G", "mem: '1.5G'"),
        ("mem: 16Gi", "mem: '16Gi'"),
        ("time: 4h", "time: '4h'"),
        ("time: 4", "time 4 must be at least two minutes more"),
        ('container: [apptainer, "a\\nb"]', "container.1: 'a\\nb' is no plain word"),
    ],
)
def test_what_sbatch_would_refuse_is_refused_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        profile(tmp_path, f"cpus: 1\n{text}\n")
    assert said in caught.value.what
    assert caught.value.where.endswith((":2", ":1") if text.startswith("time: 4") else ":2")
    assert "Value error" not in caught.value.what
