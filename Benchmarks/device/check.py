"""Checks a device against the processor and measures it; writes one Markdown report (scripts/check-device starts this).

Every part runs in a process of its own with a limit of time. The report is written again after each, so that nothing is lost
if the machine goes away. What fails, crashes or is not reached is named in the report, and the rest goes on.
"""

import argparse
import json
import os
import platform
import queue
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))

parser = argparse.ArgumentParser(prog="scripts/check-device")
parser.add_argument("--binary", required=True)
parser.add_argument("--device", help="cuda (the default), cuda:N, cpu or mps")
parser.add_argument("--report", default="device-report.md")
parser.add_argument("--seconds", type=float, default=345, help="for everything")
parser.add_argument("--only", choices=["checks", "benchmarks"])
arguments = parser.parse_args()
IS_DEVICE_GIVEN = arguments.device is not None
arguments.device = arguments.device or "cuda"

START = time.monotonic()
IS_PROCESSOR = arguments.device == "cpu"
# Benchmarks get what the checks leave, and at least this.
CHECK_SECONDS = arguments.seconds * (0.45 if arguments.only is None else 1)


def left():
    return arguments.seconds - (time.monotonic() - START)


# ---- Processes ----


def objects(stream, sink):
    """Puts every JSON object of a stream into a queue, and None at its end."""
    decoder, text = json.JSONDecoder(), ""
    for line in stream:
        text += line
        # Objects end at a line that is a brace alone, or are whole lines.
        if not line.rstrip().endswith("}"):
            continue
        try:
            value, end = decoder.raw_decode(text.lstrip())
        except ValueError:
            continue
        text = text.lstrip()[end:]
        sink.put(value)
    sink.put(None)


