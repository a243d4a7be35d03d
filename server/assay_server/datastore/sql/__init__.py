"""The store on SQL: SQLAlchemy Core describes schema and statements, one thread hop runs a transaction (ADR 0001)."""
