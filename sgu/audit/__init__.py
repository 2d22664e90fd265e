"""Audits of models: attacks, bands and slices, as rows, as a table and as a report."""

from sgu.audit.findings import Audit, Audited
from sgu.audit.running import audit

__all__ = ["Audit", "Audited", "audit"]
