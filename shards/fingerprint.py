"""A fingerprint of the tokens of documents that does not depend on how they are cut or where they lie.

XOR over all tokens of a hash of (document, position in the document, token): computed from the documents before packing
and from the shards after it, it proves that the rows, put back together, are the documents. Two different sets of
tokens share it by an accident of 1 in 2^64; tokens that come twice cancel out, so it goes with a count.
"""

from pathlib import Path

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import ipc

from shards.ids import id_pairs
from shards.order import Int64, mix
from shards.pieces import piece_batches


def fingerprints(ids: npt.NDArray[np.void], begins: Int64, lengths: Int64, tokens: npt.NDArray[np.integer]) -> Int64:
    """The fingerprint of each document, int64 [n], from its id, V16 [n], and its tokens; that of a set is their XOR.

    Document i is `tokens[begins[i] : begins[i] + lengths[i]]`, of any integer type that holds ids below 2^32.
    """
    return _fold(id_pairs(ids), np.zeros(len(begins), np.int64), begins, lengths, tokens).view(np.int64)


def shard_fingerprint(path: Path) -> int:
    """The fingerprint of the documents in the shard at `path`, an int64.

    Raises what pyarrow raises for a file that is no shard. Memory: the pieces of one record batch; tokens are mapped.
    """
    found = np.int64(0)
    with pa.memory_map(str(path)) as source:
        reader = ipc.open_file(source)
        width = reader.schema.field("tokens").type.list_size
        for batch, row, pieces in piece_batches(reader):
            offset, start, length = (pieces[name].astype(np.int64) for name in ("offset", "start", "length"))
            tokens = batch.column("tokens").flatten().to_numpy()
            hashes = _fold(id_pairs(pieces["document"]), offset, row * width + start, length, tokens)
            found ^= np.bitwise_xor.reduce(hashes.view(np.int64))
    return int(found)


@numba.njit(cache=True, nogil=True)
def _fold(
    ids: npt.NDArray[np.uint64], offset: Int64, begin: Int64, length: Int64, tokens: npt.NDArray[np.integer]
) -> npt.NDArray[np.uint64]:
    """XOR over the tokens of each piece, uint64 [n].

    `ids`: halves of the document's id, [n, 2]; `offset` in the document and `begin` in `tokens`: [n] each.
    """
    out = np.zeros(len(ids), np.uint64)
    for piece in range(len(ids)):
        key = mix(ids[piece, 0], ids[piece, 1])
        folded = np.uint64(0)
        for i in range(length[piece]):
            position = np.uint64(offset[piece] + i)
            folded ^= mix(key, (position << np.uint64(32)) | np.uint64(tokens[begin[piece] + i]))
        out[piece] = folded
    return out
