"""Where a program removes, replaces or renames: found in its source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

METHODS = {"unlink", "rmdir", "rmtree", "removedirs", "rename", "renames", "write_text", "write_bytes", "truncate",
           "ftruncate", "copyfile", "copy2", "copytree", "unpack_archive", "TemporaryDirectory"}  # fmt: skip
HANDED_OVER = {"unlink", "rmdir", "rmtree", "rename"}
OF_MODULES = {"os.remove", "os.replace", "shutil.move", "shutil.copy"}
OF_ATOMIC = {"write_with", "write_bytes", "write_text", "write_json", "duplicate", "remove", "take_away", "put_back",
             "put_in_place", "remove_stale_temporaries"}  # fmt: skip
"""What segsuite.io.atomic offers that removes or replaces."""
TRUNCATES = re.compile(r"['\"][rbt]*w[bt+]*['\"]")
IN_SHELL = re.compile(r"(?:^|[\s;&|({])(?:rm|mv|rmdir|find .* -delete|ln -[a-z]*f[a-z]*)\s")


def touches(call: ast.Call) -> bool:
    """Whether a call removes, replaces, renames or empties a file or a folder."""
    # Also where it is handed over to be called: patiently(path.unlink).
    if any(isinstance(one, ast.Attribute) and one.attr in HANDED_OVER for one in call.args):
        return True
    function = call.func
    if isinstance(function, ast.Name):
        return (function.id == "open" and _empties(call)) or function.id in OF_ATOMIC
    if not isinstance(function, ast.Attribute):
        return False
    name = ast.unparse(function)
    # str.replace takes two arguments, Path.replace one; dataclasses and datetime use keywords.
    of_path = function.attr == "replace" and len(call.args) == 1 and not call.keywords
    return (
        function.attr in METHODS
        or name in OF_MODULES
        or of_path
        or (name.startswith("atomic.") and function.attr in OF_ATOMIC)
        or (function.attr in ("open", "fdopen") and _empties(call))
    )


def _empties(call: ast.Call) -> bool:
    given = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    return any(TRUNCATES.fullmatch(ast.unparse(one)) or "O_TRUNC" in ast.unparse(one) for one in given)


def places(source: str) -> Iterator[tuple[str, int]]:
    """Function, with its class, and line of each place in Python source."""

    def within(node: ast.AST, above: tuple[str, ...]) -> Iterator[tuple[str, int]]:
        for child in ast.iter_child_nodes(node):
            named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            inner = (*above, child.name) if named else above  # type: ignore[attr-defined]
            if isinstance(child, ast.Call) and touches(child):
                yield ".".join(above), child.lineno
            yield from within(child, inner)

    yield from within(ast.parse(source), ())


def shell_places(text: str) -> Iterator[tuple[str, int]]:
    """Line and its number of each place in a shell script."""
    for number, line in enumerate(text.splitlines(), 1):
        if IN_SHELL.search(line.partition(" # ")[0]) and not line.lstrip().startswith("#"):
            yield line.strip(), number


def found_in(repository: Path) -> dict[tuple[str, str], int]:
    """(File, function or line of a shell script) -> line, over the package, benchmarks and scripts."""
    found = {}
    for folder in ("segsuite", "benchmarks", "slurm"):
        for path in sorted((repository / folder).rglob("*")):
            if path.suffix == ".py":
                listed = places(path.read_text(encoding="utf-8"))
            elif folder == "slurm" and path.is_file() and path.suffix in ("", ".sh", ".sbatch"):
                listed = shell_places(path.read_text(encoding="utf-8"))
            else:
                continue
            for where, line in listed:
                found.setdefault((str(path.relative_to(repository)), where), line)
    return found
