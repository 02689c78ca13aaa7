#!/bin/sh
# Redis Cluster as well as a script can make it: slots and acquaintance by hand. NAIVE=1: by redis-cli --cluster create.
. "$(dirname "$0")/lib.sh"
formed() { redis-cli -p "$1" cluster info | tr -d '\r' >"$dir/info" && grep -q cluster_state:ok "$dir/info" && grep -q cluster_known_nodes:3 "$dir/info"; }
for i in 1 2 3; do
    mkdir "$dir/$i"
    run redis-server --port 1145$i --bind 127.0.0.1 --dir "$dir/$i" --cluster-enabled yes --cluster-node-timeout 2000 --save ''
done
for i in 1 2 3; do
    until_ok redis-cli -p 1145$i ping
done
if [ -n "${NAIVE:-}" ]; then
    redis-cli --cluster create 127.0.0.1:11451 127.0.0.1:11452 127.0.0.1:11453 --cluster-yes >>"$dir/log"
else
    for i in 1 2 3; do
        printf '%s\n' "cluster set-config-epoch $i" "cluster addslotsrange $(((i - 1) * 16384 / 3)) $((i * 16384 / 3 - 1))" \
            "cluster meet 127.0.0.1 11451" | redis-cli -p 1145$i >>"$dir/log"
    done
fi
for i in 1 2 3; do
    until_ok formed 1145$i
done
took
