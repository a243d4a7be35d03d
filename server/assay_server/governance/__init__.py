"""Governed identities: registration, instances, tasks and credentials, and the decisions that stand before each."""
