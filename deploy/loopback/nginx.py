"""nginx with the deployment's configuration, filled in as the image's entrypoint does."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from deploy.loopback.compose import Service
from deploy.loopback.host_mapping import HostMapping
from deploy.loopback.programs import ProgramFactory, ServiceProgram
from instafeed.devstack.state import StackError

_ETC = "/etc/nginx"
_ENTRYPOINT_DIR = "/docker-entrypoint.d/"


def nginx_executable() -> str:
    """StackError where there is none."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise StackError("no nginx: install it (Debian: apt-get install nginx), it need not run as a service")
    return found


def nginx_program(service: Service, programs: ProgramFactory, port: int) -> ServiceProgram:
    """The service's command on a copy of its mounts, with the templates filled in beside them."""
    places = programs.places
    directory = write_configuration(service, places, _environment(service, programs, port))
    state = places.directory("tmp", service.name)
    # The command's words but for the two paths that -p and -c name, and the program's.
    rest = [word for word in service.command[1:] if word not in ("-p", "-c") and not word.startswith("/")]
    command = [nginx_executable(), "-p", str(state), "-c", str(directory / "nginx.conf"), *rest]
    made = ServiceProgram(service.name, places.directory("log") / f"{service.name}.log", command, {})
    made.port = port
    programs.stops_as(made, service)
    programs.unprivileged(made, service)
    return made


def write_configuration(service: Service, places: HostMapping, environment: Mapping[str, str]) -> Path:
    """Writes /etc/nginx as the container has it; returns where that is."""
    mounts, directory = places.mounts(service), places.root / "mounts" / service.name / "etc"
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "conf.d").mkdir(parents=True)
    shutil.copy(mounts[f"{_ETC}/nginx.conf"], directory)
    shutil.copytree(mounts[f"{_ETC}/snippets"], directory / "snippets")
    wanted = re.compile(service.environment["NGINX_ENVSUBST_FILTER"])
    known = {name: value for name, value in environment.items() if wanted.search(name)}
    for template in sorted(mounts[f"{_ETC}/templates"].glob("*.template")):
        (directory / "conf.d" / template.stem).write_text(envsubst(template.read_text(), known))
    return directory


def envsubst(text: str, variables: Mapping[str, str]) -> str:
    """As the program of that name does it for the variables that it is told: others, which are nginx's, stay."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: variables.get(found[1] or found[2], found[0]), text)


def _environment(service: Service, programs: ProgramFactory, port: int) -> dict[str, str]:
    """The service's, and what the entrypoint's own scripts make of it."""
    here = programs.translated(service.environment, service)
    here["NGINX_LISTEN"] = f"127.0.0.1:{port}"
    for inside, path in sorted(programs.places.mounts(service).items()):
        if inside.startswith(_ENTRYPOINT_DIR) and inside.endswith(".envsh"):
            answer = subprocess.run(
                ["sh", "-c", '. "$1"; exec env -0', "sh", str(path)],
                env={"PATH": "/usr/bin:/bin", **here},
                capture_output=True,
                text=True,
                check=True,
            )
            here |= dict(line.split("=", 1) for line in answer.stdout.split("\0") if "=" in line)
    return here
