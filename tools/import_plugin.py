"""Import every module of an assembled plugin's shared code, to see that this Python can.

    python tools/import_plugin.py FOLDER/pykrita/glihamba_krita/vendor

Standard library only: it runs in every Python that an editor may embed.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

SHARED = ("glihamba_proto", "glihamba_client")


def import_all(vendor: str) -> list[str]:
    """The names of the modules, imported from the folder `vendor` alone; raises what an import raises."""
    sys.path.insert(0, vendor)
    names = list(SHARED)
    for package in SHARED:
        path = importlib.import_module(package).__path__
        names += [module.name for module in pkgutil.walk_packages(path, f"{package}.")]
    for name in names:
        found = importlib.import_module(name).__file__ or ""
        if not found.startswith(vendor):
            raise ImportError(f"{name} was imported from {found}, not from {vendor}.")
    return names


if __name__ == "__main__":
    names = import_all(sys.argv[1])
    print(f"Python {sys.version.split()[0]} imports {len(names)} modules.")