class Process:
    """A process whose standard output is JSON objects."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.queue, self.errors = queue.Queue(), []
        threading.Thread(target=objects, args=(self.process.stdout, self.queue), daemon=True).start()
        self.reader = threading.Thread(target=self.read_errors, daemon=True)
        self.reader.start()

    def read_errors(self):
        for line in self.process.stderr:
            self.errors = self.errors[-20:] + [line.rstrip()]

    def next(self, seconds):
        """The next object; None at the end; TimeoutError."""
        try:
            return self.queue.get(timeout=max(seconds, 0.01))
        except queue.Empty:
            self.kill()
            raise TimeoutError from None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def ended(self):
        """The exit code as words, with the last words of the process."""
        code = self.process.wait()
        self.reader.join(timeout=2)
        # Usage follows the error of a command line.
        lines = [line for line in self.errors if line]
        last = next((line for line in reversed(lines) if line.lower().startswith("error")), lines[-1] if lines else "")[:300]
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        return how + (f": {last}" if last else "")


def run(command, seconds):
    """All JSON objects of a command, and a problem or None."""
    seconds = min(seconds, left())
    if seconds <= 1:
        return [], "not reached"
    end = time.monotonic() + seconds
    process, values = Process(command), []
    while True:
        try:
            value = process.next(end - time.monotonic())
        except TimeoutError:
            return values, f"stopped after {seconds:.0f} s"
        if value is None:
            code = process.process.wait()
            return values, None if code == 0 else process.ended()
        values.append(value)


def retnet(*words, seconds=60):
    return run([arguments.binary, *map(str, words)], seconds)


def words_of(command, seconds=20):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


# ---- The report ----

SECTIONS = {}


def report(title, text):
    SECTIONS[title] = text
    lines = [f"# {'Rehearsal of the device checks on the processor' if IS_PROCESSOR else 'Device report'}", ""]
    for name, body in SECTIONS.items():
        lines += [f"## {name}", "", body.rstrip(), ""]
    with open(arguments.report + ".part", "w") as file:
        file.write("\n".join(lines))
    os.replace(arguments.report + ".part", arguments.report)


def table(header, rows):
    return "\n".join(
        ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
        + ["| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    )


# ---- Parts ----


def facts():
    doctor, problem = retnet("doctor", "--json", seconds=60)
    rows = [["date", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())], ["system", platform.platform()]]
    gpu = "" if IS_PROCESSOR else words_of(
        ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,clocks.max.sm", "--format=csv,noheader"])
    rows.append(["GPU", gpu or "none"])
    if doctor:
        found = doctor[0]
        rows += [
            ["retnet", found["version"]],
            ["LibTorch", f"{found['libtorch']['loaded']} (built against {found['libtorch']['built']})"],
            ["processor", f"{found['cpu']['cores']} cores, {found['cpu']['capability']}"],
        ]
        rows += [[f"device {d['name']}", "works" if d["works"] else d["problem"]] for d in found["devices"]]
        kernels = found.get("cuda_kernels", {})
        if kernels:
            rows.append(["kernels on CUDA devices", kernels["problem"] or f"usable, kept in {kernels['cache'] or 'memory'}"])
        rows += [[f"operator {o['name']}", ", ".join(o["types"]) or o["otherwise"]] for o in kernels.get("operators", [])]
    if problem:
        rows.append(["doctor", problem])
    peers, _ = run([sys.executable, os.path.join(HERE, "peers.py"), "versions"], 60)
    rows += [[name, version] for name, version in (peers[0] if peers else {"PyTorch": "not here"}).items()]
    name = arguments.device.split(":")[0]
    reason = next((d["problem"] for d in doctor[0]["devices"] if d["name"] == name and not d["works"]), None) if doctor else problem
    if reason and not IS_DEVICE_GIVEN:
        print(f"Skipped: there is no usable device '{arguments.device}' here: {reason}")
        sys.exit(0)
    report("Machine", table(["what", "found"], rows))


def checks():
    """All checks of `retnet check-device`. A process that dies or hangs is started again behind the check that it was at."""
    end = time.monotonic() + min(CHECK_SECONDS, left())
    done, failed, after = [], [], None
    problem = "nothing was reached"
    while time.monotonic() < end:
        command = [arguments.binary, "check-device", "--device", arguments.device, "--json"]
        process = Process(command + (["--after", after] if after else []))
        current, crashed, begun = None, None, False
        while True:
            try:
                # A check takes seconds; one that takes a minute hangs.
                value = process.next(min(60, end - time.monotonic()))
            except TimeoutError:
                crashed = "no result in time"
                break
            if value is None:
                # 1 is that of failed checks, too.
                if current or process.process.wait() not in ((0, 1) if begun else (0,)):
                    crashed = process.ended()
                break
            if "begins" in value:
                current, begun = value, True
            else:
                done.append(value)
                current = None
            show_checks(done, failed, None)
        if crashed is None:
            problem = None
            break
        if current is None:
            problem = crashed
            break
        failed.append({"name": current["begins"], "group": current["group"], "note": crashed})
        after = current["begins"]
        problem = f"not reached: the checks behind '{after}'"
    show_checks(done, failed, problem)
    return all(c["passed"] for c in done) and not failed and problem is None


def show_checks(done, failed, problem):
    bad = [c for c in done if not c["passed"]]
    lines = [f"{len(done) - len(bad)} passed, {len(bad) + len(failed)} failed"
             f" ({time.monotonic() - START:.0f} s after the start)."]
    if problem:
        lines.append(f"**Incomplete**: {problem}.")
    rows = [[f"**{c['group']}: {c['name']}**", "died", "", c["note"]] for c in failed]
    rows += [[f"**{c['group']}: {c['name']}**", number(c["value"]), number(c["limit"]), c["note"]] for c in bad]
    if rows:
        lines += ["", table(["failed", "found", "bound", "note"], rows)]
    good = [c for c in done if c["passed"]]
    if good:
        lines += ["", table(
            ["passed", "found", "bound", "seconds", "note"],
            [[f"{c['group']}: {c['name']}", number(c["value"]), number(c["limit"]), f"{c['seconds']:.1f}", c["note"]]
             for c in good])]
    report("Checks against the processor", "\n".join(lines))


def number(value):
    return "" if value is None else f"{value:.1e}"


def milliseconds(seconds):
    return "" if seconds is None else f"{seconds * 1e3:.2f}"


def retention(key, value):
    """The operator alone beside PyTorch and fla."""
    title = f"Retention alone, keys of {key}, values of {value}"
    lengths = [256, 1024] if IS_PROCESSOR else [2048, 8192, 16384, 65536, 131072]
    batch, heads = (1, 2) if IS_PROCESSOR else (4, 8)
    rows = {length: {} for length in lengths}
    notes = []

    def show():
        names = ["retnet", "fla chunk_retention", "FlashAttention (PyTorch)", "PyTorch chunkwise"]
        body = [f"B {batch}, H {heads}, {'float32' if IS_PROCESSOR else 'bfloat16'}; milliseconds, forward and forward with"
                " backward; medians."]
        body += [table(["T"] + names, [
            [f"{length:,}"] + [" / ".join(rows[length][n]) if n in rows[length] else "" for n in names]
            for length in lengths])]
        report(title, "\n\n".join(body + notes))

    def take(name, found, problem, forward, both):
        for one in found:
            if one["length"] in rows:
                rows[one["length"]][name] = [milliseconds(one.get(forward)), milliseconds(one.get(both))]
        if problem:
            notes.append(f"{name}: {problem}")
        show()

    words = ["--device", arguments.device, "--batch", batch, "--heads", heads, "--key-size", key, "--value-size", value,
             "--repetitions", 5, "--json"] + (["--dtype", "float32"] if IS_PROCESSOR else [])
    found, problem = retnet("bench", "retention", "--length", ",".join(map(str, lengths)), *words, seconds=45)
    take("retnet", found, problem, "forward_seconds_median", "seconds_median")
    for name, form in [("fla chunk_retention", "fla"), ("FlashAttention (PyTorch)", "attention"),
                       ("PyTorch chunkwise", "chunkwise")]:
        found, problem = run(
            [sys.executable, os.path.join(HERE, "peers.py"), form, "--device", arguments.device, "--batch", str(batch),
             "--heads", str(heads), "--key", str(key), "--value", str(value), "--lengths", ",".join(map(str, lengths))], 35)
        take(name, found, problem, "forward", "both")


def figures(title, header, units):
    """Runs commands one after the other; each unit is a name, words, and a function from its result to cells."""
    rows = []
    for name, words, seconds, cells in units:
        found, problem = retnet(*words, seconds=seconds)
        rows.append([name] + (cells(found[0]) if found and not problem else [problem or "no result"]))
        rows[-1] += [""] * (len(header) - len(rows[-1]))
        report(title, table(header, rows))


def training():
    preset, batch, length = ("retnet-1m", 2, 128) if IS_PROCESSOR else ("retnet-1.3b", 4, 2048)
    peak = 790e12

    def cells(f):
        rate = f["flops_per_second"]
        return [milliseconds(f["seconds_median"]), f"{f['tokens_per_second']:,.0f}", f"{rate / 1e12:.1f}",
                "" if IS_PROCESSOR else f"{100 * rate / peak:.0f} %", f"{f.get('device_peak_bytes', f['peak_bytes']) / 1e9:.1f}"]

    header = ["model", "ms per step", "tokens/s", "TFLOP/s", "of 790 TFLOP/s", "peak GB"]
    common = ["--batch", batch, "--length", length, "--device", arguments.device, "--steps-only", "--repetitions", 3, "--json"]
    figures(f"Training step, {batch} × {length:,} tokens", header, [
        (preset, ["bench", "train", "--preset", preset, *common], 60, cells)])


def decoding():
    preset = "retnet-1m" if IS_PROCESSOR else "retnet-1.3b"
    # Of the vendor: H200 4.8 TB/s, H100 3.35 TB/s.
    name = words_of(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"])
    bandwidth = 4.8e12 if "H200" in name else 3.35e12

    def cells(f):
        r = f["results"][0]
        rate = (f["weight_bytes_per_step"] + 2 * r["state_bytes"]) / r["seconds_median"]
        return [milliseconds(r["seconds_median"]), f"{r['tokens_per_second']:,.0f}", f"{rate / 1e12:.2f}",
                "" if IS_PROCESSOR else f"{100 * rate / bandwidth:.0f} %"]

    units = []
    for batch in [1, 64]:
        units.append((f"{preset}, batch {batch}", [
            "bench", "decode", "--preset", preset, "--batch", batch, "--positions", 2048, "--max-tokens", 20, "--repetitions", 2,
            "--engine", "libtorch", "--device", arguments.device, "--json"], 40, cells))
    figures("Generation, position 2,048", ["model", "ms per token", "tokens/s", "TB/s", f"of {bandwidth / 1e12} TB/s"], units)


def headline():
    """RetNet's headline: 6.7B at 8k beside the Transformer, one device."""
    sizes = [("retnet-1m", 64), ("transformer-1m", 64)] if IS_PROCESSOR else [("retnet-6.7b", 8192), ("transformer-6.7b", 8192)]

    def cells(f):
        r = f["results"][0]
        return [milliseconds(r["seconds_median"]), f"{r['tokens_per_second']:,.0f}", f"{r['state_bytes'] / 1e9:.2f}",
                f"{f.get('device_peak_bytes', f['peak_bytes']) / 1e9:.1f}"]

    units = []
    for batch in [1] if IS_PROCESSOR else [8, 1]:
        for preset, position in sizes:
            units.append((f"{preset}, batch {batch}", [
                "bench", "decode", "--preset", preset, "--batch", batch, "--positions", position, "--max-tokens", 10,
                "--repetitions", 2, "--engine", "libtorch", "--device", arguments.device, "--json"], 45, cells))
    figures(f"Generation at position {sizes[0][1]:,}", ["model", "ms per step", "tokens/s", "GB of states", "peak GB"], units)


def main():
    facts()
    passed = True
    if arguments.only != "benchmarks":
        passed = checks()
    if arguments.only != "checks":
        for part in [lambda: retention(256, 512), training, decoding, lambda: retention(256, 256), headline]:
            part()
    missing = [name for name, text in SECTIONS.items() if "not reached" in text]
    ending = f"Everything took {time.monotonic() - START:.0f} s of {arguments.seconds:.0f} s."
    if missing:
        ending += " Not everything was reached: " + ", ".join(missing) + "."
    report("Time", ending)
    print(open(arguments.report).read())
    sys.exit(0 if passed else 1)


main()
