"""Every option that a message or a document names exists, and suggestions are options of the command."""

import ast
import contextlib
import re
from collections.abc import Iterator

import pytest

from segsuite.cli import main
from tests.command_options import options_of_commands
from tests.test_docs import DOCUMENTS, REPOSITORY

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
COMMAND = re.compile(r"\bsegsuite ((?:[a-z][a-z-]*)(?: (?:list|get|init|check|stats|show|augment)\b)?)([^`\n|;]*)")
# Of programs that messages and documents tell to call.
OF_OTHERS = {
    "--no-install-recommends": "apt-get",
    "--nv": "apptainer",
    "--oneliner": "scontrol",
    **dict.fromkeys(("--array", "--comment", "--constraint", "--exclusive", "--export"), "sbatch"),
    **dict.fromkeys(("--nice", "--output", "--parsable", "--signal", "--cpu-bind", "--mem", "--time"), "sbatch"),
    "--verify": "wandb login",
    "--chdir": "sbatch",
    "--purge": "slurm/local-cluster/down",
    "--logdir": "tensorboard",
}
OPTIONS = options_of_commands()
OF_BENCHMARKS = {
    option
    for path in (REPOSITORY / "benchmarks").glob("*.py")
    for option in re.findall(r'add_argument\(\s*"(--[a-z0-9-]+)"', path.read_text(encoding="utf-8"))
}


def texts_of_code() -> Iterator[tuple[str, str]]:
    """Place and text of every literal with words; one that is a word alone is an argument for another program."""
    for path in sorted((REPOSITORY / "segsuite").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
                yield f"{path.relative_to(REPOSITORY)}:{node.lineno}", node.value


def texts_of_documents() -> Iterator[tuple[str, str]]:
    for document in DOCUMENTS:
        for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), 1):
            yield f"{document.relative_to(REPOSITORY)}:{number}", line


def wrong(text: str) -> list[str]:
    """Options in `text` that no command has, or not the command that they stand behind."""
    known = set().union(*OPTIONS.values()) | OF_BENCHMARKS | OF_OTHERS.keys()
    found = [option for option in OPTION.findall(text) if option not in known]
    for command, rest in COMMAND.findall(text):
        name = command if command in OPTIONS else command.split()[0]
        if name in OPTIONS and name != "bench":
            found += [option for option in OPTION.findall(rest) if option not in OPTIONS[name] | OF_OTHERS.keys()]
    return found


@pytest.mark.parametrize("texts", [texts_of_code, texts_of_documents])
def test_every_option_that_is_named_exists(texts: object) -> None:
    assert callable(texts)
    found = [f"{place}: {option}" for place, text in texts() for option in wrong(text)]
    assert not found, found


def test_what_does_not_exist_is_found() -> None:
    assert wrong("submit with --code live") == ["--code"]
    assert wrong("`segsuite run E.yaml --json` prints it") == ["--json"]
    assert wrong("`segsuite plan E.yaml --json` prints it, `segsuite bench gpu --minutes 5` too") == []


@pytest.mark.parametrize("command", ["run", "plan", "status", "report", "data check", "inspect", "bench"])
def test_only_the_own_options_are_suggested(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`run E.yaml --json` was asked whether it meant --json."""
    for option in sorted(set().union(*OPTIONS.values())):
        with contextlib.suppress(SystemExit):
            main([*command.split(), "x.yaml", f"{option}x"])
        suggested = re.search(r"did you mean '(--.*)'", capsys.readouterr().err)
        assert suggested is None or suggested[1] in OPTIONS[command], option
