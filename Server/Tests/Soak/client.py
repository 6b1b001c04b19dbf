"""A small HTTP client on asyncio's streams: times of single events without the cost of a library, and connections that misbehave."""

import asyncio
import json
import time
import urllib.parse


class Connection:
    """One connection with one request."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.status, self.headers = None, {}

    async def close(self):
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass

    def abort(self):
        """Closes it as a machine that goes away does, without a farewell."""
        self.writer.transport.abort()

    async def head(self):
        """Reads the head of the answer."""
        line = await self.reader.readline()
        if not line:
            raise ConnectionError("the server closed the connection without an answer")
        self.status = int(line.split()[1])
        while (line := await self.reader.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            self.headers[name.strip().lower()] = value.strip()

    async def pieces(self):
        """Yields the body as it comes."""
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await self.reader.readline()).split(b";")[0], 16):
                data = await self.reader.readexactly(size + 2)
                yield data[:-2]
            await self.reader.readline()
        elif "content-length" in self.headers:
            yield await self.reader.readexactly(int(self.headers["content-length"]))
        else:
            while data := await self.reader.read(1 << 16):
                yield data

    async def body(self):
        return b"".join([piece async for piece in self.pieces()])


class Client:
    """A server at an address."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname, parts.port

    async def connect(self):
        # Scores of long prompts come in lines of megabytes.
        return Connection(*await asyncio.open_connection(self.host, self.port, limit=1 << 26))

    async def send(self, method, path, body=None, headers=()):
        """Sends a request; returns its connection before the answer."""
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        connection = await self.connect()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}", "Connection: close"]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        connection.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + data)
        await connection.writer.drain()
        return connection

    async def request(self, method, path, body=None, headers=()):
        """Returns status and body, as JSON if it is any."""
        connection = await self.send(method, path, body, headers)
        try:
            await connection.head()
            data = await connection.body()
        finally:
            await connection.close()
        try:
            return connection.status, json.loads(data)
        except ValueError:
            return connection.status, data.decode("utf-8", "replace")

    async def get(self, path):
        return await self.request("GET", path)

    async def post(self, path, body):
        return await self.request("POST", path, body)

    async def stream(self, path, body):
        """Yields the time and the object of every server-sent event; raises RuntimeError for other answers."""
        connection = await self.send("POST", path, body)
        try:
            await connection.head()
            if connection.status != 200:
                raise RuntimeError(f"{connection.status}: {(await connection.body()).decode('utf-8', 'replace')[:300]}")
            rest = b""
            async for piece in connection.pieces():
                now = time.perf_counter()
                rest += piece
                while b"\n\n" in rest:
                    event, rest = rest.split(b"\n\n", 1)
                    if event.startswith(b"data: ") and event != b"data: [DONE]":
                        yield now, json.loads(event[6:])
                    elif event == b"data: [DONE]":
                        return
            raise RuntimeError("the stream ended before it was complete")
        finally:
            await connection.close()
