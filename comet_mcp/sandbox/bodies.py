"""Bodies that take long, or much room."""

import zlib
from collections.abc import AsyncIterator
from functools import lru_cache

import anyio
import anyio.lowlevel

_MIB = 1024 * 1024


async def at_once(body: bytes) -> AsyncIterator[bytes]:
    """The body in one piece."""
    yield body


async def in_drops(body: bytes, interval: float) -> AsyncIterator[bytes]:
    """The body byte by byte, each so many seconds after the last."""
    for byte in body:
        yield bytes([byte])
        await anyio.sleep(interval)


async def padded(body: bytes, mebibytes: int) -> AsyncIterator[bytes]:
    """A JSON body with so many MiB of spaces behind it, which belong to it."""
    yield body
    for _ in range(mebibytes):
        yield b" " * _MIB
        # Nobody else would be served in the meantime.
        await anyio.lowlevel.checkpoint()


@lru_cache(maxsize=4)
def gzip_bomb(body: bytes, mebibytes: int) -> bytes:
    """`body` and that many MiB of spaces, as gzip of about a thousandth of the size."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = deflate.compress(body) + deflate.flush(zlib.Z_FULL_FLUSH)
    # After a full flush nothing refers back, so the packed MiB can be repeated instead of packed again.
    block = deflate.compress(b" " * _MIB) + deflate.flush(zlib.Z_FULL_FLUSH)
    checksum = zlib.crc32(body)
    for _ in range(mebibytes):
        checksum = zlib.crc32(b" " * _MIB, checksum)
    size = (len(body) + mebibytes * _MIB) % 2**32
    tail = deflate.flush(zlib.Z_FINISH) + checksum.to_bytes(4, "little") + size.to_bytes(4, "little")
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" + head + block * mebibytes + tail
