"""Keys that sign checkpoints of the trail: ed25519 in a file of this machine, or in AWS KMS.

Knows how to sign and to check signatures; not what is signed. ``cryptography`` is loaded at the first use.
"""

from __future__ import annotations

import base64
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from overflight.errors import InputError, StoreError
from overflight.files import sha256_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PRIVATE, PUBLIC = "checkpoint.key", "checkpoint.pub"
_KMS_ALGORITHM = "ED25519_SHA_512"  # of keys with the spec ECC_NIST_EDWARDS25519; plain Ed25519, so MessageType is RAW
_CURE = "Move it away to begin with a new key, and tell the auditor: what it signed can then be checked with its .pub"


@dataclass(frozen=True)
class PublicKey:
    """A key that signatures are checked with.

    Attributes:
        raw: 32 bytes.
        source: Where it comes from, for people: a path or an ARN.
    """

    raw: bytes
    source: str = ""

    @property
    def id(self) -> str:
        """First 16 hex digits of the SHA-256 of the key: what people compare."""
        return sha256_bytes(self.raw)[:16]

    @property
    def text(self) -> str:
        """Base64 of the 32 bytes, as exports carry it."""
        return base64.b64encode(self.raw).decode()

    def fits(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature of ``message`` was made with this key."""
        from cryptography.exceptions import InvalidSignature

        try:
            _public(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True


class Signer(Protocol):
    """Signs messages of up to 4096 bytes."""

    @property
    def public(self) -> PublicKey:
        """The key that its signatures are checked with."""

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""


class FileSigner:
    """An ed25519 key in ``checkpoint.key`` of a folder, made at the first use; only its owner may read it.

    Whoever can read the file can sign in its name: it proves nothing against the owner of the machine's account. A key
    in KMS does.

    Raises:
        StoreError: the file holds no ed25519 key.
        OSError: the folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / PRIVATE
        if not path.exists():
            _make(folder)
        self._key = _private(path)
        self.public = PublicKey(self._key.public_key().public_bytes_raw(), str(folder / PUBLIC))

    def sign(self, message: bytes) -> bytes:
        """See :class:`Signer`."""
        return self._key.sign(message)


class KmsSigner:
    """An asymmetric key of AWS KMS with the key spec ECC_NIST_EDWARDS25519 and the usage SIGN_VERIFY.

    Args:
        client: boto3's client of KMS; needs ``kms:Sign`` and ``kms:GetPublicKey``.
        key: Id, ARN or alias of the key.

    Raises:
        InputError: it is a key of another kind.
    """

    def __init__(self, client: Any, key: str) -> None:
        self._client, self._key = client, key
        answer = client.get_public_key(KeyId=key)
        if _KMS_ALGORITHM not in answer.get("SigningAlgorithms", ()):
            raise InputError(
                f"a KMS key of the kind {answer.get('KeySpec')} cannot sign with ed25519",
                where=key,
                cure="aws kms create-key --key-spec ECC_NIST_EDWARDS25519 --key-usage SIGN_VERIFY",
            )
        self.public = PublicKey(_from_der(answer["PublicKey"], key), answer["KeyId"])

    def sign(self, message: bytes) -> bytes:
        """See :class:`Signer`; KMS Sign takes the message itself (MessageType RAW) for this algorithm."""
        answer = self._client.sign(KeyId=self._key, Message=message, MessageType="RAW", SigningAlgorithm=_KMS_ALGORITHM)
        return bytes(answer["Signature"])


def read_public(path: Path) -> PublicKey:
    """The public key in a PEM file.

    Raises:
        InputError: there is no such file, or it holds no ed25519 key.
    """
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path)) from error
    except ValueError as error:
        raise _no_key(str(path)) from error
    return PublicKey(_raw(key, str(path)), str(path))


def public_from_text(text: str, source: str) -> PublicKey:
    """The public key in the base64 that exports carry.

    Raises:
        InputError: it is none.
    """
    try:
        raw = base64.b64decode(text, validate=True)
        _public(raw)
    except ValueError as error:
        raise _no_key(source) from error
    return PublicKey(raw, source)


def write_public(key: PublicKey, path: Path) -> None:
    """Keep a public key as PEM, for people and for tools such as OpenSSL."""
    from cryptography.hazmat.primitives import serialization

    pem = _public(key.raw).public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    path.write_bytes(pem)


def _make(folder: Path) -> None:
    """A new key; of several processes the first one wins, and no reader sees half a file."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    temporary = folder / f".{PRIVATE}.{os.getpid()}.{os.urandom(4).hex()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(pem)
            handle.flush()
            os.fsync(handle.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, folder / PRIVATE)
    finally:
        temporary.unlink(missing_ok=True)
    raw = _private(folder / PRIVATE).public_key().public_bytes_raw()
    write_public(PublicKey(raw), folder / PUBLIC)


def _private(path: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise StoreError("holds no ed25519 key", where=str(path), cure=_CURE) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise StoreError("holds no ed25519 key", where=str(path), cure=_CURE)
    return key


def _public(raw: bytes) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(raw)


def _from_der(der: bytes, source: str) -> bytes:
    from cryptography.hazmat.primitives import serialization

    try:
        return _raw(serialization.load_der_public_key(der), source)
    except ValueError as error:
        raise _no_key(source) from error


def _raw(key: Any, source: str) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(source)
    return key.public_bytes_raw()


def _no_key(source: str) -> InputError:
    return InputError(
        "holds no ed25519 public key", where=source, cure="Give the PEM file that the checkpoints were signed for"
    )
