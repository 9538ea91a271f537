"""Certificates of a test's own authority, made by openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 60


@dataclass(frozen=True)
class Certificates:
    """Folders with ``ca.pem``, ``cert.pem``, ``key.pem``; the stranger's authority is its own."""

    server: Path
    client: Path
    stranger: Path


def make_certificates(folder: Path) -> Certificates:
    """Return certificates for 127.0.0.1, its client, and somebody else."""
    ours, others = folder / "ours", folder / "others"
    for authority in (ours, others):
        authority.mkdir()
        _self_signed(authority)
    made = Certificates(folder / "server", folder / "client", folder / "stranger")
    _signed(made.server, ours, "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth")
    _signed(made.client, ours, "extendedKeyUsage=clientAuth")
    _signed(made.stranger, others, "extendedKeyUsage=clientAuth")
    return made


def _self_signed(folder: Path) -> None:
    _openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-subj", f"/CN={folder.name}", "-days", "2"),
        *("-keyout", str(folder / "key.pem"), "-out", str(folder / "ca.pem")),
    )


def _signed(folder: Path, authority: Path, extensions: str) -> None:
    folder.mkdir()
    (folder / "extensions").write_text(extensions)
    (folder / "ca.pem").write_bytes((authority / "ca.pem").read_bytes())
    _openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-subj", f"/CN={folder.name}"),
        *("-keyout", str(folder / "key.pem"), "-out", str(folder / "request.pem")),
    )
    _openssl(
        *("x509", "-req", "-in", str(folder / "request.pem"), "-days", "2"),
        *("-CA", str(authority / "ca.pem"), "-CAkey", str(authority / "key.pem")),
        *("-CAcreateserial", "-extfile", str(folder / "extensions")),
        *("-out", str(folder / "cert.pem")),
    )


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=_TIMEOUT_S)
