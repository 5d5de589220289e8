"""The import directions and one-owner rules of CONTRIBUTING.md, enforced over whatever files there are.

Every rule is one test whose failure names file:line of each offence; the last tests plant offences.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "segsuite"

FAMILIES = {"upsamplers", "losses", "metrics", "encoders", "models", "datasets"}
GROUND = {"", "errors"}  # "" is segsuite/__init__.py: the version, and the names of api.py
SETTINGS = GROUND | {"io", "families", "yaml_io", "config"}
PLANS = SETTINGS | {"composition", "arms", "experiment", "schema"}

# Part of segsuite -> the parts it may import, at module level or inside a function.
MAY_IMPORT: dict[str, set[str]] = {
    "": {"api"},
    "errors": set(),
    "io": GROUND,
    "devices": set(),
    "families": GROUND,
    "yaml_io": GROUND | {"io"},
    "config": GROUND | {"io", "families", "yaml_io"} | FAMILIES,
    "composition": SETTINGS,
    "schema": GROUND | {"config"},
    "arms": SETTINGS | {"composition"},
    "experiment": SETTINGS | {"composition", "arms"},
    "upsamplers": GROUND | {"families"},
    "losses": GROUND | {"families", "devices"},
    "metrics": GROUND | {"families", "io"},
    "encoders": GROUND | {"families", "io"},
    "datasets": GROUND | {"families", "io", "devices"},
    "models": GROUND | {"families", "io", "upsamplers", "encoders"},
    "checkerboard": GROUND | {"families", "io"} | FAMILIES,
    "inspect": PLANS | FAMILIES | {"checkerboard", "report"},
    "train": SETTINGS | FAMILIES | {"checkerboard"},
    "trial": PLANS | FAMILIES | {"train", "checkerboard"},
    "stats": GROUND | {"io", "metrics"},
    "launch": PLANS | {"datasets", "encoders"},
    "report": PLANS | {"stats", "metrics", "datasets", "checkerboard"},
    "data_command": PLANS | FAMILIES | {"launch", "report"},
    "prediction": PLANS | FAMILIES | {"train", "trial", "inspect", "launch"},
    "commands": PLANS | {"launch", "report", "inspect", "data_command", "encoders", "trial", "prediction"},
    "api": PLANS | FAMILIES | {"prediction", "report", "stats", "train", "cli"},
    "cli": GROUND | {"commands"},
    "__main__": {"cli", "io"},
}
# What a login node calls: importing it must not bring in torch, nor a library that does.
TORCH_FREE = PLANS - {""} | {"api", "cli", "commands", "launch", "report", "stats"}
HEAVY = ("torch", "torchvision", "pytorch_lightning", "albumentations", "cv2", "wandb")
DATASET_FILES_WITH_TORCH = {"transforms.py", "loader.py", "on_device.py", "augment_kernel.py"}

FORBIDDEN_WORDS = re.compile(r"(^|_)(utils?|helpers?|common|misc|managers?|handlers?|cfg)(_|$)")
MAX_LINES = 300

Offences = Iterator[tuple[int, str]]
Rule = Callable[[ast.AST], Offences]


def files(*folders: str, suffix: str = "py") -> list[Path]:
    return sorted(path for folder in folders for path in (REPOSITORY / folder).rglob(f"*.{suffix}"))


def place(path: Path, line: int, text: str) -> str:
    return f"{path.relative_to(REPOSITORY)}:{line}: {text}"


def imported(tree: ast.AST) -> Offences:
    """Line and dotted name of everything imported, at module level or inside a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def names(*dotted: str) -> Rule:
    """Rule against importing one of `dotted` or what is below it, and against writing it out."""

    def rule(tree: ast.AST) -> Offences:
        for line, name in imported(tree):
            if any(f"{name}.".startswith(f"{forbidden}.") for forbidden in dotted):
                yield line, f"imports {name}"
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in dotted:
                yield node.lineno, f"uses {ast.unparse(node)}"

    return rule


