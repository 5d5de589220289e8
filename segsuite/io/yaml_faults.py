"""What people get wrong in YAML, in sentences: the parser's own tell what it expected, not what to write."""

import re

COLOUR_AS_COMMENT = re.compile(r"^[^\"'#]*?(?:^|[\s{,\[])#[0-9a-fA-F]{6} *:")
COMMENT = re.compile(r"""^(?:[^"'#]|(?<![^\s,\[{])(?:"[^"]*"|'[^']*')|(?<=[^\s,\[{])[#"'])*[\s,\[{]#""")
"""A line with a comment behind something else, as far as quotes close in it."""
CLOSING = {"[": "bracket", "{": "brace", "'": "quote", '"': "quote"}

QUOTES = "put it in quotes"
LAYOUT = "check the indentation, colons and quotes there"


def colour_as_comment(text: str) -> int | None:
    """The line, from 1, of a colour that is written as a key without quotes: YAML reads a comment there, silently.

    >>> colour_as_comment("values:\\n  #ff0000: leaf\\n"), colour_as_comment("# a remark\\n'#ff0000': leaf")
    (2, None)
    """
    for number, line in enumerate(text.splitlines(), 1):
        if COLOUR_AS_COMMENT.match(line):
            return number
    return None


def fault(said: str, line: str) -> tuple[str, str]:
    """What is wrong and what to do, from what the parser `said` about a `line`.

    >>> fault("expected <block end>, but found '<scalar>'", "images: {split}/*.png")
    ('a value that begins with { is a mapping', "put it in quotes: '{split}/*.png'")
    """
    value = re.sub(r"^\s*(-\s+)*([\w.\"'-]+\s*:\s*)?", "", line).strip()
    # *NAME and &NAME are an alias and an anchor; the parser complains of those that are none.
    special = r"[*&][^\w\s]|[@`%!]" if "alias" not in said and "alphabetic" not in said else r"[*&@`%!]"
    item = re.search(rf"[\[{{,:]\s*(\{{[^}}\s]*\}}[^\s,\]}}]+|(?:{special})[^\s,\]}}]*)", line)
    item = item or re.match(rf"((?:{special})\S*)", value)
    if "\\t" in said or "'\t'" in said or line.startswith("\t"):
        return "there is a tab where YAML takes only spaces", "replace each tab by spaces"
    if item is not None and item[1][0] == "{":
        return "a value that begins with { is a mapping", f"{QUOTES}: '{item[1]}'"
    if item is not None:
        return f"a value cannot begin with {item[1][0]}", f"{QUOTES}: '{item[1]}'"
    if "unknown escape" in said:
        return "a backslash within double quotes is an escape", "use single quotes, or / in paths"
    if "mapping values are not allowed" in said:
        return "a colon is not allowed here", f"if it is part of a value, {QUOTES}; else {LAYOUT}"
    if COMMENT.search(line) and ("stream end" in said or "but got" in said or "but found" in said):
        return "what follows a # after a space is a comment", f"if the # is part of a value, {QUOTES}"
    if "stream end" in said or "end of stream" in said:
        first = next((character for character in value if character in CLOSING), "")
        return f"a {CLOSING.get(first, 'bracket or quote')} that begins here is never closed", "close it"
    if "sequence entries are not allowed" in said:
        return "a list begins in the middle of a line", "begin each `- item` on a line of its own, or write [a, b]"
    if "<block end>" in said or "<document start>" in said:
        return "this line is indented differently from the lines above that it belongs to", "indent them alike"
    return f"not valid YAML: {said}", LAYOUT
