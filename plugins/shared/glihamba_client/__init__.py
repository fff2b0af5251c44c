"""What Krita, GIMP and the command line share: host protocol, use case, client, launcher, messages.

Python 3.10+; the standard library and pure-Python wheels (grpclib, h2, protobuf) only.
"""

from glihamba_proto import __version__

__all__ = ["__version__"]