def renames(tree: ast.AST) -> Offences:
    yield from names("os.replace", "os.rename", "os.renames", "shutil.move")(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            # str.replace takes two arguments, Path.replace one; dataclasses and datetime use keywords.
            of_path = node.func.attr == "replace" and len(node.args) == 1 and not node.keywords
            if of_path or node.func.attr == "rename":
                yield node.lineno, f"renames: {ast.unparse(node)}"


def private_imports(tree: ast.AST) -> Offences:
    for line, name in imported(tree):
        top, *below = name.split(".")
        if top not in {"segsuite", "__future__"} and any(re.match(r"_(?!_)", part) for part in (top, *below)):
            yield line, f"imports the private {name}"


def relative_imports(tree: ast.AST) -> Offences:
    return ((line, f"imports {name}") for line, name in imported(tree) if name.startswith("."))


def wall_clock_durations(tree: ast.AST) -> Offences:
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and "time.time()" in ast.unparse(node):
            yield node.lineno, f"is a duration by the wall clock: {ast.unparse(node)}"


ONE_OWNER: dict[str, tuple[Rule, tuple[str, ...]]] = {
    "only io/atomic renames files": (renames, ("io/atomic.py",)),
    "only yaml_io reads YAML": (names("yaml"), ("yaml_io.py",)),
    "only datasets/image_io decodes images, after image_header has looked at them": (
        names("PIL", "imageio", "torchvision.io", "cv2.imread", "cv2.imdecode"),
        ("datasets/image_io.py", "datasets/image_header.py"),
    ),
    "only launch starts processes, beside asking git": (
        names("subprocess", "os.system", "os.popen", "os.fork", "os.execv", "os.execvp", "os.posix_spawn"),
        ("launch/", "trial/nursery.py", "trial/ranks.py", "io/checkout.py"),
    ),
    # encoders/weights.py reads pretrained weights, which are no checkpoints of ours.
    "only train/checkpoint_io saves and loads checkpoints": (
        names("torch.save", "torch.load"),
        ("train/checkpoint_io.py", "encoders/weights.py"),
    ),
    "imports of segsuite are absolute": (relative_imports, ()),
    "durations are by time.monotonic(); only ages of files are by time.time()": (
        wall_clock_durations,
        ("datasets/fingerprints.py", "io/atomic.py", "launch/slurm/asking.py", "launch/slurm/accounting.py"),
    ),
}


def offences(rule: Rule, paths: Iterable[Path], owners: tuple[str, ...] = ()) -> list[str]:
    """What `rule` finds in `paths` outside of `owners` (files of segsuite/, or folders ending with /)."""
    found = []
    for path in paths:
        if path.is_relative_to(PACKAGE) and path.relative_to(PACKAGE).as_posix().startswith(owners or "\0"):
            continue
        found += [place(path, line, text) for line, text in rule(ast.parse(path.read_text("utf-8")))]
    return found


def check(found: list[str], rule: str) -> None:
    assert not found, "\n".join([rule, *found])


def part_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def against_the_directions(part: str, tree: ast.AST) -> Offences:
    for line, name in imported(tree):
        top, below = [*name.split("."), ""][:2]
        target = below if below in MAY_IMPORT else ""
        if top == "segsuite" and target not in MAY_IMPORT.get(part, set()) | {part}:
            yield line, f"{part} imports {name}"


def test_every_part_has_its_place_in_the_import_directions() -> None:
    unplaced = [path for path in files("segsuite") if part_of(path) not in MAY_IMPORT]
    check(
        [place(path, 1, "is in no row of MAY_IMPORT") for path in unplaced],
        "state what the new part may import",
    )


def test_imports_go_one_way() -> None:
    found = []
    for path in files("segsuite"):
        found += offences(partial(against_the_directions, part_of(path)), [path])
    check(found, "imports against the directions of CONTRIBUTING.md")


def test_datasets_read_without_torch() -> None:
    paths = [path for path in files("segsuite/datasets") if path.name not in DATASET_FILES_WITH_TORCH]
    check(offences(names("torch", "torchvision"), paths), "reading a dataset needs numpy and PIL only")


@pytest.mark.parametrize("claim", ONE_OWNER)
def test_one_owner(claim: str) -> None:
    rule, owners = ONE_OWNER[claim]
    check(offences(rule, files("segsuite"), owners), claim)


def test_nothing_private_of_a_dependency_is_imported() -> None:
    paths = files("segsuite", "tests", "benchmarks")
    check(offences(private_imports, paths), "private modules change without notice")


def what_importing_brings(modules: list[str], unwanted: tuple[str, ...]) -> str:
    """The error of a new process that imports `modules` one by one until one brings in any of `unwanted`."""
    program = (
        "import importlib, sys\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        f"    found = [heavy for heavy in {unwanted!r} if heavy in sys.modules]\n"
        "    if found: sys.exit(f'importing {name} brings in {found}')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stderr.strip()


def test_listing_and_planning_import_no_torch() -> None:
    paths = [path for path in files("segsuite") if part_of(path) in TORCH_FREE]
    modules = [".".join(path.relative_to(REPOSITORY).with_suffix("").parts) for path in paths]
    brought = what_importing_brings([name.removesuffix(".__init__") for name in modules], HEAVY)
    assert not brought, brought


def test_family_tables_import_neither_torch_nor_numpy() -> None:
    modules = [f"segsuite.{name}" for name in sorted(FAMILIES) if (PACKAGE / name / "__init__.py").exists()]
    brought = what_importing_brings(modules, (*HEAVY, "numpy", "PIL"))
    assert not brought, brought


def names_nothing(tree: ast.AST) -> Offences:
    """Import strings "segsuite.module:Name" whose module or top-level name does not exist."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and re.fullmatch(r"segsuite[\w.]*:\w+", str(node.value)):
            module, _, name = str(node.value).partition(":")
            path = REPOSITORY / (module.replace(".", "/") + ".py")
            body = ast.parse(path.read_text("utf-8")).body if path.exists() else []
            if name not in {item.name for item in body if isinstance(item, ast.ClassDef | ast.FunctionDef)}:
                yield node.lineno, f"{node.value} does not exist"


def test_family_tables_name_what_exists() -> None:
    check(offences(names_nothing, files("segsuite")), "an import string names nothing")


def test_no_file_is_long() -> None:
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in files("segsuite", "tests", "benchmarks")}
    long = [place(path, length, "last line") for path, length in lengths.items() if length > MAX_LINES]
    check(long, f"over {MAX_LINES} lines: split by idea")


def test_file_names_say_what_is_inside() -> None:
    named = {path: path.relative_to(REPOSITORY).with_suffix("") for path in files("segsuite", "tests", "benchmarks")}
    bad = [path for path, name in named.items() if any(FORBIDDEN_WORDS.search(part) for part in name.parts)]
    check([place(path, 1, "forbidden name") for path in bad], "names say what a thing is in the field's words")


def test_source_is_ascii() -> None:
    written = [REPOSITORY / name for name in ("Makefile", ".ci/run", "pyproject.toml")]
    found = []
    for path in [*files("segsuite", "tests", "benchmarks"), *files("experiments", suffix="yaml"), *written]:
        lines = path.read_text("utf-8").splitlines()
        found += [place(path, number, ascii(line)) for number, line in enumerate(lines, 1) if not line.isascii()]
    check(found, "source is ASCII")


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (renames, "os.replace(a, b)"),
        (renames, "from shutil import move"),
        (renames, "path.rename(other)"),
        (renames, "path.replace(other)"),
        (names("yaml"), "def f():\n    import yaml"),
        (names("PIL"), "from PIL import Image"),
        (names("subprocess"), "from subprocess import run"),
        (names("torch.load"), "from torch import load"),
        (names("torch.load"), "torch.load(path)"),
        (private_imports, "from torch._dynamo import config"),
        (private_imports, "from timm.layers import _assert"),
        (relative_imports, "from .base import Upsampler"),
        (wall_clock_durations, "took = time.time() - started"),
        (names_nothing, "LOSSES = {'a': 'segsuite.losses.none:None_'}"),
        (partial(against_the_directions, "losses"), "from segsuite.config import X"),
        (partial(against_the_directions, "launch"), "def f():\n    from segsuite import trial"),
    ],
)
def test_rules_find_planted_offences(rule: Rule, source: str) -> None:
    assert list(rule(ast.parse(source)))


@pytest.mark.parametrize("source", ["'a-b'.replace('-', '_')", "dataclasses.replace(trial, seed=1)", "'os.replace'"])
def test_renaming_rule_lets_text_pass(source: str) -> None:
    assert not list(renames(ast.parse(source)))
