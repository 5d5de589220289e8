"""The loops of rivals.py that compile first, for minutes."""

from typing import TYPE_CHECKING

from gpu_sections import rivals
from gpu_sections.cases import CASES, SMALL
from gpu_sections.training import rival

if TYPE_CHECKING:
    from section_records import Records
    from sectioned import Context


def main(context: "Context", records: "Records") -> None:
    for case in SMALL if context.small else CASES:
        for name, loop in rivals.SLOW_TO_START.items():
            rival(case, context, records, name, loop, 0 if context.small else 8)
