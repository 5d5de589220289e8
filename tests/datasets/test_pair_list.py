"""segsuite.datasets.pair_list: a CSV as people and spreadsheets write it is read, or refused with its line."""

from pathlib import Path

import pytest

from segsuite.errors import DataError
from tests.datasets.trees import build_folder, folder_tree, names_of

ROWS = ["image,mask,split", *(f"images/{i}.png,masks/{i}.png,{s}" for i, s in enumerate(("train", "val", "train")))]
TEXT = "\n".join(ROWS) + "\n"


def training_names(root: Path, content: bytes | str, names: tuple[str, ...] = ("0", "1", "2")) -> list[str]:
    folder_tree(root, list(names))
    (root / "list.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return names_of(build_folder(root, csv="list.csv"))


READ = {
    "with a mark of its encoding": "\ufeff" + TEXT,
    "of a European spreadsheet": TEXT.replace(",", ";"),
    "with tabs": TEXT.replace(",", "\t"),
    "of Windows": TEXT.replace("\n", "\r\n"),
    "with spaces": TEXT.replace(",", " , "),
    "in quotes": '"image","mask","split"\n' + '"images/0.png","masks/0.png","train"\nimages/2.png,masks/2.png,train\n',
    "with empty lines": TEXT.replace("\n", "\n\n") + ",,\n",
    "with another case of its columns": TEXT.replace("image,mask,split", "Image,Mask,Split"),
    "without an end of its last line": TEXT.rstrip("\n"),
    "with further columns": "\n".join(f"{row},x" for row in ROWS),
}


@pytest.mark.parametrize("kind", READ)
def test_a_csv_is_read(tmp_path: Path, kind: str) -> None:
    assert training_names(tmp_path, READ[kind]) == ["0", "2"]


REFUSED = {
    "UTF-16": (TEXT.encode("utf-16"), 1, "it is UTF-16, not UTF-8"),
    "UTF-16 without a mark": (TEXT.encode("utf-16-le"), 1, "it is UTF-16, not UTF-8"),
    "Latin-1": (TEXT.encode() + b"images/caf\xe9.png,masks/0.png,train\n", 5, "it is not UTF-8 (the byte 0xe9"),
    "a zero byte": (TEXT.encode() + b"a\0b,c,train\n", 5, "zero bytes"),
    "a spreadsheet itself": (b"PK\x03\x04\x14\0\x06\0\x08\0" + bytes(range(256)), 1, "cannot be read"),
    "no columns": (b"images/0.png,masks/0.png,train\n", 1, "CSV has the columns"),
    "a column twice": (b"image,mask,image\n", 1, "image more than once"),
    "nothing": (b"", 1, "CSV has the columns []"),
    "a comma in a name": (TEXT.encode() + b"images/a, b.png,masks/0.png,train\n", 5, "4 values for 3 columns"),
    "a quote without end": (TEXT.encode() + b'"images/0.png,masks/0.png,train\n', 0, "the file is no CSV"),
    "too few values": (TEXT.encode() + b"images/0.png\n", 5, "lacks a value"),
    "an image twice": (TEXT.encode() + b"images/0.png,masks/0.png,val\n", 5, "names images/0.png twice"),
    "an absent file": (TEXT.encode() + b"images/7.png,masks/0.png,train\n", 5, "1 file of the CSV is missing"),
    "backslashes": (TEXT.encode() + b"images\\7.png,masks\\0.png,train\n", 5, "2 files of the CSV are missing"),
    "another split": (TEXT.replace("train", "training").encode(), 0, "did you mean 'training'?"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_a_csv_is_refused_with_its_line_and_what_to_do(tmp_path: Path, kind: str) -> None:
    content, line, said = REFUSED[kind]
    with pytest.raises(DataError) as caught:
        training_names(tmp_path, content)
    assert said in caught.value.what
    assert caught.value.where == f"{tmp_path / 'list.csv'}" + (f":{line}" if line else "")
    assert caught.value.advice


def test_backslashes_are_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        training_names(tmp_path, REFUSED["backslashes"][0])
    assert caught.value.advice == "Write / instead of \\ in paths."


def test_numbers_as_names_are_names(tmp_path: Path) -> None:
    assert training_names(tmp_path, TEXT.replace("images/0", "images/007"), ("007", "0", "1", "2")) == ["007", "2"]
