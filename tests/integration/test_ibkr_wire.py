"""What a gateway sends that it should not: nonsense, too much, and nothing at all."""

from __future__ import annotations

import asyncio
import struct
from contextlib import asynccontextmanager

import pytest

from fairlead.core.errors import BrokerConnection
from fairlead.data.vendors.ibkr.endpoint import EndpointSettings
from fairlead.data.vendors.ibkr.messages import Fault, Lost, Malformed
from fairlead.data.vendors.ibkr.wire import LARGEST, Wire
from support_feeds import run


def frame(*fields):
    text = "".join(f"{field}\0" for field in fields).encode()
    return struct.pack(">I", len(text)) + text


HELLO = frame(178, "20240102 10:00:00 UTC")
READY = frame(15, 1, "DU1234567") + frame(9, 1, 5)


@asynccontextmanager
async def speaking(first=HELLO, then=READY):
    """A gateway that says what it is told to say, and nothing else."""
    writers = []

    async def serve(reader, writer):
        writers.append(writer)
        await reader.read(100)
        writer.write(first)
        await writer.drain()
        if then:
            await reader.read(100)
            writer.write(then)
        await reader.read(1)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    told = []
    settings = EndpointSettings(port=server.sockets[0].getsockname()[1], kind="paper", connect_s=0.5, answer_s=0.2)
    wire = Wire(settings, told.append, lambda: 77)
    try:
        yield wire, told, writers
    finally:
        wire.close()
        for writer in writers:
            writer.close()
        server.close()
        await server.wait_closed()


async def until(condition):
    while not condition():  # noqa: ASYNC110  it is another's state, and nobody tells of it
        await asyncio.sleep(0.001)


def play(body, **given):
    async def played():
        async with speaking(**given) as stand:
            await body(*stand)

    run(played())


def test_it_opens_and_counts_ids_from_what_is_told_or_known():
    async def body(wire, _told, _writers):
        assert await wire.open(3, least_id=40) == ("DU1234567",)
        assert (wire.is_open, wire.client_id, wire.heard_ns) == (True, 3, 77)
        assert [wire.next_id(), wire.next_id()] == [40, 41]
        wire.close()
        wire.close()
        assert not wire.is_open
        with pytest.raises(BrokerConnection, match="504"):
            wire.next_id()

    play(body)


@pytest.mark.parametrize(
    "data",
    [
        frame(3, "not a number"),
        frame(4, 2, -1),
        frame(9999, 1),
        frame("x"),
        frame(11, -1, 4, "too", "short"),
        frame(5, *["?"] * 100),
        frame(50, 3, 1, "a", "b"),
    ],
)
def test_a_message_that_cannot_be_read_is_told_and_the_next_one_is_read(data):
    async def body(wire, told, writers):
        await wire.open(3)
        writers[0].write(data + frame(4, 2, -1, 2104, "well", ""))
        await until(lambda: any(isinstance(one, Fault) for one in told))
        assert [type(one) for one in told] == [Malformed, Fault]
        assert (wire.is_open, wire.malformed) == (True, 1)

    play(body)


def test_a_message_that_is_too_large_ends_the_connection():
    async def body(wire, told, writers):
        await wire.open(3)
        writers[0].write(struct.pack(">I", LARGEST + 1) + b"x" * 100)
        await until(lambda: any(isinstance(one, Lost) for one in told))
        assert "larger than any" in told[-1].text
        assert not wire.is_open

    play(body)


@pytest.mark.parametrize("first", [b"HTTP/1.1 400 Bad Request\r\n\r\n", frame("hello", "there"), frame(100, "old")])
def test_what_is_no_gateway_is_not_connected_to(first):
    async def body(wire, _told, _writers):
        with pytest.raises(BrokerConnection):
            await wire.open(3)
        assert not wire.is_open

    play(body, first=first, then=b"")


def test_a_gateway_that_says_nothing_is_given_up():
    async def body(wire, _told, _writers):
        with pytest.raises(BrokerConnection, match=r"did not answer within 0\.5 s"):
            await wire.open(3)

    play(body, first=b"", then=b"")


def test_what_was_asked_fails_with_the_connection():
    async def body(wire, told, writers):
        await wire.open(3)
        asking = asyncio.ensure_future(wire.open_orders())
        await asyncio.sleep(0)
        writers[0].close()
        with pytest.raises(BrokerConnection, match="was lost"):
            await asking
        assert isinstance(told[-1], Lost)
        with pytest.raises(BrokerConnection, match="504"):
            await wire.positions()

    play(body)


def test_what_is_not_answered_times_out_and_can_be_asked_again():
    async def body(wire, _told, _writers):
        await wire.open(3)
        for _ in range(2):
            with pytest.raises(BrokerConnection, match=r"did not answer within 0\.2 s"):
                await wire.executions("DU1234567", "")

    play(body)
