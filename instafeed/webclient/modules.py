"""The imports between the client's modules."""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import join, normpath

from django.contrib.staticfiles import finders

_STATIC_IMPORT = re.compile(r"""^(?:import|export)\s*(?:[\w\s{},*]+?\bfrom\s*)?["'](\.[^"']+)["']""", re.MULTILINE)
_LATER_IMPORT = re.compile(r"""\bimport\(["'](\.[^"']+)["']\)""")


def imported_modules(name: str, *, with_later: bool = False) -> list[str]:
    """Return the static names of all modules that a module needs, nearest first; `import()` counts if `with_later`.

    Raises ValueError if two modules import each other, directly or not: their hashed names would depend on each other.
    """
    found: dict[str, list[str]] = {}

    def follow(module: str, importers: tuple[str, ...]) -> None:
        if module in importers:
            raise ValueError(f"modules import each other: {' → '.join([*importers, module])}")
        if module not in found:
            source = read(module)
            names = _STATIC_IMPORT.findall(source) + (_LATER_IMPORT.findall(source) if with_later else [])
            found[module] = [normpath(join(module, "..", each)) for each in names]
        for each in found[module]:
            follow(each, (*importers, module))

    follow(name, ())
    return [module for module in found if module != name]


def read(name: str) -> str:
    """Return the text of a static file, as it is in the code. Raises FileNotFoundError."""
    path = finders.find(name)
    if path is None:
        raise FileNotFoundError(name)
    return Path(path).read_text()
