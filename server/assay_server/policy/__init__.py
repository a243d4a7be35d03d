"""Policy as code: Cedar policies, and the one function that decides by them at issuance and before every call."""
