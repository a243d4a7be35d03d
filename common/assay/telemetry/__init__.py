"""Metrics: what daemons count and time, under SPIRE's names, and where that goes when it is asked for."""
