"""Simulates what docs/scaling.md works out on paper: how many manifests a second N replicas put on one PostgreSQL.

    scale.py [--way-ms 0.3] [--rounds 7] [--statement-us 40] [--flush-ms 1.0] [--cpu-us 500] [--cores 2] [--seconds 20]

Assumed: clients enough to keep all busy, spread evenly; each replica has one writer that takes all that wait (128 at most) as one
transaction; transactions of all replicas follow each other, first come first served (the row of `commits`); an operation in one is
`rounds` ways to the server and back and `statement-us` of work there for each, the beginning is one way, the end another and a
flush; before it is answered an operation takes `cpu-us` of one of its replica's `cores`. Not modelled: PostgreSQL running out of
cores, time-outs, what else is asked.
"""

import argparse
import heapq

GROUP_MAX = 128


def simulate(replicas, settings):
    """Operations a second, the mean group, and the share of time in which somebody held the row."""
    way, statement, flush, cpu = (
        settings.way_ms / 1e3,
        settings.statement_us / 1e6,
        settings.flush_ms / 1e3,
        settings.cpu_us / 1e6,
    )
    clients = 64 * replicas
    events, order = [], 0
    waiting = [0] * replicas  # operations at each writer
    free_at = [[0.0] * settings.cores for _ in range(replicas)]
    asked = [False] * replicas  # a writer stands in the queue of the row
    queue, held = [], False
    done = groups = 0
    busy = 0.0

    def at(when, kind, replica, count):
        nonlocal order
        order += 1
        heapq.heappush(events, (when, order, kind, replica, count))

    def work(now, replica):
        """One more operation begins: it takes its turn on a core, and then waits for the writer."""
        core = min(range(settings.cores), key=lambda core: free_at[replica][core])
        free_at[replica][core] = max(now, free_at[replica][core]) + cpu
        at(free_at[replica][core], "ready", replica, 1)

    def begin(now):
        nonlocal held, busy
        if held or not queue:
            return
        replica = queue.pop(0)
        held = True
        count = min(waiting[replica], GROUP_MAX)
        waiting[replica] -= count
        # The row is given, then the rounds, then the end and its flush; the way of the beginning was waited for outside.
        lasts = way / 2 + count * settings.rounds * (way + statement) + way / 2 + flush
        busy += lasts
        at(now + lasts, "ended", replica, count)

    for client in range(clients):
        work(0.0, client % replicas)
    now = 0.0
    while events:
        now, _, kind, replica, count = heapq.heappop(events)
        if now > settings.seconds:
            break
        if kind == "ready":
            waiting[replica] += 1
        elif kind == "ended":
            held = False
            asked[replica] = False
            done += count
            groups += 1
            for _ in range(count):
                work(now + way / 2, replica)
        elif kind == "ask":
            queue.append(replica)
        if waiting[replica] and not asked[replica]:
            asked[replica] = True
            at(now + way / 2, "ask", replica, 0)
        begin(now)
    return done / now, done / max(groups, 1), busy / now


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way-ms", type=float, default=0.3, help="to the server and back")
    parser.add_argument("--rounds", type=float, default=7)
    parser.add_argument("--statement-us", type=float, default=40)
    parser.add_argument("--flush-ms", type=float, default=1.0)
    parser.add_argument("--cpu-us", type=float, default=500)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20)
    settings = parser.parse_args()
    paper = 1 / (settings.rounds * (settings.way_ms / 1e3 + settings.statement_us / 1e6))
    print("replicas  manifests/s  in a group  row held   on paper: the writers' bound  the cores' bound")
    for replicas in (1, 2, 3, 5, 10):
        rate, group, busy = simulate(replicas, settings)
        cores = replicas * settings.cores / (settings.cpu_us / 1e6)
        print(f"{replicas:8}  {rate:11.0f}  {group:10.1f}  {busy:8.0%}  {paper:29.0f}  {cores:16.0f}")


main()
