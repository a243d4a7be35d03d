"""HTTP/2 (RFC 9113) without I/O: frames, headers, windows and the state of one connection."""
