"""Notice sign-ins from devices that did not sign in to the account before.

A device is a client's name without version numbers, together with its network. A user's row has a keyed hash of the
last MAX_DEVICES, so a sign-in from a known device costs nothing more, and the row tells nothing without SECRET_KEY.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC

from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.client_info import ClientInfo
from accounts.mail import outbox
from accounts.models import MailKind, User

MAX_DEVICES = 20


def remember(user: User, client: ClientInfo) -> None:
    """Remember the device that signs in. Mail a notice if it is new and others were known.

    `user` was read from the primary in this request.
    """
    device = _fingerprint(user.pk, client)
    if device in user.known_devices:
        return
    with transaction.atomic():
        current = User.objects.select_for_update(no_key=True).filter(pk=user.pk).first()
        if current is None or device in current.known_devices:  # a concurrent sign-in of the same device
            return
        is_first = not current.known_devices
        current.known_devices = [*current.known_devices, device][-MAX_DEVICES:]
        current.save(update_fields=["known_devices"])
        if not is_first:
            when = f"{timezone.now().astimezone(UTC):%Y-%m-%d %H:%M} UTC"
            outbox.enqueue_notice(
                MailKind.SIGN_IN_NOTICE, current, device=client.name or "unknown", network=client.address, time=when
            )


def _fingerprint(user_id: int, client: ClientInfo) -> str:
    """Return a short text that is the same for all versions of a program in one network."""
    program = re.sub(r"[\d.]+", "", client.name)
    value = f"{user_id}:{program}:{_network(client.address)}"
    return salted_hmac("accounts.devices", value, algorithm="sha256").hexdigest()[:16]


def _network(address: str) -> str:
    """Return the /24 of an IPv4 address, and the /48 of an IPv6 network: providers change the rest often."""
    try:
        network = ipaddress.ip_network(address, strict=False)
    except ValueError:
        return address
    return str(network.supernet(new_prefix=min(network.prefixlen, 24 if network.version == 4 else 48)))
