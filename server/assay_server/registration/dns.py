"""Which DNS names an entry may carry."""

from assay.dnsname import check_dns_name

__all__ = ["check_dns_name"]
