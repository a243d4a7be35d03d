"""Steps from one schema version to the next; Alembic runs them (upgrade.py)."""
