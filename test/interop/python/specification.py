"""Sentences about an NBD server, each proved by a function that talks to it through libnbd.

A script lists its sentences and calls `run`; one JSON line per sentence goes to standard output, where
libnbd.test.ts reads it and makes a test of it.
"""

import errno
import json
import sys
import traceback

import nbd

MIB = 1024 * 1024

_sentences = []


class Exports:
    """What the test made for us: URIs of exports, each of which a script may change as it likes."""

    def __init__(self, arguments):
        self.disk, self.read_only, self.large_blocks = arguments
        self.size = 64 * MIB
        self.read_only_size = 1 * MIB


def sentence(text):
    """Marks a function as the proof of a sentence; it takes the exports."""

    def mark(function):
        _sentences.append((text, function))
        return function

    return mark


def connect(uri, **wishes):
    """A handle connected to the export. Wishes: strict=0 sends also what libnbd knows to be wrong,
    structured=False asks for simple replies, contexts=False for no block status."""
    handle = nbd.NBD()
    if "strict" in wishes:
        handle.set_strict_mode(wishes["strict"])
    handle.set_request_structured_replies(wishes.get("structured", True))
    if wishes.get("contexts", True) and wishes.get("structured", True):
        handle.add_meta_context("base:allocation")
    handle.connect_uri(uri)
    return handle


def unchecked(uri, **wishes):
    """A handle that sends every request as it is told, right or wrong."""
    return connect(uri, strict=0, **wishes)


def expect_error(expected, function, *arguments):
    """The call fails with this errno, given by name."""
    try:
        function(*arguments)
    except nbd.Error as error:
        actual = errno.errorcode.get(error.errnum, error.errnum)
        assert actual == expected, "%s instead of %s: %s" % (actual, expected, error.string)
        return
    raise AssertionError("no error, where %s was expected" % expected)


def run():
    exports = Exports(sys.argv[1:])
    for text, function in _sentences:
        failure = None
        try:
            function(exports)
        except Exception:
            failure = traceback.format_exc()
        print(json.dumps({"sentence": text, "failure": failure}), flush=True)
