"""How a gRPC server in Python learns who is calling, and how an agent dials one by SPIFFE ID."""
