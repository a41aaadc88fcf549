"""The client's modules: vendored copies, imports, and the paths that server and client agree on."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders

from deploy import vendored_modules
from instafeed.webclient import modules
from instafeed.webclient.urls import CLIENT_PATHS

STATIC = vendored_modules.TARGET.parent
SOURCES = sorted((STATIC / "js").rglob("*.js"))
MAX_SIZE = 60_000  # bytes, gzipped: all that the first page loads


def test_vendored_modules_are_the_recorded_ones() -> None:
    record = json.loads(vendored_modules.RECORD.read_text())
    assert record.keys() == vendored_modules.MODULES.keys() == {path.name for path in STATIC.glob("vendor/*.js")}
    for name, entry in record.items():
        assert hashlib.sha256((vendored_modules.TARGET / name).read_bytes()).hexdigest() == entry["sha256"], name
        assert entry["licence"] in ("MIT", "Apache-2.0")
        assert re.fullmatch(r"\d+\.\d+\.\d+", entry["version"])


def test_bare_imports_become_relative() -> None:
    source = 'import{h as e}from"preact";\nimport "htm";\nconst from = "x";\n//# sourceMappingURL=a.map\n'
    assert vendored_modules.relative_imports(source) == (
        'import{h as e}from"./preact.js";\nimport "./htm.js";\nconst from = "x";\n\n'
    )
    with pytest.raises(KeyError):
        vendored_modules.relative_imports('import x from "unknown";')


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_module_imports_files_that_exist(path: Path) -> None:
    source = path.read_text()
    imports = re.findall(r"""(?:\bfrom|\bimport)\s*\(?["']([^"']+)["']""", source)
    assert [name for name in imports if not name.startswith(".")] == []
    assert [name for name in imports if not (path.parent / name).exists()] == []


def test_every_module_is_used_and_none_import_each_other() -> None:
    used = {finders.find(name) for name in modules.imported_modules("webclient/js/main.js", with_later=True)}
    assert {str(path) for path in SOURCES} - used == {str(STATIC / "js" / "main.js")}


def test_first_page_is_small() -> None:
    names = ["webclient/js/main.js", *modules.imported_modules("webclient/js/main.js")]
    sizes = {name: len(gzip.compress(Path(str(finders.find(name))).read_bytes())) for name in names}
    assert sum(sizes.values()) <= MAX_SIZE, sizes


def test_server_and_client_have_the_same_paths() -> None:
    routes = (STATIC / "js" / "routes.js").read_text()
    client = {re.sub(r":\w+(\([^)]*\))?", "x", path) for path in re.findall(r'^  \["(/[^"]*)"', routes, re.MULTILINE)}
    lists = {"/@x/followers", "/@x/following"}
    server = {"/" + re.sub(r"<[^>]+>", "x", path) for path in CLIENT_PATHS} | {"/p/x", "/@x"}
    assert client - {"/@x/x"} == server - lists
