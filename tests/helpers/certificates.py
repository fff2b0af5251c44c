"""Self-signed certificates for daemons that speak TLS."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path


def make_certificate(
    folder: Path, name: str = "studio", address: str = "127.0.0.1", days: tuple[int, int] = (-1, 1)
) -> tuple[Path, Path]:
    """A self-signed certificate and its key. address: its alternative name; empty: it has none."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    )
    if address:
        names = [x509.IPAddress(ipaddress.ip_address(address))]
        built = built.add_extension(x509.SubjectAlternativeName(names), False)
    signed = built.sign(key, hashes.SHA256())
    paths = folder / "box.pem", folder / "box.key"
    paths[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    return paths
