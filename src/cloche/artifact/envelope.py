"""DSSE: a payload with a signature over it and its type. github.com/secure-systems-lab/dsse, version 1.

Written here, since it is three lines; securesystemslib would bring the same
`cryptography` and much else. One line of a file called *.intoto.jsonl is what
in-toto calls a bundle.
"""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass

from cloche.artifact.receipt import canonical

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MOST_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A payload, who is said to have signed it, and the signature."""

    payload: bytes
    key_id: str
    signature: bytes

    def encode(self) -> bytes:
        """Give the one form of this envelope: a line."""
        signature = {"keyid": self.key_id, "sig": base64.b64encode(self.signature).decode()}
        document = {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [signature],
        }
        return canonical(document) + b"\n"


def to_sign(payload: bytes) -> bytes:
    """Give what is signed: DSSE's pre-authentication encoding of type and payload."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def seal(payload: bytes, key_id: str, sign: Callable[[bytes], bytes]) -> Envelope:
    """Sign `payload`."""
    return Envelope(payload=payload, key_id=key_id, signature=sign(to_sign(payload)))


def decode(content: bytes) -> Envelope:
    """Read an envelope with one signature. Raises ValueError for anything that is not one, in its one form.

    Other forms of the same envelope are refused: base64 and JSON can be
    written in many ways, and `keyid` is signed by nobody.
    """
    if len(content) > MOST_BYTES:
        raise ValueError(f"it is longer than {MOST_BYTES} bytes")
    try:
        document = json.loads(content)
        (signature,) = document["signatures"]
        envelope = Envelope(
            payload=base64.b64decode(document["payload"], validate=True),
            key_id=str(signature["keyid"]),  # of another kind, it is not in canonical form
            signature=base64.b64decode(signature["sig"], validate=True),
        )
        same = envelope.encode() == content
    except (KeyError, TypeError, RecursionError, binascii.Error) as error:
        raise ValueError("a field is missing or of another kind") from error
    if not same:
        raise ValueError("it is not in canonical form")
    return envelope
