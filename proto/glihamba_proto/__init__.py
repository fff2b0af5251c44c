"""What the daemon and its clients must agree on, each fact once. Standard library only, Python 3.10+.

    places      where the folders and files lie that both sides look for
    endpoint    the file that says where the daemon answers
    formats     sample types, channels, transfer functions and planes, with the contract's numbers
    checks      the rules that a request must keep
    errors      the base of every failure that a person reads
    messages    the catalogue: code -> sentence, in every language of `locale/`
    files       files that are written whole or not at all
    shared_file the daemon's files through which planes pass
    chunks      planes as the messages that carry them

The generated code of `glihamba/v1/harmonizer.proto` lies beside them; `proto/regenerate.py` writes it.
`harmonizer_pb2` (messages) needs protobuf alone, `harmonizer_pb2_grpc` (the daemon's stubs) grpcio, and
`harmonizer_grpc` (the clients' stubs) grpclib. Nothing is imported here, so each side pays only for its own.
"""

__version__ = "0.2.0"
"""The project's only version number: daemon, clients and packages have the same."""

PROTOCOL = 1
"""`ServerInfo.protocol`. It rises when one side could no longer understand the other."""
