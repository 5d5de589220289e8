"""Text files that people write: UTF-8, and a sentence about any other encoding."""


class NotUtf8(ValueError):
    """The bytes are no UTF-8 text; `what` says what they are, `line` counts from 1."""

    def __init__(self, what: str, line: int) -> None:
        self.what, self.line = what, line
        super().__init__(what, line)


def utf8(content: bytes) -> str:
    """The text, without the mark that some editors put first. Raises NotUtf8.

    >>> utf8(b"\\xef\\xbb\\xbfa")
    'a'
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or (content[:200].count(0) > len(content[:200]) // 4):
        raise NotUtf8("it is UTF-16, not UTF-8", 1)
    if b"\0" in content:
        raise NotUtf8("it holds zero bytes, which no text does", content.count(b"\n", 0, content.index(0)) + 1)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        shown = content[error.start : error.start + 1].decode("latin-1")
        raise NotUtf8(
            f"it is not UTF-8 (the byte 0x{content[error.start]:02x}, in Latin-1 {shown!a})",
            content.count(b"\n", 0, error.start) + 1,
        ) from error
