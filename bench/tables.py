# SPDX-License-Identifier: MIT
"""What the samples say: medians, ratios paired within one repetition, tables, and the aims."""
import json
from statistics import median

# Which reference a figure is held against: hark's CPU divided by the reference's, at most so much.
AIM_JOINED = ("ref-join", 1.10)
AIM_SINGLE = ("ref-uring", 1.10)
AIM_SINGLE_PLAIN = ("ref-send", 1.10)  # where the kernel refuses io_uring
AIM_ECHO = 0.85
AIM_IDLE_BYTES = 768
AIM_PAUSE_MS = 10


def figure(sample, name):
    """A figure of the measured phase; None when the run did not get there."""
    phases = sample.get("phases") or [{}]
    return phases[0].get(name)


def middle(samples, name):
    values = [value for value in (figure(sample, name) for sample in samples) if value is not None]
    return median(values) if values else None


def ratio(samples, reference):
    """Median of this CPU / the reference's, each pair from the same repetition."""
    name = "cpu_s_per_million"
    pairs = [(figure(a, name), figure(b, name)) for a, b in zip(samples, reference)]
    values = [a / b for a, b in pairs if a and b]
    return median(values) if values else None


def show(value, form):
    return "-" if value is None else format(value, form)


def print_table(head, rows):
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        cells = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        print("  " + "  ".join(cells).rstrip())


def load_summary(cell):
    """Medians and ratios of a cell whose servers were loaded: {server: {...}}."""
    references = [name for name in cell["samples"] if name.startswith("ref-")]
    summary = {}
    for name, samples in cell["samples"].items():
        tail = [sample["phases"][0]["latency_us"] for sample in samples if sample.get("phases")]
        summary[name] = {
            "deliveries_per_s": middle(samples, "deliveries_per_s"),
            "cpu_s_per_million": middle(samples, "cpu_s_per_million"),
            "p50_ms": median(t["p50"] for t in tail) / 1000 if tail else None,
            "p99_ms": median(t["p99"] for t in tail) / 1000 if tail else None,
            "clean": all(sample.get("clean") for sample in samples) and bool(samples),
            "cpu_to": {r: ratio(samples, cell["samples"][r]) for r in references},
        }
    return summary


def print_load(cell):
    summary = cell["summary"]
    references = [name for name in summary if name.startswith("ref-")]
    head = ["server", "deliveries/s", "CPU s/M", "p50 ms", "p99 ms"]
    head += [f"x {r}" for r in references] + ["clean"]
    rows = []
    for name, s in summary.items():
        rows.append([
            name, show(s["deliveries_per_s"], ",.0f"), show(s["cpu_s_per_million"], ".3f"),
            show(s["p50_ms"], ".2f"), show(s["p99_ms"], ".2f"),
            *(show(s["cpu_to"][r], ".2f") for r in references), "yes" if s["clean"] else "NO"])
    print_table(head, rows)
    for name, why in cell["errors"].items():
        print(f"  {name} FAILED: {why}")
    for line in aims(cell):
        print(f"  aim: {line}")
    print(flush=True)


def verdict(met):
    return "met" if met else "MISSED"


def aims(cell):
    """The figures hark is to be led by, for this cell; nothing when hark was not measured."""
    hark = cell["summary"].get("hark")
    if hark is None:
        return
    if cell["scenario"] == "echo":
        share = hark["cpu_to"].get("ref-send")
        if share:
            met = 1 / share >= AIM_ECHO
            yield f"bare echo's CPU / hark's at least {AIM_ECHO}: {1 / share:.2f} {verdict(met)}"
        return
    single = AIM_SINGLE if AIM_SINGLE[0] in cell["summary"] else AIM_SINGLE_PLAIN
    reference, most = single if cell["burst"] == 1 else AIM_JOINED
    value = hark["cpu_to"].get(reference)
    if value:
        yield f"hark's CPU / {reference}'s at most {most}: {value:.2f} {verdict(value <= most)}"
    if "uws" in cell["summary"] and cell["burst"] > 1:
        ours, theirs = hark["cpu_s_per_million"], cell["summary"]["uws"]["cpu_s_per_million"]
        if ours and theirs:
            met = verdict(ours < theirs)
            yield f"hark's CPU below uWebSockets': {ours:.3f} / {theirs:.3f} {met}"


def print_idle(cell):
    head = ["server", "bytes/session", "after a message", "RSS MiB", "clean"]
    rows = []
    for name, samples in cell["samples"].items():
        memory = samples[0]["memory"]
        rows.append([
            name, format(memory["bytes_per_session"], ",.0f"),
            format(memory["bytes_per_session_after"], ",.0f"),
            format(memory["idle"]["rss"] / 2**20, ".1f"), "yes" if samples[0]["clean"] else "NO"])
    print_table(head, rows)
    for name, why in cell["errors"].items():
        print(f"  {name} FAILED: {why}")
    if "hark" in cell["samples"]:
        used = cell["samples"]["hark"][0]["memory"]["bytes_per_session"]
        met = verdict(used <= AIM_IDLE_BYTES)
        print(f"  aim: at most {AIM_IDLE_BYTES} bytes: {used:,.0f} {met}")
        for line in cell.get("lua", []):
            print(f"  {line}")
    print(flush=True)


def print_reload(cell):
    head = ["phase", "deliveries/s", "lost", "doubled", "largest gap ms", "p99 ms", "max ms"]
    rows = []
    for name, phase in zip(("before", "during"), cell["sample"]["phases"]):
        rows.append([
            name, format(phase["deliveries_per_s"], ",.0f"), str(phase["lost"]),
            str(phase["doubled"]),
            format(phase["gap_us"] / 1000, ".2f"), format(phase["latency_us"]["p99"] / 1000, ".2f"),
            format(phase["latency_us"]["max"] / 1000, ".2f")])
    print_table(head, rows)
    print(f"  {cell['reloads']} reloads seen live, {cell['sample']['dropped']} sessions dropped")
    print(f"  aim: nothing lost, doubled or dropped: {verdict(cell['sample']['clean'])}")
    before, during = (phase["gap_us"] / 1000 for phase in cell["sample"]["phases"])
    met = verdict(during <= before + AIM_PAUSE_MS)  # `before` is the machine's own unrest
    print(f"  aim: no pause over {AIM_PAUSE_MS} ms more than before: {met}\n", flush=True)


def condense(cell):
    """A cell as it is kept: the figures of every turn, not all that the load printed."""
    if "summary" not in cell:
        return cell
    kept = {key: value for key, value in cell.items() if key not in ("samples", "summary")}
    kept["servers"] = {}
    for name, samples in cell["samples"].items():
        summary = cell["summary"][name]
        kept["servers"][name] = {
            "cpu_s_per_million": [figure(sample, "cpu_s_per_million") for sample in samples],
            "deliveries_per_s": [figure(sample, "deliveries_per_s") for sample in samples],
            "p50_ms": summary["p50_ms"], "p99_ms": summary["p99_ms"], "clean": summary["clean"],
            "cpu_to": {to: value and round(value, 3) for to, value in summary["cpu_to"].items()},
        }
    return kept


def as_json(report):
    """One line a cell, so that two runs can be compared by diff."""
    cells = ",\n".join("  " + json.dumps(cell) for cell in report["results"])
    head = json.dumps({key: value for key, value in report.items() if key != "results"}, indent=1)
    return f'{head[:-2]},\n "results": [\n{cells}\n ]\n}}\n'
