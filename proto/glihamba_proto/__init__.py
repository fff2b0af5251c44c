"""Generated code of the contract; `proto/regenerate.py` writes it.

`harmonizer_pb2` (messages) needs protobuf alone; `harmonizer_pb2_grpc` (the daemon's stubs) needs
grpcio, `harmonizer_grpc` (the plugins' stubs) grpclib. Nothing is imported here, so each side pays
only for its own.
"""

__version__ = "0.2.0"
"""The project's only version number: daemon, clients and packages have the same."""
