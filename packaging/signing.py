"""Signs with osslsigncode, and makes the self-made certificate of test signatures."""
import datetime
import os
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class SigningFailed(Exception):
    pass


def make_test_certificate(folder, name="Wyrm test signing"):
    """(certificate, key), PEM files in the folder, made unless they are there; also certificate.cer, which Windows wants as a
    trusted root.  Valid for ten years, for code signing only.  The key is readable by its owner alone."""
    certificate_path, key_path = os.path.join(folder, "certificate.pem"), os.path.join(folder, "key.pem")
    if os.path.exists(certificate_path) and os.path.exists(key_path):
        return certificate_path, key_path
    os.makedirs(folder, exist_ok=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.utcnow()
    certificate = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(True, False, False, False, False, True, False, False, False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256()))
    if os.path.lexists(key_path): # it may be another's, or readable by others
        os.unlink(key_path)
    with open(os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                     serialization.NoEncryption()))
    for path, encoding in ((certificate_path, serialization.Encoding.PEM),
                           (os.path.join(folder, "certificate.cer"), serialization.Encoding.DER)):
        with open(path, "wb") as file:
            file.write(certificate.public_bytes(encoding))
    return certificate_path, key_path


def osslsigncode(*arguments):
    return subprocess.run(["osslsigncode", *arguments], capture_output=True, text=True, timeout=120)


def sign(path, certificate, key, seconds):
    """In place: a PE image, an installer or a catalogue.  seconds: the time that the signature states."""
    signed = path + ".signed"
    if os.path.exists(signed):
        os.unlink(signed)
    pages = ["-ph"] if path.endswith((".sys", ".dll", ".exe")) else []
    run = osslsigncode("sign", "-h", "sha256", *pages, "-certs", certificate, "-key", key, "-time", str(seconds),
                       "-in", path, "-out", signed)
    if run.returncode:
        raise SigningFailed(f"{os.path.basename(path)} could not be signed: {run.stdout.strip()} {run.stderr.strip()}")
    os.replace(signed, path)


def verify(path, certificate, catalogue=None):
    """(whether the signature, or the catalogue for this file, is right; what osslsigncode says)"""
    options = ["-CAfile", certificate, "-in", path] + (["-catalog", catalogue] if catalogue else [])
    run = osslsigncode("verify", *options)
    return run.returncode == 0 and "Succeeded" in run.stdout, run.stdout + run.stderr
