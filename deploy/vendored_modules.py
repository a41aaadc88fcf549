"""Copy the JavaScript modules that the web client uses from npm packages into its static files.

    npm install --prefix DIR preact@11.2.0 htm@3.1.1 blurhash@2.0.5 qrcode-generator@2.0.4
    python -m deploy.vendored_modules DIR/node_modules

Browsers resolve no bare names (`import … from "preact"`), so these become relative paths. Source maps are not copied.
`vendored.json` records each file's package, version, licence and SHA-256, which tests/unit/webclient compares.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from pathlib import Path

TARGET = Path(__file__).resolve().parents[1] / "instafeed" / "webclient" / "static" / "webclient" / "vendor"
RECORD = TARGET / "vendored.json"
# {name of the copy: (package, path in it, the bare name that modules import)}
MODULES = {
    "preact.js": ("preact", "dist/preact.mjs", "preact"),
    "hooks.js": ("preact", "hooks/dist/hooks.mjs", "preact/hooks"),
    "htm.js": ("htm", "dist/htm.mjs", "htm"),
    "blurhash.js": ("blurhash", "dist/esm/index.js", "blurhash"),
    "qrcode.js": ("qrcode-generator", "dist/qrcode.mjs", "qrcode-generator"),
}
_COPIES = {bare_name: copy for copy, (_, _, bare_name) in MODULES.items()}


def relative_imports(source: str) -> str:
    """Return the source with relative imports and without its source map. Raises KeyError for other imports."""
    source = re.sub(r"^//# sourceMappingURL=.*$", "", source, flags=re.MULTILINE)
    return re.sub(
        r"""(\bfrom\s*|^import\s*)(["'])([\w@][^"'\n]*)\2""",
        lambda found: f"{found[1]}{found[2]}./{_COPIES[found[3]]}{found[2]}",
        source,
        flags=re.MULTILINE,
    )


def main(packages: Path) -> None:
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(parents=True)
    record = {}
    for copy, (package, path, _) in MODULES.items():
        about = json.loads((packages / package / "package.json").read_text())
        source = relative_imports((packages / package / path).read_text()).rstrip() + "\n"
        (TARGET / copy).write_text(source)
        record[copy] = {
            "package": package,
            "version": about["version"],
            "licence": about["license"],
            "sha256": hashlib.sha256(source.encode()).hexdigest(),
        }
        for licence in (packages / package).glob("LICENSE*"):
            shutil.copyfile(licence, TARGET / f"{package}.LICENSE.txt")
    RECORD.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
