"""One module a schema version; its `revision` is that version in four digits."""
