"""segsuite.experiment: names, seeds and settings of an experiment; all that is wrong is told at once."""

from pathlib import Path

import pytest

from tests.small_experiments import BASE, loaded, refused


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_seed_that_stands_twice_is_refused() -> None:
    error = refused("seeds: [0, 1, 0]\n")
    assert "appears twice" in error.what
    assert error.where == "e.yaml:4"


@pytest.mark.parametrize("seeds", ["3", "[]", "[0.5]", "[true]", "[a]", "null", "[-1]", "[4294967296]", "{a: 1}"])
def test_seeds_are_a_list_of_whole_numbers(seeds: str) -> None:
    error = refused(f"seeds: {seeds}\n")
    assert "seeds must be a list of whole numbers" in error.what
    assert error.where == "e.yaml:4"


def test_seed_is_refused_with_the_word_to_use() -> None:
    error = refused("seed: 3\n")
    assert "seeds: [" in error.advice
    assert error.where == "e.yaml:4"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("comapre: {}\n", "did you mean 'compare'?"),
        ("trian: {epochs: 1}\n", "did you mean 'train'?"),
        ("train: {epoch: 1}\n", "train: unknown key 'epoch'; did you mean 'epochs'?"),
        ("train: {optimizer: {lr: 1}}\n", "train.optimizer: unknown key 'lr'; valid: encoder_learning_rate"),
        ("train: {optimizer: {weight_deacy: 1}}\n", "did you mean 'weight_decay'?"),
        ("execution: {worker: 1}\n", "did you mean 'workers'?"),
        ("loss: {label_smooth: 1}\n", "did you mean 'label_smoothing'?"),
        ("loss: {name: cros_entropy}\n", "did you mean 'cross_entropy'?"),
        ("train: {precision: bf16}\n", "did you mean 'bf16-mixed'?"),
        ("train: {optimizer: {name: adam}}\n", "did you mean 'adamw'?"),
        ("train: {schedule: {name: Poly}}\n", "did you mean 'poly'?"),
        ("5: x\n", "unknown key '5'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(text: str, hint: str) -> None:
    error = refused(text)
    assert hint in error.what
    assert error.where == "e.yaml:4"


@pytest.mark.parametrize(
    ("data", "model", "hint"),
    [
        ("{name: shapse}", "{name: unet}", "did you mean 'shapes'?"),
        ("{name: shapes, val_image: 5}", "{name: unet}", "data: unknown key 'val_image'; did you mean 'val_images'?"),
        ("{name: camvid, rot: x}", "{name: unet}", "data: unknown key 'rot'; did you mean 'root'? valid: name, root"),
        ("shapes", "{name: unet}", "data must be a mapping with a name"),
        ("{size: [8, 8]}", "{name: unet}", "data must be a mapping with a name"),
        ("{name: shapes}", "{name: unte}", "did you mean 'unet'?"),
        ("{name: shapes}", "{name: smp/Unt}", "did you mean 'smp/Unet'?"),
        ("{name: shapes}", "{name: unet, upsampler: bilinar_conv}", "did you mean 'bilinear_conv'?"),
        ("{name: shapes}", "{name: unet, encoder: resnet81}", "did you mean 'resnet18'?"),
        ("{name: shapes}", "{name: unet, upsmapler: x}", "model: unknown key 'upsmapler'; did you mean 'upsampler'?"),
        ("{name: shapes}", "{name: smp/Unet, upsampler: x}", "valid: encoder, name, options, weights"),
        ("{name: folder, root: x, classes: [a, b], csv: c, fractions: {vall: 0.5}}", "{name: unet}", "mean 'val'?"),
    ],
)
def test_an_unknown_name_of_data_or_model_is_refused(data: str, model: str, hint: str) -> None:
    error = refused("", base=f"name: e\ndata: {data}\nmodel: {model}\n")
    assert hint in error.what
    assert error.where == ("e.yaml:2" if model == "{name: unet}" else "e.yaml:3")


@pytest.mark.parametrize(
    "text",
    [
        "train: {epochs: 1.0}",
        "train: {epochs: true}",
        "train: {epochs: '5'}",
        "train: {epochs: 0}",
        "train: {epochs: 1e1}",
        "train: {epochs: [1]}",
        "train: {epochs: null}",
        "train: [1]",
        "train: null",
        "train: {optimizer: {learning_rate: true}}",
        "train: {optimizer: {learning_rate: 0}}",
        "train: {optimizer: {learning_rate: .inf}}",
        "train: {optimizer: {learning_rate: .nan}}",
        "train: {optimizer: {learning_rate: 1e999}}",
        "train: {schedule: {milestones: [0.8, 0.2]}}",
        "train: {schedule: {milestones: [0.8, 1.2]}}",
        "train: {gradient_clip: -1}",
        "train: {deterministic: strict, precision: fp16-mixed}",
        "augment: {scale: [1.3, 0.6]}",
        "augment: {scale: [1.0]}",
        "augment: {crop: [0, 5]}",
        "loss: {class_weights: [1, -1]}",
        "execution: {threads: 0}",
        "evaluation: {split: valid}",
        "question: 5",
        "question: {a: b}",
        "runs_root: 5",
        "runs_root: ''",
        'runs_root: "a\\0b"',
        'runs_root: "a\\nb"',
    ],
)
def test_a_value_outside_its_type_or_range_is_refused(text: str) -> None:
    assert refused(text + "\n").where == "e.yaml:4"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("question: null\n", "question must be a text, not null"),
        ("question: [true]\n", "question must be a text, not [true]"),
        ("seeds: [true]\n", "not [true]"),
        ("compare: [1]\n", "compare needs a list of at least two values"),
    ],
)
def test_values_are_told_as_yaml_writes_them(text: str, said: str) -> None:
    assert said in refused(text).what


