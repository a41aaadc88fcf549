"""Print NOTICE: the licences of what the images of the Dockerfile contain. `make reference` writes the file.

The packages are those that the project, its mail providers and Flower require, installed as in the image. Their
licences come from their metadata. It has no versions, which are in constraints.txt.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
LICENSE_CLASSIFIER = "License :: OSI Approved :: "
TEXT = """\
instafeed
Copyright (c) 2026 The instafeed authors

instafeed is under the MIT licence (LICENSE). This repository contains no other software. The images that its
Dockerfile builds do, each under its own licence:

* Debian and Python, from the base image `python:3.11-slim-bookworm`. The licences are in /usr/share/doc/*/copyright and
  /usr/local/lib/python3.11/LICENSE.txt.
* The Python packages listed below. Their licences are in /venv/lib/python3.11/site-packages/*.dist-info.

docker-compose.yml also starts images of other projects, which instafeed neither contains nor changes: nginx
(BSD-2-Clause), PostgreSQL (PostgreSQL licence), Redis (AGPL-3.0, RSALv2 or SSPLv1), an object store (AGPL-3.0),
Prometheus (Apache-2.0) and Grafana (AGPL-3.0).

If you give an image to others, its copyleft parts need attention
-----------------------------------------------------------------

pillow_heif, which decodes HEIC pictures, contains these libraries. instafeed only decodes; x265 is an encoder, but the
library does not load without it.

    libheif    LGPL-3.0-or-later    https://github.com/strukturag/libheif
    libde265   LGPL-3.0-or-later    https://github.com/strukturag/libde265
    x265       GPL-2.0-or-later     https://github.com/Multicorewareinc/x265

So the terms of the GPL apply to an image as a whole when you pass it on. Pass this file and LICENSE on with it, offer
the source of these libraries in the versions that pillow_heif-*.dist-info/licenses/LICENSES_bundled.txt names, and
judge whether the licences below allow it for your purpose. Running an image, also as a service for others, needs none
of this. docs/media.md says why a decoder without x265 was not chosen.

psycopg is under the LGPL, and certifi and a part of tqdm are under the MPL. Their packages contain their source, except
for the compiled part of psycopg-binary (https://github.com/psycopg/psycopg).

Python packages
---------------

Names of shared libraries that a package contains follow its licence.

"""


def main() -> None:
    sys.stdout.write(TEXT)
    for package in sorted(shipped_packages(), key=lambda package: package.name.lower()):
        sys.stdout.write(entry(package))


def shipped_packages() -> list[metadata.Distribution]:
    """Return the packages that the project and the extras in the images require, directly or not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = (requirement for extra in ("mail", "flower") for requirement in project["optional-dependencies"][extra])
    waiting = [Requirement(text) for text in (*project["dependencies"], *extras)]
    found: dict[str, metadata.Distribution] = {}
    done: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        key = (requirement.name, frozenset(requirement.extras))
        if key in done:
            continue
        done.add(key)
        package = metadata.distribution(requirement.name)
        found[package.name] = package
        waiting += required_by(package, requirement.extras)
    return list(found.values())


def required_by(package: metadata.Distribution, extras: set[str]) -> Iterator[Requirement]:
    for requirement in map(Requirement, package.requires or ()):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""}):
            yield requirement


def entry(package: metadata.Distribution) -> str:
    libraries = bundled_libraries(package)
    text = f"{package.name}: {licence(package)}\n"
    return f"{text}    {', '.join(libraries)}\n" if libraries else text


def licence(package: metadata.Distribution) -> str:
    """Return the licence as the package names it: an SPDX expression, classifiers, or free text."""
    if "License-Expression" in package.metadata:
        return package.metadata["License-Expression"]
    classifiers = package.metadata.get_all("Classifier") or []
    names = [name.removeprefix(LICENSE_CLASSIFIER) for name in classifiers if name.startswith(LICENSE_CLASSIFIER)]
    return "; ".join(names) or package.metadata["License"].splitlines()[0]


def bundled_libraries(package: metadata.Distribution) -> list[str]:
    """Return the names of the shared libraries in a wheel, without the hash and version that its build adds."""
    files = [file.name for file in package.files or () if file.parent.name.endswith(".libs")]
    return sorted({re.split(r"-[0-9a-f]{8}\.|\.so", name)[0] for name in files})


if __name__ == "__main__":
    main()
