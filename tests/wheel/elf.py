"""Reads from an ELF file what it needs of other libraries: their names, and the versions of their symbols.

Little-endian 64-bit files alone, which is what our wheels for Linux hold. After the System V ABI and the Linux Standard
Base, "Symbol Versioning".
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

DYNAMIC, VERSIONS_NEEDED = 6, 0x6FFFFFFE
NEEDED_LIBRARY = 1


@dataclass(frozen=True)
class Section:
    kind: int
    offset: int
    size: int
    link: int
    count: int


class Elf:
    """One file, read whole."""

    def __init__(self, path: Path) -> None:
        self._bytes = path.read_bytes()
        assert self._bytes[:6] == b"\x7fELF\x02\x01", f"{path.name} is a little-endian 64-bit ELF file"
        start, entry_size, entries = self._read("<40xQ10xHH", 0)
        self._sections = [self._section(start + entry_size * index) for index in range(entries)]

    def libraries(self) -> set[str]:
        """The names of the shared libraries that it is loaded with."""
        section = self._only(DYNAMIC)
        pairs = (self._read("<QQ", at) for at in range(section.offset, section.offset + section.size, 16))
        return {self._text(section, value) for tag, value in pairs if tag == NEEDED_LIBRARY}

    def versions(self) -> set[str]:
        """The versions of symbols that those libraries must have, such as `GLIBC_2.17`."""
        section = self._only(VERSIONS_NEEDED)
        found, at = set[str](), section.offset
        for _ in range(section.count):
            _, names, _, first, following = self._read("<HHIII", at)
            name_at = at + first
            for _ in range(names):
                _, _, _, name, name_following = self._read("<IHHII", name_at)
                found.add(self._text(section, name))
                name_at += name_following
            at += following
        return found

    def _read(self, layout: str, offset: int) -> tuple[int, ...]:
        return struct.unpack_from(layout, self._bytes, offset)

    def _section(self, offset: int) -> Section:
        _, kind, _, _, at, size, link, info, _, _ = self._read("<IIQQQQIIQQ", offset)
        return Section(kind, at, size, link, info)

    def _only(self, kind: int) -> Section:
        (section,) = [each for each in self._sections if each.kind == kind]
        return section

    def _text(self, section: Section, offset: int) -> str:
        start = self._sections[section.link].offset + offset
        return self._bytes[start : self._bytes.index(b"\0", start)].decode()


def glibc_newest(versions: set[str]) -> tuple[int, ...]:
    """The newest glibc that is named among the versions of symbols."""
    named = [match[1] for version in versions if (match := re.fullmatch(r"GLIBC_([\d.]+)", version))]
    return max(tuple(int(part) for part in each.split(".")) for each in named)
