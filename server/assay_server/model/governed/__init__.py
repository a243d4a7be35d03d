"""The words of governed identities: who answers for what runs, what may be acted on, and what was approved, until when.

One module for each noun; `noun` says how each is stored. All of them are values, times in them are Unix seconds.
"""
