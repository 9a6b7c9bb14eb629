# SPDX-License-Identifier: MIT
"""Proves the measuring side: the load generator sees every fault, the reference loses nothing.

  python3 bench/selftest.py BUILD_DIR

The server here is written for the purpose and independent of both programs; it can be told to lose,
double, swap, misroute or damage messages, to stutter byte by byte, and to refuse.
"""
import asyncio
import base64
import hashlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import unittest
from pathlib import Path

BUILD = Path(sys.argv.pop(1) if len(sys.argv) > 1 else "build/bench")
HERE = Path(__file__).resolve().parent
KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(payload, opcode=1, mask=None):
    """One WebSocket frame below 64 KiB (RFC 6455 section 5.2)."""
    size = len(payload)
    bit = 0x80 if mask else 0
    head = bytes([0x80 | opcode, bit | (size if size < 126 else 126)])
    head += struct.pack(">H", size) if size >= 126 else b""
    if mask:
        payload = bytes(c ^ mask[i & 3] for i, c in enumerate(payload))
    return head + (mask or b"") + payload


async def read_frame(reader):
    first, second = await reader.readexactly(2)
    size = second & 0x7F
    if size == 126:
        size = struct.unpack(">H", await reader.readexactly(2))[0]
    mask = await reader.readexactly(4) if second & 0x80 else bytes(4)
    payload = await reader.readexactly(size)
    return first & 0x0F, bytes(c ^ mask[i & 3] for i, c in enumerate(payload))


