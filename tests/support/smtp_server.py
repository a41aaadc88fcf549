"""A small SMTP server for tests: it keeps what it accepts, and refuses or delays as a test says."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Self, cast

from instafeed.devstack.ports import free_port


@dataclass(frozen=True)
class ReceivedMail:
    recipient: str
    message: EmailMessage


class SmtpServer:
    """Listen on a port of 127.0.0.1 while the context lasts.

    `mails`: what was accepted, also if the client was gone before it got the answer. `refusals`: the code with which a
    recipient is refused. `before_recipient` is called before the answer to RCPT, and `before_answer` between a content
    and its answer. What they return, if it is not empty, is sent instead of the answer. They may block or raise.
    """

    def __init__(self, port: int = 0) -> None:
        self.mails: list[ReceivedMail] = []
        self.refusals: dict[str, int] = {}
        self.before_recipient: Callable[[str], str | None] = lambda recipient: None
        self.before_answer: Callable[[ReceivedMail], str | None] = lambda mail: None
        # Not a port that the system chooses: while the server is down, another program's connection could get it.
        self._server = _Server(("127.0.0.1", port or free_port()), _Conversation)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="smtp", daemon=True)
        self.port: int = self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}?tls=off"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening. May be called again."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def sent_to(self, recipient: str) -> list[EmailMessage]:
        return [mail.message for mail in self.mails if mail.recipient == recipient]


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    owner: SmtpServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that die in the middle are what the tests are about."""


class _Conversation(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.say("220 test")
        recipient = ""
        for raw in self.rfile:
            command = raw.decode(errors="replace").strip()
            word = command[:4].upper()
            if word == "RCPT":
                recipient = command.partition("<")[2].partition(">")[0]
                self.say(self.answer_to(recipient))
            elif word == "DATA":
                self.say("354 go on")
                self.say(self.accept(recipient))
            elif word == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    @property
    def owner(self) -> SmtpServer:
        return cast(_Server, self.server).owner

    def answer_to(self, recipient: str) -> str:
        code = self.owner.refusals.get(recipient)
        return self.owner.before_recipient(recipient) or (f"{code} no" if code else "250 ok")

    def accept(self, recipient: str) -> str:
        lines = []
        for line in self.rfile:
            if line == b".\r\n":
                break
            lines.append(line.removeprefix(b"."))
        else:
            return ""  # the client is gone: not a whole mail
        message = message_from_bytes(b"".join(lines), policy=policy.default)
        received = ReceivedMail(recipient, message)
        answer = self.owner.before_answer(received)
        if not answer:
            self.owner.mails.append(received)
        return answer or "250 accepted"

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())
