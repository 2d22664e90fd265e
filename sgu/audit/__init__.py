"""Audits of models: attacks, bands and slices, as rows, as a table and as a report.

The package can be called: `sgu.audit(...)` is `sgu.api.auditing.audit`, the audit of networks of
one's own, whatever has been imported before.
"""

import sys
from types import ModuleType
from typing import Any

from sgu.audit.findings import Audit, Audited
from sgu.audit.running import audit

__all__ = ["Audit", "Audited", "audit"]


class _Callable(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from sgu.api import auditing

        return auditing.audit(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
