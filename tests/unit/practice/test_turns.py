"""A server that stops while somebody comes in leaves nothing behind."""

import asyncio
import gc
import socket
import warnings

from fairlead.practice.turns import stop_listening, take_turns


def test_a_connection_that_is_accepted_while_a_server_stops_is_served_and_closed():
    async def play():
        served = []

        async def serve(_reader, writer):
            served.append(writer)
            writer.transport.abort()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        with socket.create_connection(server.sockets[0].getsockname()):
            # In two turns it is accepted, and nothing of it is made yet.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await stop_listening(server)
            await take_turns()
        return len(served)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert asyncio.run(play()) == 1
        gc.collect()
