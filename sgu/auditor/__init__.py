"""Auditors: the follower's best response and its derivative."""

from collections.abc import Callable

from sgu.auditor.base import Auditor, AuditorError, Fit, LinearFit
from sgu.auditor.linear import LinearAuditor

AUDITORS: dict[str, Callable[..., Auditor]] = {"linear": LinearAuditor}

__all__ = ["AUDITORS", "Auditor", "AuditorError", "Fit", "LinearAuditor", "LinearFit"]
