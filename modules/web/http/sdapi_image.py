"""Pictures that clients of the field's API send: base64, bare or as a data URI. Never an address: that would make this
server fetch things for strangers."""

import base64
import binascii

from fastapi import HTTPException

INVALID = "Invalid encoded image"
CLOSED = (
    "Pictures are not fetched from addresses: the setting api_enable_requests is off, and this version cannot turn it on. "
    "Send the picture itself as base64."
)


def image_bytes(text: str) -> bytes:
    """The bytes of a picture in a body. Raises HTTPException as clients know it: 500 for what is no base64."""
    text = text.strip()
    if text[:8].lower().startswith(("http://", "https://")):
        raise HTTPException(422, CLOSED)
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        content = base64.b64decode(text)
    except (binascii.Error, ValueError) as error:
        raise HTTPException(500, INVALID) from error
    if not content:
        raise HTTPException(500, INVALID)
    return content
