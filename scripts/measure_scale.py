#!/usr/bin/env python3
"""Rate and memory of `umid audit` over the length of a run.

Writes a list of different made-up names of two parts, audits them with a given binary, and
watches the process from outside: lines of results.jsonl, VmRSS and VmHWM of /proc/PID/status
(Linux only). Prints a Markdown table with one row per mark: names done, names per second since the
mark before, resident memory there, and the process' peak at its end, which includes the report.

Needs nothing but Python's standard library. What follows `--` goes to `umid audit`:

    scripts/measure_scale.py --umid target/release/umid --marks 1000 10000 100000 -- \\
        --model datasets/zoo/demo --restarts 0 --siblings 4 --reference names:100 --no-cache
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONSONANTS = "bcdfgklmnprstvz"
VOWELS = "aeiou"
SYLLABLES = len(CONSONANTS) * len(VOWELS)
# Parts of three syllables: 75^3 of them.
PART_SYLLABLES = 3
# First parts, and as many last parts.
PARTS = 1000
# Coprime to 75^3, so that neighbours in the list differ in every syllable.
STRIDE = 100_003


def part(number):
    """A word of three syllables; different numbers below 75^3 give different words."""
    number = number * STRIDE % SYLLABLES**PART_SYLLABLES
    word = ""
    for _ in range(PART_SYLLABLES):
        number, syllable = divmod(number, SYLLABLES)
        word += CONSONANTS[syllable // len(VOWELS)] + VOWELS[syllable % len(VOWELS)]
    return word.capitalize()


def write_names(path, count):
    """Writes `count` different names, one per line; neighbours share neither part."""
    with path.open("w", encoding="utf-8") as file:
        for i in range(count):
            file.write(f"{part(i % PARTS)} {part(PARTS + (i + i // PARTS) % PARTS)}\n")


def memory_mib(pid):
    """Resident and peak memory of a process; None once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith("Vm")}
    if "VmRSS" not in kib:
        return None
    return kib["VmRSS"] / 1024, kib["VmHWM"] / 1024


class LineCounter:
    """Counts the lines of a growing file, reading each byte once."""

    def __init__(self, path):
        self.path = path
        self.read = 0
        self.lines = 0

    def count(self):
        if not self.path.exists():
            return 0
        with self.path.open("rb") as file:
            file.seek(self.read)
            while block := file.read(1 << 20):
                self.read += len(block)
                self.lines += block.count(b"\n")
        return self.lines


def watch(process, results, marks, interval_s):
    """Rows of the table, and the peak in MiB."""
    counter = LineCounter(results)
    rows, peak, before = [], 0.0, None
    marks = list(marks)
    while process.poll() is None:
        done, memory, now = counter.count(), memory_mib(process.pid), time.monotonic()
        if memory is not None:
            peak = max(peak, memory[1])
            if done > 0 and before is None:
                # The time before the first record is the reference's.
                before = (done, now)
            while marks and done >= marks[0] and before is not None:
                rows.append((done, rate(before, done, now), memory[0]))
                before = (done, now)
                marks.pop(0)
        time.sleep(interval_s)
    return rows, peak


def rate(before, done, now):
    """Names per second since `before`; None if no name was done in between."""
    names, seconds = done - before[0], now - before[1]
    return names / seconds if names > 0 and seconds > 0 else None


def arguments():
    summary, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [options] -- --model DIR [options of umid audit]",
    )
    parser.add_argument("--umid", default="target/release/umid", help="the binary [%(default)s]")
    parser.add_argument(
        "--marks",
        type=int,
        nargs="+",
        default=[1_000, 10_000, 100_000],
        metavar="N",
        help="numbers of names at which a row is taken; the list has as many as the largest "
        "[1000 10000 100000]",
    )
    parser.add_argument(
        "--dir",
        type=Path,
        help="keep the list and the run here instead of in a temporary directory; a run that is "
        "there is resumed",
    )
    parser.add_argument(
        "--interval", type=float, default=0.05, metavar="S", help="seconds between two looks [0.05]"
    )
    # What is not known here is umid's, with or without the `--` before it.
    own = sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    options = parser.parse_args(own)
    if min(options.marks) < 1 or max(options.marks) > PARTS**2:
        parser.error(f"marks are numbers of names from 1 to {PARTS**2}")
    options.audit = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    if "--model" not in options.audit:
        parser.error("give --model and other options of `umid audit` after --")
    options.marks = sorted(set(options.marks))
    return options


def measure(options, directory):
    names, out = directory / "names.txt", directory / "run"
    write_names(names, options.marks[-1])
    command = [options.umid, "audit", "--queries", str(names), "--out", str(out), "--quiet"]
    load = os.getloadavg()[0]
    started = time.monotonic()
    with subprocess.Popen(command + options.audit, stdout=subprocess.DEVNULL) as process:
        rows, peak = watch(process, out / "results.jsonl", options.marks, options.interval)
    if process.returncode not in (0, 1):
        sys.exit(f"umid ended with exit code {process.returncode}; its message is above")
    print("| names done | names per second since the last mark | resident MiB |")
    print("| ---: | ---: | ---: |")
    for done, names_a_second, resident in rows:
        shown = "-" if names_a_second is None else f"{names_a_second:.1f}"
        print(f"| {done} | {shown} | {resident:.0f} |")
    seconds = time.monotonic() - started
    print(f"\npeak {peak:.0f} MiB, {seconds:.0f} s in all; load average before: {load:.1f}")
    done = {row[0] for row in rows}
    if len(done) < len(options.marks):
        print("marks that passed between two looks have no row of their own; lower --interval")


def main():
    options = arguments()
    if options.dir is not None:
        options.dir.mkdir(parents=True, exist_ok=True)
        measure(options, options.dir)
        return
    with tempfile.TemporaryDirectory() as directory:
        measure(options, Path(directory))


if __name__ == "__main__":
    main()
