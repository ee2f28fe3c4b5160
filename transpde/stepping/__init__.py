"""Stepping measures through time: the clock, adaptive methods, finite volumes."""

from transpde.stepping.integration import METHODS, AttentionInTime, Integration, Options

__all__ = ["METHODS", "AttentionInTime", "Integration", "Options"]
