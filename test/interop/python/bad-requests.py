"""Requests that no proper client sends: each gets its errno, and the connection goes on."""

from specification import MIB, connect, expect_error, run, sentence, unchecked

import nbd


def still_served(handle):
    assert len(handle.pread(512, 0)) == 512


@sentence("a read that begins or ends behind the end fails with EINVAL")
def _(exports):
    handle = unchecked(exports.disk)
    expect_error("EINVAL", handle.pread, 512, exports.size)
    expect_error("EINVAL", handle.pread, 1024, exports.size - 512)
    expect_error("EINVAL", handle.pread, 512, 2**62)
    expect_error("EINVAL", handle.pread, 512, 2**64 - 512)
    still_served(handle)


@sentence("a write, or write zeroes, that begins or ends behind the end fails with ENOSPC")
def _(exports):
    handle = unchecked(exports.disk)
    expect_error("ENOSPC", handle.pwrite, bytes(512), exports.size)
    expect_error("ENOSPC", handle.pwrite, bytes(1024), exports.size - 512)
    expect_error("ENOSPC", handle.pwrite, bytes(1024), 2**64 - 512)
    expect_error("ENOSPC", handle.zero, 1024, exports.size - 512)
    still_served(handle)


@sentence("a trim, cache or block status request behind the end fails with EINVAL")
def _(exports):
    handle = unchecked(exports.disk)
    expect_error("EINVAL", handle.trim, 1024, exports.size - 512)
    expect_error("EINVAL", handle.cache, 512, exports.size)
    expect_error("EINVAL", handle.block_status, 512, exports.size, lambda *_: 0)
    still_served(handle)


@sentence("nothing of a write that ends behind the end is written")
def _(exports):
    handle = unchecked(exports.disk)
    handle.zero(512, exports.size - 512)
    expect_error("ENOSPC", handle.pwrite, b"\xee" * 1024, exports.size - 512)
    assert handle.pread(512, exports.size - 512) == bytes(512)


@sentence("a request of no bytes fails with EINVAL, or does nothing")
def _(exports):
    handle = unchecked(exports.disk)
    for call in [
        lambda: handle.pread(0, 0),
        lambda: handle.pwrite(b"", 0),
        lambda: handle.trim(0, 0),
        lambda: handle.zero(0, 0),
        lambda: handle.cache(0, 0),
    ]:
        try:
            call()
        except nbd.Error as error:
            assert error.errno == "EINVAL", error
    still_served(handle)


@sentence("offsets and lengths that are not aligned to the block size fail with EINVAL")
def _(exports):
    for uri, block in [(exports.disk, 512), (exports.large_blocks, 4096)]:
        handle = unchecked(uri)
        assert handle.get_block_size(nbd.SIZE_MINIMUM) == block
        expect_error("EINVAL", handle.pread, block, 1)
        expect_error("EINVAL", handle.pread, block - 1, 0)
        expect_error("EINVAL", handle.pwrite, bytes(block), block // 2)
        expect_error("EINVAL", handle.pwrite, bytes(block + 1), 0)
        expect_error("EINVAL", handle.zero, block // 2, 0)
        expect_error("EINVAL", handle.trim, block, block // 2)
        still_served_block = handle.pread(block, 0)
        assert len(still_served_block) == block


@sentence("an unknown flag fails with EINVAL, whatever the command")
def _(exports):
    handle = unchecked(exports.disk)
    unknown = 1 << 14
    expect_error("EINVAL", handle.pread, 512, 0, unknown)
    expect_error("EINVAL", handle.pwrite, bytes(512), 0, unknown)
    expect_error("EINVAL", handle.zero, 512, 0, unknown)
    expect_error("EINVAL", handle.trim, 512, 0, unknown)
    expect_error("EINVAL", handle.flush, unknown)
    still_served(handle)


@sentence("a flag that belongs to another command fails with EINVAL")
def _(exports):
    handle = unchecked(exports.disk)
    expect_error("EINVAL", handle.pread, 512, 0, nbd.CMD_FLAG_FAST_ZERO)
    expect_error("EINVAL", handle.pwrite, bytes(512), 0, nbd.CMD_FLAG_NO_HOLE)
    expect_error("EINVAL", handle.trim, 512, 0, nbd.CMD_FLAG_DF)
    still_served(handle)


@sentence("FUA is accepted on every command, as the specification asks")
def _(exports):
    handle = unchecked(exports.disk)
    handle.pread(512, 0, nbd.CMD_FLAG_FUA)
    handle.pwrite(bytes(512), 0, nbd.CMD_FLAG_FUA)
    handle.zero(512, 0, nbd.CMD_FLAG_FUA)
    handle.trim(512, 0, nbd.CMD_FLAG_FUA)
    handle.flush(nbd.CMD_FLAG_FUA)


@sentence("every change of a read-only export fails with EPERM, and reads and flushes work")
def _(exports):
    handle = unchecked(exports.read_only)
    assert handle.is_read_only()
    expect_error("EPERM", handle.pwrite, bytes(512), 0)
    expect_error("EPERM", handle.zero, 512, 0)
    expect_error("EPERM", handle.trim, 512, 0)
    handle.flush()
    still_served(handle)


@sentence("a read-only export keeps libnbd's own checks satisfied")
def _(exports):
    handle = connect(exports.read_only)
    assert not handle.can_trim() and not handle.can_zero()
    still_served(handle)


@sentence("a write longer than the announced maximum fails with EINVAL, and the next one works")
def _(exports):
    handle = unchecked(exports.disk)
    assert handle.get_block_size(nbd.SIZE_MAXIMUM) == 32 * MIB
    expect_error("EINVAL", handle.pwrite, bytes(32 * MIB + 512), 0)
    handle.pwrite(bytes(32 * MIB), 0)
    still_served(handle)


@sentence("block status that was not negotiated fails with EINVAL")
def _(exports):
    handle = unchecked(exports.disk, contexts=False)
    expect_error("EINVAL", handle.block_status, 512, 0, lambda *_: 0)
    still_served(handle)


@sentence("errors come with a sentence over structured replies, and as bare numbers over simple ones")
def _(exports):
    for structured in [True, False]:
        handle = unchecked(exports.disk, structured=structured)
        assert handle.get_structured_replies_negotiated() == structured
        expect_error("EINVAL", handle.pread, 512, exports.size)
        still_served(handle)


run()
