"""Options in every order: libnbd stays in the negotiation, and the script decides what comes next."""

from specification import expect_error, run, sentence

import nbd


def opened(uri):
    """Connected, no option sent but what libnbd asks first (structured replies)."""
    handle = nbd.NBD()
    handle.set_opt_mode(True)
    handle.connect_uri(uri)
    return handle


def name_of(uri):
    return uri.split("///")[1].split("?")[0]


@sentence("the list of exports can be asked for twice, and an export chosen afterwards")
def _(exports):
    handle = opened(exports.disk)
    for _ in range(2):
        names = []
        handle.opt_list(lambda name, description: names.append(name) or 0)
        assert name_of(exports.disk) in names and name_of(exports.read_only) in names, names
    handle.opt_go()
    assert handle.get_size() == exports.size


@sentence("information about one export does not bind the client to it")
def _(exports):
    handle = opened(exports.disk)
    handle.opt_info()
    assert handle.get_size() == exports.size
    handle.set_export_name(name_of(exports.read_only))
    handle.opt_info()
    assert handle.get_size() == exports.read_only_size and handle.is_read_only()
    handle.opt_go()
    assert handle.get_size() == exports.read_only_size
    assert handle.pread(512, 0) == bytes(512)


@sentence("an unknown export is refused with ENOENT, and another can be chosen")
def _(exports):
    handle = opened(exports.disk)
    handle.set_export_name("no such export")
    expect_error("ENOENT", handle.opt_info)
    expect_error("ENOENT", handle.opt_go)
    handle.set_export_name(name_of(exports.disk))
    handle.opt_go()
    assert handle.get_size() == exports.size


@sentence("a name that differs only in case, or has something before or behind it, is another name")
def _(exports):
    name = name_of(exports.disk)
    for other in [name.upper(), name + " ", " " + name, name + "/", "/" + name]:
        handle = opened(exports.disk)
        handle.set_export_name(other)
        expect_error("ENOENT", handle.opt_go)


@sentence("the contexts are listed: base:allocation by its name, by its namespace, and without a query")
def _(exports):
    for queries in [[], ["base:"], ["base:allocation"]]:
        handle = opened(exports.disk)
        for query in queries:
            handle.add_meta_context(query)
        found = []
        handle.opt_list_meta_context(lambda name: found.append(name) or 0)
        assert found == ["base:allocation"], (queries, found)


@sentence("an unknown context is not agreed on, and does no harm")
def _(exports):
    handle = opened(exports.disk)
    handle.add_meta_context("qemu:dirty-bitmap:none")
    handle.add_meta_context("x-nobody:knows")
    handle.opt_go()
    assert not handle.can_meta_context("qemu:dirty-bitmap:none")
    assert handle.pread(512, 0) is not None


@sentence("contexts chosen for one export do not hold for another")
def _(exports):
    handle = opened(exports.disk)
    handle.add_meta_context("base:allocation")
    handle.opt_info()
    assert handle.can_meta_context("base:allocation")
    handle.clear_meta_contexts()
    handle.set_export_name(name_of(exports.read_only))
    handle.opt_go()
    assert not handle.can_meta_context("base:allocation")


@sentence("without structured replies there is no block status, and the rest works")
def _(exports):
    handle = nbd.NBD()
    handle.set_request_structured_replies(False)
    handle.add_meta_context("base:allocation")
    handle.connect_uri(exports.disk)
    assert not handle.get_structured_replies_negotiated()
    assert not handle.can_meta_context("base:allocation")
    assert not handle.can_df()
    handle.pwrite(b"simple" + bytes(506), 0)
    assert handle.pread(6 + 506, 0).startswith(b"simple")


@sentence("a client that aborts the negotiation is let go in order")
def _(exports):
    handle = opened(exports.disk)
    handle.opt_abort()
    assert handle.aio_is_closed()


@sentence("a client of the old style that only knows NBD_OPT_EXPORT_NAME is served")
def _(exports):
    handle = nbd.NBD()
    handle.set_handshake_flags(0)
    handle.connect_uri(exports.disk)
    assert handle.get_protocol() == "newstyle"
    assert handle.get_size() == exports.size
    handle.pwrite(b"old" + bytes(509), 0)
    assert handle.pread(512, 0).startswith(b"old")


@sentence("a client that needs TLS is refused, and one that would like it is served without")
def _(exports):
    handle = nbd.NBD()
    handle.set_tls(nbd.TLS_ALLOW)
    handle.connect_uri(exports.disk)
    assert not handle.get_tls_negotiated()
    demanding = nbd.NBD()
    demanding.set_uri_allow_tls(nbd.TLS_REQUIRE)
    demanding.set_tls(nbd.TLS_REQUIRE)
    demanding.set_export_name(name_of(exports.disk))
    try:
        demanding.connect_unix(exports.disk.split("socket=")[1])
    except nbd.Error:
        return
    raise AssertionError("connected without TLS, which was required")


run()
