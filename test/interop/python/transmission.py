"""What requests do, seen through libnbd: reads of every shape, block status, zeroes, and what a flush on
one connection covers."""

from specification import MIB, connect, run, sentence

import nbd


def extents(handle, count, offset, flags=0):
    """Block status as a list of (length, flags)."""
    found = []

    def collect(context, at, entries, error):
        assert context == "base:allocation" and at == offset
        found.extend(zip(entries[0::2], entries[1::2]))
        return 0

    handle.block_status(count, offset, collect, flags)
    return found


HOLE_AND_ZERO = nbd.STATE_HOLE | nbd.STATE_ZERO


@sentence("what was written is read back, over structured and over simple replies")
def _(exports):
    for structured in [True, False]:
        handle = connect(exports.disk, structured=structured)
        data = bytes(range(256)) * 32
        handle.pwrite(data, 8192)
        assert handle.pread(len(data), 8192) == data
        assert handle.pread(512, 8192 + 512) == data[512:1024]


@sentence("a structured read arrives as chunks that cover it exactly once")
def _(exports):
    handle = connect(exports.disk)
    handle.zero(MIB, 0)
    handle.pwrite(b"\x11" * 65536, 65536)
    covered = []

    def collect(data, offset, status, error):
        assert error.value == 0
        covered.append((offset, len(data)))
        return 0

    handle.pread_structured(MIB, 0, collect)
    position = 0
    for offset, length in sorted(covered):
        assert offset == position, covered
        position += length
    assert position == MIB


@sentence("a structured read tells the hole that it begins with as a hole, and data as data")
def _(exports):
    handle = connect(exports.disk)
    handle.trim(4 * MIB, 0)
    handle.zero(4 * MIB, 0)
    handle.pwrite(b"\x66" * MIB, MIB)
    chunks = []

    def collect(data, offset, status, error):
        chunks.append((offset, len(data), status))
        return 0

    handle.pread_structured(2 * MIB, 0, collect)
    assert sorted(chunks) == [(0, MIB, nbd.READ_HOLE), (MIB, MIB, nbd.READ_DATA)], chunks
    chunks.clear()
    handle.pread_structured(MIB, 2 * MIB, collect, nbd.CMD_FLAG_DF)
    assert chunks == [(2 * MIB, MIB, nbd.READ_HOLE)], chunks
    chunks.clear()
    handle.pread_structured(2 * MIB, 0, collect, nbd.CMD_FLAG_DF)
    assert chunks == [(0, 2 * MIB, nbd.READ_DATA)], chunks


@sentence("a read over holes and data is the same over structured and over simple replies")
def _(exports):
    handle = connect(exports.disk)
    handle.trim(8 * MIB, 0)
    handle.zero(8 * MIB, 0)
    expected = bytearray(8 * MIB)
    for index, (place, length) in enumerate([(0, 512), (MIB + 512, 65536), (3 * MIB, 4096), (8 * MIB - 512, 512)]):
        data = bytes([index + 1]) * length
        handle.pwrite(data, place)
        expected[place : place + length] = data
    for structured in [True, False]:
        reader = connect(exports.disk, structured=structured)
        for step in [65536, MIB, 8 * MIB]:
            for place in range(0, 8 * MIB, step):
                assert reader.pread(step, place) == expected[place : place + step]


@sentence("a read that must not be fragmented arrives as one chunk")
def _(exports):
    handle = connect(exports.disk)
    handle.zero(4 * MIB, 0)
    handle.pwrite(b"\x22" * 4096, MIB)
    chunks = []
    handle.pread_structured(
        4 * MIB, 0, lambda data, offset, *_: chunks.append(len(data)) or 0, nbd.CMD_FLAG_DF
    )
    assert chunks == [4 * MIB], chunks


