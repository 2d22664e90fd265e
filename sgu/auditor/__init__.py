"""Auditors: the follower's best response and its derivative."""

from sgu.auditor.base import Auditor, AuditorError, Fit, LinearFit
from sgu.auditor.linear import LinearAuditor

__all__ = ["Auditor", "AuditorError", "Fit", "LinearAuditor", "LinearFit"]
