"""A RabbitMQ of Debian's package rabbitmq-server, as a child process with its own data on a port of 127.0.0.1."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Self

import amqp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from instafeed.devstack.child_process import Child, Program
from instafeed.devstack.ports import free_port
from tests.support.eventually import START_TIMEOUT
from tests.support.programs import needs

# Not /usr/sbin/rabbitmq-server, which changes to the account of the system's own RabbitMQ.
_SERVER = shutil.which("rabbitmq-server", path="/usr/lib/rabbitmq/bin")
_EPMD = shutil.which("epmd")

needs_rabbitmq = needs(_SERVER and _EPMD, "rabbitmq-server")  # its service need not run


class RabbitMQ(Child):
    """Run it as a context: then Erlang's port mapper, which each node needs, runs too."""

    grace = 20.0

    def __init__(self, name: str, directory: Path, log: Path) -> None:
        super().__init__(name, log)
        self._home = directory
        self._password = secrets.token_hex(16)
        self.port, self.tls_port = free_port(), free_port()
        self.certificate = directory / "certificate.pem"  # self-signed, of 127.0.0.1
        mapper_port, node_port = free_port(), free_port()
        self._mapper = Program("epmd", log.with_name("epmd.log"), [str(_EPMD), "-port", str(mapper_port)])
        self._mapper.environment = {**os.environ, "ERL_EPMD_ADDRESS": "127.0.0.1"}
        self._mapper_port = mapper_port
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),  # of Erlang's cookie
            "LANG": "C.UTF-8",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(mapper_port),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_NODENAME": f"instafeed-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(node_port),
            "RABBITMQ_MNESIA_BASE": str(directory / "data"),
            "RABBITMQ_LOG_BASE": str(directory),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
            # Replaces the shell that starts it by Erlang, so that signals reach it. It needs no terminal then.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput -kernel inet_dist_use_interface {127,0,0,1}",
        }

    @property
    def url(self) -> str:
        return f"amqp://instafeed:{self._password}@127.0.0.1:{self.port}/instafeed"

    @property
    def tls_url(self) -> str:
        return f"amqps://instafeed:{self._password}@127.0.0.1:{self.tls_port}/instafeed"

    def _write_certificate(self) -> Path:
        """Write a certificate, and return the path of its key."""
        key, name = generate_private_key(SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, SHA256())
        )
        self.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
        path = self._home / "key.pem"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return path

    def command(self) -> list[str]:
        self._home.mkdir(mode=0o700, exist_ok=True)
        (self._home / "plugins").write_text("[].\n")
        (self._home / "rabbitmq.conf").write_text(
            f"listeners.tcp.local = 127.0.0.1:{self.port}\n"
            f"default_user = instafeed\ndefault_pass = {self._password}\ndefault_vhost = instafeed\n"
            f"listeners.ssl.local = 127.0.0.1:{self.tls_port}\n"
            f"ssl_options.certfile = {self.certificate}\nssl_options.keyfile = {self._write_certificate()}\n"
            "log.console = true\nlog.file = false\nlog.console.level = warning\n"
        )
        return [str(_SERVER)]

    def __enter__(self) -> Self:
        self._mapper.launch()
        try:
            while not _accepts(self._mapper_port):
                self._mapper.wait(0.02)
            self.start(START_TIMEOUT)
        except BaseException:
            self._mapper.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._mapper.stop()

    def control(self, *arguments: str) -> None:
        """Run rabbitmqctl on it."""
        subprocess.run(
            [str(_SERVER).replace("rabbitmq-server", "rabbitmqctl"), "--quiet", *arguments],
            env=self.environment,
            check=True,
            timeout=START_TIMEOUT,  # it starts an Erlang of its own
        )

    def ready(self) -> bool:
        return self.running and _accepts(self.port) and self._answers()

    def _answers(self) -> bool:
        try:
            self.connect(timeout=1).close()
        except (OSError, amqp.AMQPError):
            return False
        return True

    def connect(self, *, timeout: float = 60) -> amqp.Connection:
        connection = amqp.Connection(
            f"127.0.0.1:{self.port}", "instafeed", self._password, virtual_host="instafeed", connect_timeout=timeout
        )
        connection.connect()
        return connection


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