def test_every_problem_is_told_at_once_with_its_line() -> None:
    text = """\
data: {name: shapes, sizes: [8, 8], val_images: 0}
model:
  name: unet
  upsampler: bilinar_conv
train:
  epoch: 5
  batch_sise: 8
  optimizer:
    learning_rate: -1
    name: adam
evalution: {}
seeds: [0, 0]
question: 5
"""
    error = refused(base=text)
    assert [part.where for part in error.parts] == [f"e.yaml:{line}" for line in (11, 13, 12, 1, 1, 4, 10, 9, 6, 7)]
    assert all(part.where in str(error) for part in error.parts)


def test_problems_of_axes_and_of_settings_are_told_together() -> None:
    text = "compare:\n  model.upsamplr: [a, b]\n  trian.epochs: [1, 2]\ntrain: {epoch: 1}\n"
    assert [part.where for part in refused(text).parts] == ["e.yaml:5", "e.yaml:6", "e.yaml:7"]


def test_a_problem_of_all_arms_is_told_once() -> None:
    error = refused("compare: {train.epochs: [1, 2]}\ntrain: {batch_size: 0}\nseeds: [0, 1, 2]\n")
    assert (error.parts, error.where) == ((), "e.yaml:5")


def test_a_problem_of_one_arm_is_told() -> None:
    error = refused(
        "compare:\n  model.name: [unet, smp/Unet]\n",
        base="name: e\ndata: {name: shapes}\nmodel: {upsampler: nearest_conv}\n",
    )
    assert "model: unknown key 'upsampler'" in error.what
    assert error.where == "e.yaml:3"


@pytest.mark.parametrize("text", ["", "# nothing\n", "name: e\n"])
def test_an_empty_experiment_says_what_it_needs(text: str) -> None:
    error = refused(base=text)
    assert [part.what for part in error.parts] == ["data is required", "model is required"]
    assert {part.where for part in error.parts} == {"e.yaml"}


def test_a_problem_from_set_is_told_as_such() -> None:
    assert refused("", "train.epochs=0").where == "--set train.epochs=0"


def test_a_problem_from_a_base_file_is_told_there(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("\n\ntrain:\n  epochs: 0\n")
    assert refused("defaults: base.yaml\n").where == "base.yaml:4"


HOSTILE = [
    '"a\\n"',
    '"a\\nb"',
    "..",
    "a..b",
    "../up",
    "a/b",
    "/etc",
    "-rf",
    "--wrap=x",
    ".hidden",
    "_x",
    "$(x)",
    "a;b",
    '"a\'b"',
    "a b",
    "Upper",
    "caf\u00e9",
    "\u0430bc",
    '"a\\0"',
    "'\uff0e\uff0e'",
    "x" * 65,
    "x" * 10_240,
    "'[red]'",
    "''",
    "[a]",
    "{a: b}",
    "true",
]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_name_that_is_no_slug_is_refused(name: str) -> None:
    error = refused(base=f"name: {name}\ndata: {{name: shapes}}\nmodel: {{name: unet}}\n")
    assert "is not a plain name" in error.what
    assert error.where == "e.yaml:1"
    assert len(error.what) < 300
    assert error.what.isascii()


@pytest.mark.parametrize("name", ["a", "0", "camvid-unet", "v1.2_x", "x" * 64, "5"])
def test_a_slug_is_a_name(name: str) -> None:
    assert loaded(base=f"name: {name}\ndata: {{name: shapes}}\nmodel: {{name: unet}}\n").name == name


def test_the_name_is_by_default_that_of_the_file() -> None:
    assert loaded(base=BASE[8:], file="my_first.yaml").name == "my-first"


def test_a_file_name_that_is_no_slug_needs_a_name() -> None:
    assert "is not a plain name" in refused(base=BASE[8:], file="My First.yaml").what


def test_the_trials_stay_under_the_runs_root_whatever_the_name() -> None:
    experiment = loaded("runs_root: r\n")
    assert all(trial.folder.resolve().is_relative_to(Path("r").resolve()) for trial in experiment.trials)