class FaultyServer:
    """Publishes what it is told, through `fault`: a function from (number, payload) to payloads."""

    def __init__(self, fault=None, stutter=False, chunked=False, key=b"", status=None):
        self.fault = fault or (lambda number, payload: [payload])
        self.stutter, self.chunked = stutter, chunked
        self.key, self.status = key, status
        self.writers = []
        self.number = 0

    async def on_client(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            if self.status:
                writer.write(f"HTTP/1.1 {self.status}\r\nContent-Length: 0\r\n\r\n".encode())
                return
            publisher = head.startswith("GET /pub/")
            key = re.search(r"Sec-WebSocket-Key: (\S+)", head)
            writer.write(self.answer(key))
            if not publisher:
                self.writers.append((writer, bool(key)))
            while True:
                opcode, payload = await read_frame(reader)
                if publisher and opcode == 1:
                    await self.publish(payload)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self.writers = [entry for entry in self.writers if entry[0] is not writer]
            writer.close()

    def answer(self, key):
        if key is None:
            coding = b"Transfer-Encoding: chunked\r\n" if self.chunked else b""
            return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + coding + b"\r\n"
        accept = base64.b64encode(hashlib.sha1(key[1].encode() + GUID + self.key).digest())
        return (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")

    async def publish(self, payload):
        probe = payload[16:32] == b"0" * 16  # a probe is never a fault's victim
        self.number += 0 if probe else 1
        for sent in [payload] if probe else self.fault(self.number, payload):
            for writer, websocket in list(self.writers):
                if sent is None:
                    writer.close()
                else:
                    await self.send(writer, frame(sent) if websocket else self.block(sent))

    def block(self, payload):
        block = b": comment\r\nid: 7\r\ndata: " + payload + b"\r\n\r\n"
        if not self.chunked:
            return block
        cut = len(block) // 3  # chunks need not end where blocks do
        parts = block[:cut], block[cut:]
        return b"".join(b"%x;x=y\r\n%s\r\n" % (len(part), part) for part in parts)

    async def send(self, writer, data):
        for part in [data[i:i + 1] for i in range(len(data))] if self.stutter else [data]:
            writer.write(part)
            await asyncio.sleep(0)

    def load(self, *arguments):
        """Runs bench-load against this server: (exit status, JSON or None, stderr)."""
        return asyncio.run(self.run(arguments))

    async def run(self, arguments):
        server = await asyncio.start_server(self.on_client, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            BUILD / "bench-load", "--url", f"http://127.0.0.1:{port}", "--subscribers", "4",
            "--burst", "5", "--warm", "0", "--seconds", "0.2", *arguments,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        out, errors = await asyncio.wait_for(process.communicate(), 60)
        server.close()
        return process.returncode, json.loads(out) if out else None, errors.decode()


def phase(result):
    return result["phases"][0]


class LoadSeesFaults(unittest.TestCase):
    def faulty(self, fault, *arguments):
        status, result, _ = FaultyServer(fault).load(*arguments)
        self.assertEqual(status, 3)
        self.assertFalse(result["clean"])
        return phase(result)

    def test_honest_server_is_clean(self):
        for kind in ("ws", "sse"):
            status, result, errors = FaultyServer().load("--kind", kind, "--channels", "1")
            self.assertEqual(status, 0, errors)
            self.assertGreater(phase(result)["deliveries"], 0)
            self.assertEqual(phase(result)["deliveries"], phase(result)["messages"] * 4)

    def test_bytes_may_come_one_by_one(self):
        for arguments in ({"kind": "ws"}, {"kind": "sse"}, {"kind": "sse", "chunked": True}):
            kind = arguments.pop("kind")
            status, _, errors = FaultyServer(stutter=True, **arguments).load("--kind", kind)
            self.assertEqual(status, 0, errors)

    def test_chunked_stream(self):
        status, result, errors = FaultyServer(chunked=True).load("--kind", "sse")
        self.assertEqual(status, 0, errors)
        self.assertGreater(phase(result)["deliveries"], 0)

    def test_lost_message(self):
        got = self.faulty(lambda n, payload: [] if n == 3 else [payload])
        self.assertEqual((got["lost"], got["doubled"], got["disordered"]), (4, 0, 0))

    def test_last_message_lost_is_a_stall(self):
        status, result, _ = FaultyServer(lambda n, payload: [payload] if n < 5 else []).load()
        self.assertEqual((status, result["stalled"], phase(result)["lost"]), (3, True, 4))

    def test_doubled_message(self):
        got = self.faulty(lambda n, payload: [payload, payload] if n == 3 else [payload])
        self.assertEqual((got["lost"], got["doubled"], got["disordered"]), (0, 4, 0))

    def test_swapped_messages(self):
        held = []

        def swap(number, payload):
            if number == 3:
                held.append(payload)
                return []
            return [payload, *held] if number == 4 else [payload]

        got = self.faulty(swap)
        self.assertEqual((got["lost"], got["doubled"], got["disordered"]), (0, 0, 4))

    def test_message_of_another_channel(self):
        def misroute(number, payload):
            other = payload[:32] + b"%08x" % 99 + payload[40:]
            return [other, payload] if number == 3 else [payload]

        self.assertEqual(self.faulty(misroute)["misrouted"], 4)

    def test_foreign_and_damaged_messages(self):
        def damage(number, payload):
            return [b"hello", payload[:-1], payload] if number == 3 else [payload]

        self.assertEqual(self.faulty(damage)["foreign"], 8)

    def test_dropped_sessions(self):
        server = FaultyServer(lambda n, payload: [payload] if n < 5 else [None])
        status, result, errors = server.load()
        self.assertEqual((status, result["dropped"]), (3, 4), errors)

    def test_refusals_are_told(self):
        for settings, word in (({"status": "403 Forbidden"}, "403"), ({"key": b"x"}, "Accept")):
            status, result, errors = FaultyServer(**settings).load()
            self.assertEqual((status, result), (1, None))
            self.assertIn(word, errors)

    def test_bad_options_are_told(self):
        for bad in ("--size 3", "--kind tcp", "--url https://x", "--channels 9", "--burst x"):
            bad = bad.split()
            done = subprocess.run(
                [BUILD / "bench-load", "--url", "http://127.0.0.1:1", "--subscribers", "4", *bad],
                capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn(bad[1], done.stderr.splitlines()[0])


class Reference:
    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [BUILD / "bench-reference", *arguments], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.port = int(line.rpartition(":")[2]) if line else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()

    def connect(self, path, upgrade=True, buffer=None):
        peer = socket.socket()
        if buffer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        peer.settimeout(20)
        peer.connect(("127.0.0.1", self.port))
        extra = f"Upgrade: websocket\r\nSec-WebSocket-Key: {KEY}\r\n" if upgrade else ""
        peer.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{extra}\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            byte = peer.recv(1)
            if not byte:
                break
            answer += byte
        return peer, answer


class ReferenceIsHonest(unittest.TestCase):
    MASK = b"\x01\x02\x03\x04"

    def test_slow_reader_gets_all_in_order_in_every_form(self):
        size, count = 8000, 60  # half a megabyte through sockets that hold a few KiB
        for form in (["send"], ["join"], ["uring"], ["uring", "--join"], ["uring", "--batch", "1"]):
            with self.subTest(form=form), Reference(
                    "--send-buffer", "4096", "--mode", *form) as reference:
                if reference.port is None:
                    self.skipTest("no io_uring here")
                slow, answer = reference.connect("/ch/1", buffer=4096)
                self.assertIn(b"101 Switching", answer)
                publisher, _ = reference.connect("/pub/1")
                messages = [b"%08d" % i + b"." * (size - 8) for i in range(count)]
                for start in range(0, count, 10):
                    batch = messages[start:start + 10]
                    publisher.sendall(b"".join(frame(m, 1, self.MASK) for m in batch))
                publisher.sendall(frame(b"over?", 9, self.MASK))
                self.assertEqual(publisher.recv(100), frame(b"over?", 10))  # all were read before
                want = b"".join(frame(m) for m in messages)
                got = bytearray()
                while len(got) < len(want):
                    got += slow.recv(65536)
                self.assertEqual(bytes(got), want)
                slow.close()
                publisher.close()

    def test_frames(self):
        with Reference() as reference:
            peer, answer = reference.connect("/echo")
            accept = base64.b64encode(hashlib.sha1(KEY.encode() + GUID).digest())
            self.assertIn(b"Sec-WebSocket-Accept: " + accept, answer)
            sent = frame(b"a" * 300, 2, self.MASK) + frame(b"b", 9, self.MASK)
            for byte in sent:  # split anywhere
                peer.sendall(bytes([byte]))
            want = frame(b"a" * 300, 2) + frame(b"b", 10)
            got = b""
            while len(got) < len(want):
                got += peer.recv(1000)
            self.assertEqual(got, want)
            peer.sendall(frame(b"not masked"))
            self.assertEqual(peer.recv(10), b"")
            peer.close()

    def test_refusals(self):
        with Reference() as reference:
            for path in ("/", "/ch/", "/ch/x", "/ch/99999999", "/pub/1", "/echo"):
                peer, answer = reference.connect(path, upgrade=False)
                self.assertTrue(answer.startswith(b"HTTP/1.1 404"), (path, answer))
                peer.close()


class DriverCleansUp(unittest.TestCase):
    def test_nothing_is_left_after_an_interrupt(self):
        driver = subprocess.Popen(
            [sys.executable, HERE / "run.py", "--build", BUILD, "--peers", BUILD, "fanout",
             "--servers", "ref-send,ref-join", "--shapes", "1x10", "--seconds", "30"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            started = self.wait(lambda: self.children(driver.pid, 3))  # two servers, one load
            driver.send_signal(signal.SIGTERM)
            driver.wait(20)
        finally:
            driver.kill()
            driver.wait()
        self.assertTrue(started)
        ended = self.wait(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in started))
        self.assertTrue(ended)

    @staticmethod
    def children(parent, count):
        found = []
        for entry in Path("/proc").iterdir():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (OSError, NotADirectoryError):
                continue
            if fields and fields[1] == str(parent):
                found.append(int(entry.name))
        return found if len(found) >= count else None

    def wait(self, condition):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            time.sleep(0.05)
        return None


if __name__ == "__main__":
    unittest.main()
