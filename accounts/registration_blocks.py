"""Email domains and networks that cannot register. Operators maintain them in the admin.

They apply to users who register themselves, and domains also to changes of the address. Existing accounts and the
operators' commands are not affected.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

from django.db import DEFAULT_DB_ALIAS, transaction

from accounts import audit
from accounts.models import BlockedEmailDomain, BlockedNetwork, User
from instafeed.core.db.cidr import Network

MIN_PREFIX_LENGTHS = {4: 8, 6: 16}  # by IP version; larger networks are mistakes
_DOMAIN_PATTERN = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+")
IpAddress = IPv4Address | IPv6Address


class EmailDomainBlocked(Exception):
    """The address belongs to a blocked domain."""


class NetworkBlocked(Exception):
    """The client is in a blocked network."""


def require_allowed_domain(email: str) -> None:
    """Raise EmailDomainBlocked if the domain of an address, or a domain above it, is blocked."""
    labels = _canonical(email.rpartition("@")[2]).split(".")
    domains = [".".join(labels[start:]) for start in range(len(labels))]
    if BlockedEmailDomain.objects.using(DEFAULT_DB_ALIAS).filter(domain__in=domains).exists():
        raise EmailDomainBlocked


def require_allowed_network(address: IpAddress | None) -> None:
    """Raise NetworkBlocked if a client's address is in a blocked network. None is allowed: it cannot be judged."""
    networks = BlockedNetwork.objects.using(DEFAULT_DB_ALIAS)
    if address is not None and networks.filter(network__contains_address=address).exists():
        raise NetworkBlocked


def canonical_domain(text: str) -> str:
    """Return a typed domain in the form that is stored and compared; `@` or `*.` before it is dropped.

    Raises ValueError if it is no domain with at least two parts.
    """
    domain = _canonical(text.strip().removeprefix("@").removeprefix("*."))
    if not _DOMAIN_PATTERN.fullmatch(domain):
        raise ValueError("not a domain")
    return domain


def is_too_large(network: Network) -> bool:
    """Return whether a network is so large that blocking it must be a mistake."""
    return network.prefixlen < MIN_PREFIX_LENGTHS[network.version]


@transaction.atomic
def block_domain(actor: User, blocked: BlockedEmailDomain) -> None:
    """Save a new block of a domain in canonical form."""
    blocked.created_by_id = actor.pk
    blocked.save(force_insert=True)
    audit.record(actor, "block_domain", "email_domain", blocked.pk, user_id=None, after={"domain": blocked.domain})


@transaction.atomic
def unblock_domain(actor: User, blocked_id: int, reason: str = "") -> bool:
    """Delete a block. Return False if it was deleted before."""
    blocked = BlockedEmailDomain.objects.select_for_update().filter(pk=blocked_id).first()
    if blocked is None:
        return False
    before = {"domain": blocked.domain}
    audit.record(actor, "unblock_domain", "email_domain", blocked_id, user_id=None, reason=reason, before=before)
    blocked.delete()
    return True


@transaction.atomic
def block_network(actor: User, blocked: BlockedNetwork) -> None:
    """Save a new block of a network.

    The audit entry has only the prefix length: an address may be one person's, and entries are kept for ever.
    """
    blocked.created_by_id = actor.pk
    blocked.save(force_insert=True)
    after = {"prefix": blocked.network.prefixlen}
    audit.record(actor, "block_network", "network", blocked.pk, user_id=None, after=after)


@transaction.atomic
def unblock_network(actor: User, blocked_id: int, reason: str = "") -> bool:
    """Delete a block. Return False if it was deleted before."""
    blocked = BlockedNetwork.objects.select_for_update().filter(pk=blocked_id).first()
    if blocked is None:
        return False
    before = {"prefix": blocked.network.prefixlen}
    audit.record(actor, "unblock_network", "network", blocked_id, user_id=None, reason=reason, before=before)
    blocked.delete()
    return True


def _canonical(domain: str) -> str:
    """Return a domain in lower case, as ASCII (IDNA), without a trailing dot."""
    domain = domain.rstrip(".").lower()
    try:
        return domain.encode("idna").decode().lower()
    except UnicodeError:  # such as an empty part; a domain like this was never stored
        return domain
