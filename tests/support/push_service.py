"""A push service on this machine, and browsers that subscribe at it.

It does what RFC 8030 and RFC 8292 ask of a push service: it takes encrypted messages for an endpoint, and only those
whose sender proves to have the key that the browser subscribed with. Browsers decrypt as RFC 8291 says. Nothing here
uses the libraries with which instafeed encrypts and signs.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CURVE = ec.SECP256R1()
MAX_TOKEN_LIFETIME = 86_400  # seconds, of RFC 8292
MAX_TOPIC_LENGTH = 32


def encode(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def new_private_key() -> str:
    """Return a value for VAPID_PRIVATE_KEY."""
    return encode(ec.generate_private_key(CURVE).private_numbers().private_value.to_bytes(32, "big"))


def point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def decrypt(body: bytes, private_key: ec.EllipticCurvePrivateKey, auth_secret: bytes) -> bytes:
    """Decrypt the body of a push message of one record (RFC 8291, section 3.4; RFC 8188, section 2)."""
    salt, record_size, id_length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
    sender, record = body[21 : 21 + id_length], body[21 + id_length :]
    assert len(record) <= record_size
    shared = private_key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(CURVE, sender))
    info = b"WebPush: info\0" + point(private_key.public_key()) + sender
    key_material = HKDF(SHA256(), 32, auth_secret, info).derive(shared)
    key = HKDF(SHA256(), 16, salt, b"Content-Encoding: aes128gcm\0").derive(key_material)
    nonce = HKDF(SHA256(), 12, salt, b"Content-Encoding: nonce\0").derive(key_material)
    plain = AESGCM(key).decrypt(nonce, record, None).rstrip(b"\0")
    assert plain[-1:] == b"\2", "the delimiter of the last record"
    return plain[:-1]


@dataclass
class Browser:
    """A browser with a subscription. `messages` are the decrypted ones that it got, oldest first."""

    endpoint: str
    application_server_key: str  # with which it subscribed
    messages: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)  # of each message
    private_key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(CURVE))
    auth: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # to the next requests, instead of 201
    requests: int = 0

    @property
    def subscription(self) -> dict[str, Any]:
        """What PushSubscription.toJSON() returns."""
        p256dh = encode(point(self.private_key.public_key()))
        return {
            "endpoint": self.endpoint,
            "expirationTime": None,
            "keys": {"p256dh": p256dh, "auth": encode(self.auth)},
        }

    def answer(self, status: int, **headers: str) -> None:
        """Answer one more of the next requests with this status; 0: do not answer."""
        self.answers.append((status, {name.replace("_", "-"): value for name, value in headers.items()}))


class PushService:
    """Runs between `with PushService() as service:`. `origin`: for PUSH_SERVICES."""

    def __init__(self) -> None:
        self.browsers: dict[str, Browser] = {}
        self.closing = threading.Event()
        handler = type("Handler", (_Handler,), {"service": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def open_browser(self, application_server_key: str) -> Browser:
        path = f"/push/{secrets.token_urlsafe(16)}"
        self.browsers[path] = Browser(self.origin + path, application_server_key)
        return self.browsers[path]

    def receive(self, browser: Browser, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        """Return status and headers of the response to a message."""
        browser.requests += 1
        if not self._is_authorized(browser, headers.get("authorization", "")):
            return 403, {}
        if "ttl" not in headers or len(headers.get("topic", "")) > MAX_TOPIC_LENGTH:
            return 400, {}
        if browser.answers:
            return browser.answers.pop(0)
        assert headers["content-encoding"] == "aes128gcm"
        browser.messages.append(json.loads(decrypt(body, browser.private_key, browser.auth)))
        browser.headers.append(headers)
        return 201, {"Location": f"{self.origin}/message/1"}

    def _is_authorized(self, browser: Browser, authorization: str) -> bool:
        """Check the token's signature, audience, lifetime and contact, and that its key is the subscription's."""
        scheme, _, parameters = authorization.partition(" ")
        values = dict(part.strip().split("=", 1) for part in parameters.split(",")) if parameters else {}
        if scheme != "vapid" or values.get("k") != browser.application_server_key:
            return False
        key = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, decode(values["k"]))
        options: Any = {"require": ["exp", "aud", "sub"]}
        try:
            claims = jwt.decode(values["t"], key, algorithms=["ES256"], audience=self.origin, options=options)
        except jwt.InvalidTokenError:
            return False
        return claims["exp"] <= time.time() + MAX_TOKEN_LIFETIME and claims["sub"].startswith(("mailto:", "https:"))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: PushService

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        browser = self.service.browsers.get(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, answered = (404, {}) if browser is None else self.service.receive(browser, headers, body)
        if status == 0:
            self.service.closing.wait()
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in ({"Content-Length": "0"} | answered).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass
