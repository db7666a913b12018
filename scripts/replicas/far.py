"""Passes connections on to a port of this machine as if it were far away.

    far.py ADDRESS:PORT TARGET_PORT MILLISECONDS [near]

What comes is passed on so much later, half of it on the way there and half on the way back. SIGUSR1 makes the way as short as
this machine lets it be, or as long again; with `near` it begins short.
"""

import asyncio
import signal
import sys

address, listen_port = sys.argv[1].rsplit(":", 1)
target_port, milliseconds = int(sys.argv[2]), float(sys.argv[3])
is_far = "near" not in sys.argv[4:]


def turn():
    global is_far
    is_far = not is_far


async def one_way(reader, writer):
    loop = asyncio.get_running_loop()
    waiting = asyncio.Queue()

    async def deliver():
        while True:
            due, content = await waiting.get()
            rest = due - loop.time()
            if 0 < rest:
                await asyncio.sleep(rest)
            if not content:
                break
            writer.write(content)
            await writer.drain()

    delivering = asyncio.create_task(deliver())
    try:
        while True:
            content = await reader.read(65536)
            waiting.put_nowait((loop.time() + (milliseconds / 2000 if is_far else 0), content))
            if not content:
                break
        await delivering
    except OSError:
        delivering.cancel()
    finally:
        writer.close()


async def passed_on(reader, writer):
    try:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", target_port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(one_way(reader, there_writer), one_way(there_reader, writer), return_exceptions=True)


async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, turn)
    server = await asyncio.start_server(passed_on, address, int(listen_port))
    await server.serve_forever()


asyncio.run(main())
