# SPDX-License-Identifier: MIT
"""The servers of the bench: how each is started, which processes it is, how it is ended.

A server is started on a free loopback port, pinned to one CPU where the machine has two, and ended
by its process id. Should this driver die without a word, the kernel ends its children.
"""
import ctypes
import os
import queue
import random
import re
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
READY_SECONDS = 20
STOP_SECONDS = 5


class Unavailable(Exception):
    """This server cannot be had here; the text says why."""


def child_setup(cpu):
    """What a child does before exec: die with its parent, run on one CPU."""
    libc = ctypes.CDLL(None)

    def setup():
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})

    return setup


class Server:
    """A running server. `pids` are the processes to account for."""

    name = ""
    kinds = ("ws",)
    scenarios = ("fanout", "echo", "idle")

    def __init__(self, cpu):
        self.cpu = cpu
        self.url = None
        self.admin = None
        self.process = None
        self.lines = queue.Queue()
        self.dir = Path(tempfile.mkdtemp(prefix="hark-bench-"))

    def command(self):
        raise NotImplementedError

    def options(self):
        return {}

    def start(self):
        self.dir.chmod(0o755)
        with open(self.dir / "stderr", "wb") as errors:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
                text=True, preexec_fn=child_setup(self.cpu), **self.options())
        threading.Thread(target=self.read, args=(self.process.stdout,), daemon=True).start()
        self.wait_ready()
        return self

    def read(self, stdout):
        for line in stdout:
            self.lines.put(line.strip())
        self.lines.put(None)

    def wait_ready(self):
        self.url = self.wait_line("listen ")

    def wait_line(self, begin):
        """The word behind that beginning, of the first line of stdout that has it."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                late = f"no '{begin}' in {READY_SECONDS} s: {self.errors()[-300:]}"
                raise RuntimeError(f"{self.name}: {late}") from None
            if line is None:
                raise RuntimeError(f"{self.name} ended: {self.errors()}")
            if line.startswith(begin):
                return line[len(begin):].split()[0]

    def errors(self):
        return (self.dir / "stderr").read_text(errors="replace")[-2000:]

    @property
    def pids(self):
        return [self.process.pid]

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Reference(Server):
    """Our bare reference in one of its forms."""

    kinds = ("ws", "sse")

    def __init__(self, cpu, build, form):
        super().__init__(cpu)
        self.build = build
        self.name = f"ref-{form}"
        self.form = form

    def command(self):
        mode, _, join = self.form.partition("-")
        return [str(self.build / "bench-reference"), "--mode", mode] + (["--join"] if join else [])


class Hark(Server):
    """The gateway itself: HARK_BIN with the scripts of this folder, or another copy of them."""

    name = "hark"
    kinds = ("ws", "sse")
    scenarios = ("fanout", "echo", "idle", "reload")

    def __init__(self, cpu, scripts=None):
        super().__init__(cpu)
        self.binary = os.environ.get("HARK_BIN")
        if not self.binary:
            raise Unavailable("HARK_BIN is not set")
        self.scripts = scripts or HERE / "scripts"

    def command(self):
        return [self.binary, "run", str(self.scripts), "--listen", "127.0.0.1:0",
                "--admin", "127.0.0.1:0", "--workers", "1"]

    def wait_ready(self):
        self.url = self.wait_line("listen ")
        self.admin = self.wait_line("admin ")


class Ws(Server):
    """npm's ws."""

    name = "ws"

    def __init__(self, cpu, packages):
        super().__init__(cpu)
        if shutil.which("node") is None:
            raise Unavailable("node is not installed")
        if not (packages / "node_modules" / "ws").is_dir():
            raise Unavailable(f"ws is not installed in {packages}")
        self.packages = packages

    def command(self):
        return ["node", str(HERE / "peers" / "ws.mjs")]

    def options(self):
        return {"env": {**os.environ, "WS_FROM": str(self.packages)}}


class External(Server):
    """Any other server with the routes of the reference, by a command that prints 'listen URL'."""

    def __init__(self, cpu, name, command):
        super().__init__(cpu)
        self.name = name
        self.words = shlex.split(command)

    def command(self):
        return self.words


class Nchan(Server):
    """Debian's nginx with nchan, as one process: no worker can outlive a killed master."""

    name = "nchan"
    kinds = ("ws", "sse")
    scenarios = ("fanout", "idle")
    module = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

    def __init__(self, cpu):
        super().__init__(cpu)
        self.binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if self.binary is None or not self.module.exists():
            raise Unavailable("nginx with nchan is not installed (nginx-light, libnginx-mod-nchan)")
        self.port = free_port()

    def command(self):
        values = {
            "MODULE": self.module, "DIR": self.dir, "PORT": self.port,
            "FILES": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        }
        text = (HERE / "peers" / "nchan.conf").read_text()
        config = self.dir / "nginx.conf"
        config.write_text(re.sub(r"@([A-Z]+)@", lambda found: str(values[found[1]]), text))
        log = self.dir / "start.log"
        return [self.binary, "-p", str(self.dir), "-e", str(log), "-c", str(config)]

    def wait_ready(self):
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self.alive():
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    self.url = f"http://127.0.0.1:{self.port}"
                    return
            time.sleep(0.05)
        raise RuntimeError(f"nchan did not start: {self.errors()}")


def free_port():
    """For a server that cannot be told to take port 0."""
    for _ in range(100):
        port = random.randint(20000, 31999)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port between 20000 and 31999")
