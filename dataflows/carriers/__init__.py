"""Carrier plug-ins: a file a carrier, for its payloads, its signature and its acknowledgement."""
