# SPDX-License-Identifier: MIT
"""Runs the scenarios of the bench against the bare reference, hark and its peers, interleaved.

  bench/run.sh [fanout] [echo] [idle] [reload] [options]     builds first, then runs this file

Every figure is a ratio against the bare reference of the same run: servers take turns, and a ratio
is the median of pairs from one turn. Everything that was started is ended, also after an error.
"""
import argparse
import datetime
import json
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import servers
import tables

SCENARIOS = ("fanout", "echo", "idle", "reload")
FORMS = ("send", "join", "uring", "uring-join")
NAMES = (*(f"ref-{form}" for form in FORMS), "hark", "nchan", "ws")
SHAPES = ("1x1000", "1x10000", "1000x10")  # channels x subscribers of each
LOAD_SECONDS = 150  # no single load takes longer
IDLE_SESSIONS = 10000
RELOAD_SESSIONS, RELOAD_CHANNELS, RELOAD_RATE = 15000, 1500, 1000
RELOADS = 5


def parse(argv):
    parser = argparse.ArgumentParser(prog="bench/run.sh", description=__doc__.splitlines()[0])
    parser.add_argument("scenarios", nargs="*", metavar="scenario",
                        help=f"{', '.join(SCENARIOS)} (all)")
    parser.add_argument("--build", type=Path, required=True, help="directory of the built programs")
    parser.add_argument("--peers", type=Path, required=True,
                        help="directory whose node_modules holds ws")
    parser.add_argument("--servers", default=",".join(NAMES), help="which to measure (all)")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND",
                        help="one more server: a command that prints 'listen URL' (see README.md)")
    parser.add_argument("--kinds", default="ws,sse", help="of fanout and idle (ws,sse)")
    parser.add_argument("--shapes", default=",".join(SHAPES),
                        help="of fanout: channels x subscribers of each")
    parser.add_argument("--bursts", default="1,4,16", help="of fanout: messages a round (1,4,16)")
    parser.add_argument("--repeat", type=int, default=3, help="turns of each server (3)")
    parser.add_argument("--seconds", type=float, default=1.5, help="measured in a turn (1.5)")
    parser.add_argument("--quick", action="store_true", help="one shape, bursts 1 and 16, ws")
    parser.add_argument("--no-pin", action="store_true", help="let the scheduler place processes")
    parser.add_argument("--out", type=Path, help="file for all samples as JSON")
    options = parser.parse_args(argv)
    if options.quick:
        options.kinds, options.shapes, options.bursts = "ws", "1x1000", "1,16"
    options.external = dict(peer.partition("=")[::2] for peer in options.peer)
    options.scenarios = options.scenarios or list(SCENARIOS)
    check(parser, "scenario", options.scenarios, SCENARIOS)
    for name, allowed in (("servers", NAMES), ("kinds", ("ws", "sse"))):
        setattr(options, name, getattr(options, name).split(","))
        check(parser, name, getattr(options, name), allowed)
    options.servers += options.external
    if not re.fullmatch(r"\d+x\d+(,\d+x\d+)*", options.shapes):
        parser.error(f"--shapes {options.shapes}: CHANNELSxSUBSCRIBERS, with commas between")
    if not re.fullmatch(r"\d+(,\d+)*", options.bursts):
        parser.error(f"--bursts {options.bursts}: numbers with commas between")
    options.shapes = [tuple(map(int, shape.split("x"))) for shape in options.shapes.split(",")]
    options.bursts = list(map(int, options.bursts.split(",")))
    pin = not options.no_pin and len(os.sched_getaffinity(0)) > 1
    cpus = sorted(os.sched_getaffinity(0))[:2] if pin else (None, None)
    options.server_cpu, options.load_cpu = cpus
    return options


def check(parser, what, values, allowed):
    for value in values:
        if value not in allowed:
            parser.error(f"{what} {value}: one of {', '.join(allowed)}")


def make(name, options):
    if name.startswith("ref-"):
        return servers.Reference(options.server_cpu, options.build, name[4:])
    if name == "ws":
        return servers.Ws(options.server_cpu, options.peers)
    if name in options.external:
        return servers.External(options.server_cpu, name, options.external[name])
    return {"hark": servers.Hark, "nchan": servers.Nchan}[name](options.server_cpu)


