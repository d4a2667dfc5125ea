#!/usr/bin/python3
"""Paired rounds of `weir bench fanout` (decisions.md 33): in each round A, then B, then A again, one right behind the other.

    bench/paired.py [--rounds 9] A-OPTIONS -- B-OPTIONS
    bench/paired.py --peer nats|gather|broadcast|BUILD/bench/beast_fanout A-OPTIONS -- B-OPTIONS    B is that server (bench/peers), not weir
    bench/paired.py --connections 1000 --rate 500 --seconds 5 -- --slow 100

Options before `--` are of both, those behind it of B alone; with --peer each has its own. Printed for each figure: the medians, the median of the paired
ratios B/A with its quartiles, and that of the control A/A. Where the control's quartiles are more than 5 % apart, the ratio is an interval and no claim.
WEIR_BINARY names the binary (default build/weir)."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WEIR = os.environ.get("WEIR_BINARY", str(ROOT / "build" / "weir"))
FIGURES = ["p50_ms", "p99_ms", "server_cpu_ns_per_delivery", "deliveries_per_second", "deliveries_per_send", "memory_grown_bytes"]
# What starts a peer, and what its subscribers say first.
PEERS = {"nats": ([sys.executable, "bench/peers/nats.py"], ["--hello", r'CONNECT {"verbose":false}\r\nSUB bench 1\r\nPING\r\n']),
         "gather": ([sys.executable, "bench/peers/gather.py", "gather"], []), "broadcast": ([sys.executable, "bench/peers/gather.py", "broadcast"], [])}


def run(options, before=()):
    done = subprocess.run([*before, WEIR, "bench", "fanout", "--json", *options], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(options)}: {done.stderr}")
    return json.loads(done.stdout)


def run_peer(name, options):
    command, hello = PEERS.get(name, ([os.path.abspath(name)], []))
    pinned = "--pin" in options  # as the own server: the first processor is the peer's, the others are the subscribers'
    options = [o for o in options if o != "--pin"]
    on_first, on_others = (["taskset", "-c", "0"], ["taskset", "-c", f"1-{os.cpu_count() - 1}"]) if pinned and os.cpu_count() > 1 else ([], [])
    peer = subprocess.Popen([*on_first, *command], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        websocket, http, pid = peer.stdout.readline().split()
        return run(["--url", f"ws://127.0.0.1:{websocket}", "--path", "/", "--publish-url", f"http://127.0.0.1:{http}/", "--server-pid", pid, *hello, *options], on_others)
    finally:
        peer.terminate()
        peer.wait()


def quartiles(values):
    return statistics.quantiles(values, n=4) if len(values) > 1 else values * 3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--peer")
    arguments, left = parser.parse_known_args()
    at = left.index("--") if "--" in left else len(left)
    a, b = left[:at], left[at + 1:]
    rounds = []
    for n in range(arguments.rounds):
        rounds.append([run(a), run_peer(arguments.peer, b) if arguments.peer else run(a + b), run(a)])
        print(f"round {n + 1}: p99 {' '.join(str(one['p99_ms']) for one in rounds[-1])} ms, {' '.join(format(one['server_cpu_ns_per_delivery'], '.0f') for one in rounds[-1])} ns", file=sys.stderr)
    print(f"A: {' '.join(a)}\nB: {arguments.peer or 'and'} {' '.join(b)}\n{arguments.rounds} rounds, {rounds[0][0]['machine']}")
    print("| figure | A | B | B/A | control A/A |\n|---|---|---|---|---|")
    for figure in FIGURES:
        of = [[one.get(figure) or 0 for one in three] for three in rounds]
        text = f"| {figure} | {statistics.median(x[0] for x in of):.6g} | {statistics.median(x[1] for x in of):.6g} |"
        if all(x[0] > 0 and x[2] > 0 for x in of):
            for ratios in ([x[1] / x[0] for x in of], [x[2] / x[0] for x in of]):
                low, middle, high = quartiles(ratios)
                text += f" {middle:.3g} ({low:.3g} to {high:.3g}) |"
        print(text if text.count("|") > 4 else text + " - | - |")
    lost = sum(one["missing"] + one["duplicates"] + one["lost"] for three in rounds for one in three)
    print(f"missing, repeated or dropped in all rounds: {lost}")


if __name__ == "__main__":
    main()
