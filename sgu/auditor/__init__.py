"""Auditors: the best response of the game's follower, and its derivative."""

from sgu.auditor.base import Auditor, AuditorError, Fit, Hyperplanes, LinearFit
from sgu.auditor.cvxpy import CvxpyAuditor, SolverFailed, Statement
from sgu.auditor.linear import LinearAuditor
from sgu.auditor.mlp import MLPAuditor, MLPFit