def available(options, scenario, kind):
    """Names of the servers that can take part, of those that were asked for."""
    classes = {"hark": servers.Hark, "ws": servers.Ws, "nchan": servers.Nchan}
    names = []
    for name in options.servers:
        cls = classes.get(name, servers.External if name in options.external else servers.Reference)
        if name in options.missing or scenario not in cls.scenarios or kind not in cls.kinds:
            continue
        if cls is servers.Reference and scenario != "fanout" and name != "ref-send":
            continue  # the forms differ in nothing but broadcasting
        names.append(name)
    return names


def find_missing(options):
    """What cannot be measured here, and why: not installed, or no io_uring in this kernel."""
    missing = {}
    for name in options.servers:
        try:
            server = make(name, options)
            try:
                if name.startswith("ref-uring"):
                    server.start()
            finally:
                server.stop()
        except (servers.Unavailable, RuntimeError) as why:
            missing[name] = str(why)
            print(f"skipped: {name}: {why}")
    if "uws" not in options.external:
        print("skipped: uws: uWebSockets is not in Debian or on npm; --peer uws=COMMAND adds it")
    return missing


class Load:
    """One bench-load process; `events` come on its stderr, the result on its stdout."""

    def __init__(self, options, server, arguments):
        command = [str(options.build / "bench-load"), "--url", server.url]
        for pid in server.pids:
            command += ["--pid", str(pid)]
        self.process = subprocess.Popen(
            command + [str(a) for a in arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, preexec_fn=servers.child_setup(options.load_cpu))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def wait_event(self, name):
        for line in self.process.stderr:
            if line.strip() == f"event {name}":
                return
        raise RuntimeError(f"the load ended before '{name}'")

    def result(self):
        out, errors = self.process.communicate(timeout=LOAD_SECONDS)
        if self.process.returncode not in (0, 3):
            said = [line for line in errors.splitlines() if not line.startswith("event ")]
            raise RuntimeError("; ".join(said) or f"load ended with {self.process.returncode}")
        return json.loads(out)


def load_once(options, server, arguments):
    with Load(options, server, arguments) as load:
        return load.result()


def take_turns(options, cell, names, arguments):
    """Fills the cell: every server in turn, forth and back, `repeat` times."""
    cell["samples"], cell["errors"] = {name: [] for name in names}, {}
    with ExitStack() as stack:
        running = {}
        for name in names:
            server = make(name, options)
            stack.callback(server.stop)
            try:
                running[name] = server.start()
            except RuntimeError as why:
                cell["errors"][name] = str(why)
        for turn in range(options.repeat):
            for name in list(running)[:: 1 if turn % 2 == 0 else -1]:
                try:
                    cell["samples"][name].append(load_once(options, running[name], arguments))
                except (RuntimeError, subprocess.TimeoutExpired) as why:
                    cell["errors"][name] = str(why)
                    del running[name]
    for name in cell["errors"]:
        del cell["samples"][name]
    cell["summary"] = tables.load_summary(cell)
    tables.print_load(cell)
    return cell


def run_fanout(options):
    for kind in options.kinds:
        for channels, each in options.shapes:
            for burst in options.bursts:
                names = available(options, "fanout", kind)
                print(f"fanout {kind}, {channels} x {each} subscribers, burst of {burst}")
                yield take_turns(
                    options,
                    {"scenario": "fanout", "kind": kind, "channels": channels, "each": each,
                     "burst": burst},
                    names,
                    ["--kind", kind, "--channels", channels, "--subscribers", channels * each,
                     "--burst", burst, "--seconds", options.seconds])


def run_echo(options):
    for connections in (100, 1000):
        print(f"echo ws, {connections} connections, one message in flight on each")
        yield take_turns(
            options,
            {"scenario": "echo", "kind": "ws", "connections": connections},
            available(options, "echo", "ws"),
            ["--scenario", "echo", "--path", "/echo", "--subscribers", connections,
             "--seconds", options.seconds])


def fetch(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def lua_bytes(server):
    """Hark's own account of its Lua memory, to be told apart from the engine's."""
    try:
        metrics = fetch(f"{server.admin}/metrics")
    except (OSError, urllib.error.URLError) as why:
        return [f"no metrics: {why}"]
    return [line for line in metrics.splitlines() if re.match(r"\w*lua\w*(bytes|memory)", line)]


def run_idle(options):
    for kind in options.kinds:
        print(f"idle {kind}, {IDLE_SESSIONS} sessions in one channel, private dirty memory")
        cell = {"scenario": "idle", "kind": kind, "samples": {}, "errors": {}}
        for name in available(options, "idle", kind):
            server = make(name, options)
            try:
                server.start()
                arguments = ["--scenario", "idle", "--kind", kind, "--subscribers", IDLE_SESSIONS]
                with Load(options, server, arguments) as load:
                    load.wait_event("idle")
                    if server.admin:
                        cell["lua"] = lua_bytes(server)
                    cell["samples"][name] = [load.result()]
            except (RuntimeError, subprocess.TimeoutExpired) as why:
                cell["errors"][name] = str(why)
            finally:
                server.stop()
        tables.print_idle(cell)
        yield cell


def rewrite(script, version):
    """A new generation of the script, by an atomic rename, as an editor saves."""
    text = re.sub(r'(VERSION <const> = )"\d+"', rf'\1"{version}"', script.read_text())
    fresh = script.with_suffix(".tmp")
    fresh.write_text(text)
    fresh.rename(script)


def wait_version(server, version):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if fetch(f"{server.url}/version").strip() == str(version):
            return True
        time.sleep(0.05)
    return False


def run_reload(options):
    if "hark" not in available(options, "reload", "ws"):
        return
    print(f"reload: {RELOAD_SESSIONS} sessions in {RELOAD_CHANNELS} channels, "
          f"{RELOAD_RATE} messages a second")
    seconds = 4 + 2 * RELOADS
    with ExitStack() as stack:
        scripts = Path(tempfile.mkdtemp(prefix="hark-bench-scripts-"))
        stack.callback(shutil.rmtree, scripts, ignore_errors=True)
        script = scripts / "fanout.lua"
        shutil.copy(servers.HERE / "scripts" / "fanout.lua", script)
        server = servers.Hark(options.server_cpu, scripts)
        stack.callback(server.stop)
        server.start()
        load = stack.enter_context(Load(options, server, [
            "--subscribers", RELOAD_SESSIONS, "--channels", RELOAD_CHANNELS, "--rate", RELOAD_RATE,
            "--seconds", seconds]))
        load.wait_event("measuring")
        time.sleep(4)  # the measured time before: there is no event to wait for
        load.process.send_signal(signal.SIGUSR1)
        live = 0
        for version in range(1, RELOADS + 1):
            rewrite(script, version)
            live += wait_version(server, version)
        cell = {"scenario": "reload", "reloads": live, "sample": load.result()}
    tables.print_reload(cell)
    yield cell


def said(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return None
    return (done.stdout or done.stderr).strip() or None


def machine(options):
    """Facts without which a figure means nothing."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    package = options.peers / "node_modules" / "ws" / "package.json"
    return {
        "cpu": model[1] if model else platform.machine(),
        "cpus": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "kernel": platform.release(),
        "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        "congestion_control": Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip(),
        "pinned": options.server_cpu is not None,
        "node": said("node", "--version"),
        "nginx": said("nginx", "-v"),
        "ws": json.loads(package.read_text())["version"] if package.exists() else None,
        "commit": said("git", "-C", str(servers.HERE), "rev-parse", "--short", "HEAD"),
    }


def command_line():
    """What a person typed, without directories, which mean nothing elsewhere."""
    words, rest = [], iter(sys.argv[1:])
    for word in rest:
        if word in ("--build", "--peers", "--out", "--peer"):
            next(rest, None)
        else:
            words.append(word)
    return " ".join(["bench/run.sh", *words])


def main():
    options = parse(sys.argv[1:])
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))  # so that everything is ended on the way out
    options.missing = find_missing(options)
    report = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": command_line(),
        "machine": machine(options), "skipped": options.missing,
        "external": sorted(options.external),
        "load_average": [os.getloadavg()[0]], "results": [],
    }
    runners = {"fanout": run_fanout, "echo": run_echo, "idle": run_idle, "reload": run_reload}
    for scenario in options.scenarios:
        report["results"] += map(tables.condense, runners[scenario](options))
    report["load_average"].append(os.getloadavg()[0])
    if options.out:
        options.out.write_text(tables.as_json(report))
    return 1 if any(cell.get("errors") for cell in report["results"]) else 0


if __name__ == "__main__":
    sys.exit(main())
