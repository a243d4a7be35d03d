"""Envoy's Secret Discovery Service, version 3, on the workloads' socket: SVIDs and bundles as Envoy's secrets."""