@sentence("the longest read and the longest write that are announced work")
def _(exports):
    handle = connect(exports.disk)
    longest = handle.get_block_size(nbd.SIZE_MAXIMUM)
    data = (b"\x01\x02\x03\x04" * (longest // 4))[:longest]
    handle.pwrite(data, MIB)
    assert handle.pread(longest, MIB) == data


@sentence("block status shows data and holes, in order and without a gap")
def _(exports):
    handle = connect(exports.disk)
    handle.zero(exports.size, 0)
    handle.trim(exports.size, 0)
    handle.pwrite(b"\x33" * MIB, 4 * MIB)
    assert extents(handle, exports.size, 0) == [
        (4 * MIB, HOLE_AND_ZERO),
        (MIB, 0),
        (exports.size - 5 * MIB, HOLE_AND_ZERO),
    ]


@sentence("block status may begin and end in the middle of data, and is not longer than asked for one extent")
def _(exports):
    handle = connect(exports.disk)
    handle.trim(exports.size, 0)
    handle.pwrite(b"\x44" * MIB, 4 * MIB)
    inside = extents(handle, 65536, 4 * MIB + 65536)
    assert inside[0][1] == 0 and inside[0][0] >= 65536
    one = extents(handle, exports.size, 0, nbd.CMD_FLAG_REQ_ONE)
    assert one == [(4 * MIB, HOLE_AND_ZERO)], one
    cut = extents(handle, 2 * MIB, 3 * MIB, nbd.CMD_FLAG_REQ_ONE)
    assert cut == [(MIB, HOLE_AND_ZERO)], cut


@sentence("many small holes are told truthfully: what is called zero reads as zero")
def _(exports):
    handle = connect(exports.disk)
    handle.trim(exports.size, 0)
    for place in range(0, 400, 2):
        handle.pwrite(b"\x55" * 65536, place * 65536)
    position = 0
    while position < exports.size:
        for length, flags in extents(handle, exports.size - position, position):
            length = min(length, exports.size - position)
            if flags & nbd.STATE_ZERO:
                step = min(length, 32 * MIB)
                assert handle.pread(step, position) == bytes(step)
            position += length


@sentence("zeroes read as zeroes, with and without a hole, also fast ones")
def _(exports):
    handle = connect(exports.disk)
    for flags in [0, nbd.CMD_FLAG_NO_HOLE, nbd.CMD_FLAG_FUA, nbd.CMD_FLAG_FAST_ZERO]:
        handle.pwrite(b"\x66" * 16384, MIB)
        handle.zero(8192, MIB + 4096, flags)
        expected = b"\x66" * 4096 + bytes(8192) + b"\x66" * 4096
        assert handle.pread(16384, MIB) == expected, flags


@sentence("zeroes and trims longer than any write work in one request")
def _(exports):
    handle = connect(exports.disk)
    handle.pwrite(b"\x77" * 4096, exports.size - 4096)
    handle.zero(exports.size, 0)
    assert handle.pread(4096, exports.size - 4096) == bytes(4096)
    handle.trim(exports.size, 0)


@sentence("a trimmed range reads the same each time")
def _(exports):
    handle = connect(exports.disk)
    handle.pwrite(b"\x88" * MIB, 0)
    handle.trim(MIB, 0)
    assert handle.pread(MIB, 0) == connect(exports.disk).pread(MIB, 0)


@sentence("caching a range succeeds and changes nothing")
def _(exports):
    handle = connect(exports.disk)
    handle.pwrite(b"\x99" * 4096, 0)
    handle.cache(MIB, 0)
    assert handle.pread(4096, 0) == b"\x99" * 4096


@sentence("an answered write on one connection is read by every other one, and covered by its flush")
def _(exports):
    handles = [connect(exports.disk) for _ in range(8)]
    assert all(handle.can_multi_conn() for handle in handles)
    for round in range(10):
        for place, handle in enumerate(handles):
            handle.pwrite(bytes([round * 8 + place]) * 4096, place * 4096)
        handles[round % 8].flush()
        for place in range(8):
            expected = bytes([round * 8 + place]) * 4096
            assert handles[7 - place].pread(4096, place * 4096) == expected


@sentence("256 requests in flight on one connection are each answered once, with their own data")
def _(exports):
    handle = connect(exports.disk)
    waiting = {
        handle.aio_pwrite(nbd.Buffer.from_bytearray(bytearray([place]) * 4096), place * 4096)
        for place in range(256)
    }
    assert len(waiting) == 256
    while waiting:
        handle.poll(-1)
        # Asks after each one; libnbd fails a cookie that was answered before.
        waiting = {cookie for cookie in waiting if not handle.aio_command_completed(cookie)}
    assert handle.aio_in_flight() == 0
    content = handle.pread(256 * 4096, 0)
    assert content == b"".join(bytes([place]) * 4096 for place in range(256))


@sentence("a client that shuts down in order has had every write done")
def _(exports):
    handle = connect(exports.disk)
    handle.pwrite(b"last words".ljust(512), 2 * MIB)
    handle.shutdown()
    assert connect(exports.disk).pread(512, 2 * MIB).startswith(b"last words")


run()
