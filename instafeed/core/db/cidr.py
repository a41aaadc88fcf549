"""A column of PostgreSQL's type `cidr`, which Django has no field for."""

from __future__ import annotations

import ipaddress
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Lookup

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_network(text: str) -> Network:
    """Return the network of an address or of a network in CIDR notation; bits beyond the prefix are dropped.

    IPv4-mapped IPv6 becomes IPv4. Raises ValueError.
    """
    network = ipaddress.ip_network(text.strip(), strict=False)
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is None or network.prefixlen < 96:
        return network
    return ipaddress.ip_network((mapped, network.prefixlen - 96), strict=False)


class CidrField(models.Field):
    """A network: an IPv4Network or IPv6Network of `ipaddress`."""

    description = "A network"

    def db_type(self, connection: Any) -> str:
        return "cidr"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Network | None:
        return None if value is None else ipaddress.ip_network(value)

    def to_python(self, value: Any) -> Network | None:
        if value is None:
            return None
        try:
            return parse_network(str(value))
        except ValueError:
            raise ValidationError("Enter an address or a network, such as 203.0.113.0/24.", code="invalid") from None

    def get_prep_value(self, value: Any) -> str | None:
        network = self.to_python(super().get_prep_value(value))
        return None if network is None else str(network)


@CidrField.register_lookup
class ContainsAddress(Lookup):
    """`network__contains_address=address`: whether the network contains an address of `ipaddress`."""

    lookup_name = "contains_address"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        column, parameters = self.process_lhs(compiler, connection)
        return f"{column} >>= %s::inet", (*parameters, str(self.rhs))
