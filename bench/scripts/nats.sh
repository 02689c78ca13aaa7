#!/bin/sh
# NATS as well as a script can start it: all three at once. JETSTREAM=1: with JetStream.
. "$(dirname "$0")/lib.sh"
for i in 1 2 3; do
    set -- -a 127.0.0.1 -n "n$i" -p 2140$i -m 2141$i --cluster_name bench --cluster nats://127.0.0.1:2142$i \
        --routes nats://127.0.0.1:21421,nats://127.0.0.1:21422,nats://127.0.0.1:21423
    [ -z "${JETSTREAM:-}" ] || set -- "$@" -js -sd "$dir/$i"
    run nats-server "$@"
done
for i in 1 2 3; do
    until_ok answers http://127.0.0.1:2141$i/routez '"num_routes": *([2-9]|[1-9][0-9])'
    [ -z "${JETSTREAM:-}" ] || until_ok answers http://127.0.0.1:2141$i/jsz '"leader": *"n'
done
took
