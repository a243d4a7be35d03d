"""gRPC over HTTP/2 (grpc/grpc, doc/PROTOCOL-HTTP2.md), on asyncio."""
