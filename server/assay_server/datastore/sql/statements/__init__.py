"""Every statement of the store, in SQLAlchemy Core; `make sql` writes their texts (docs/adr/0006).

A module here is written out as the module of the same name in `datastore/sql/text`, its public constants as text. What
runs the texts never loads SQLAlchemy, which is a third of a server's start.
"""
