"""nginx with the deployment's configuration, whose templates are filled in as by the image's entrypoint."""

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
    """Return nginx's path. Raises StackError if it is not installed."""
    path = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise StackError("no nginx: install it (Debian: apt-get install nginx); it need not run as a service")
    return path


def nginx_program(service: Service, programs: ProgramFactory, port: int) -> ServiceProgram:
    """Return the service's program, with its command on a copy of the mounts and filled-in templates."""
    mapping = programs.mapping
    directory = write_configuration(service, mapping, _environment(service, programs, port))
    state = mapping.directory("tmp", service.name)
    # The words of the command without the program and the paths of -p and -c.
    rest = [word for word in service.command[1:] if word not in ("-p", "-c") and not word.startswith("/")]
    command = [nginx_executable(), "-p", str(state), "-c", str(directory / "nginx.conf"), *rest]
    program = ServiceProgram(service.name, mapping.directory("log") / f"{service.name}.log", command, {})
    program.port = port
    programs.apply_stop_settings(program, service)
    programs.run_unprivileged(program, service)
    return program


def write_configuration(service: Service, mapping: HostMapping, environment: Mapping[str, str]) -> Path:
    """Write /etc/nginx as it is in the container, and return its path."""
    mounts, directory = mapping.mounts(service), mapping.root / "mounts" / service.name / "etc"
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "conf.d").mkdir(parents=True)
    shutil.copy(mounts[f"{_ETC}/nginx.conf"], directory)
    shutil.copytree(mounts[f"{_ETC}/snippets"], directory / "snippets")
    name_filter = re.compile(service.environment["NGINX_ENVSUBST_FILTER"])
    selected = {name: value for name, value in environment.items() if name_filter.search(name)}
    for template in sorted(mounts[f"{_ETC}/templates"].glob("*.template")):
        (directory / "conf.d" / template.stem).write_text(envsubst(template.read_text(), selected))
    return directory


def envsubst(text: str, variables: Mapping[str, str]) -> str:
    """Replace the given variables as the program envsubst does. nginx's own variables stay."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda match: variables.get(match[1] or match[2], match[0]), text)


def _environment(service: Service, programs: ProgramFactory, port: int) -> dict[str, str]:
    """Return the service's environment, extended by the entrypoint's `.envsh` scripts."""
    environment = programs.translate_environment(service.environment, service)
    environment["NGINX_LISTEN"] = f"127.0.0.1:{port}"
    for inside, path in sorted(programs.mapping.mounts(service).items()):
        if inside.startswith(_ENTRYPOINT_DIR) and inside.endswith(".envsh"):
            result = subprocess.run(
                ["sh", "-c", '. "$1"; exec env -0', "sh", str(path)],
                env={"PATH": "/usr/bin:/bin", **environment},
                capture_output=True,
                text=True,
                check=True,
            )
            environment |= dict(line.split("=", 1) for line in result.stdout.split("\0") if "=" in line)
    return environment
