#!/bin/sh
# etcd as well as a script can start it: each when the one before listens, with short elections. NAIVE=1: as its manual
# says, all at once.
. "$(dirname "$0")/lib.sh"
members() { [ "$(curl -sf "$1/members" | grep -o '"id":' | wc -l)" = 3 ]; }
for i in 1 2 3; do
    client=http://127.0.0.1:2143$i peer=http://127.0.0.1:2144$i
    set -- --name "e$i" --data-dir "$dir/$i" --listen-client-urls $client --advertise-client-urls $client --listen-peer-urls $peer \
        --initial-advertise-peer-urls $peer --initial-cluster-token "bench$$" --initial-cluster-state new \
        --initial-cluster e1=http://127.0.0.1:21441,e2=http://127.0.0.1:21442,e3=http://127.0.0.1:21443
    if [ -n "${NAIVE:-}" ]; then
        run etcd "$@"
    else
        run etcd "$@" --heartbeat-interval 10 --election-timeout 100
        until_ok curl -sf $peer/members
    fi
done
for i in 1 2 3; do
    until_ok answers http://127.0.0.1:2143$i/health '"health": *"true"'
    until_ok members http://127.0.0.1:2144$i
done
took
