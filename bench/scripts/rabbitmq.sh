#!/bin/sh
# RabbitMQ as well as a script can start it: all three at once, then joined by orders to the running servers. NAIVE=1: as
# its manual says, with rabbitmqctl, one node after the other. CONFIG=1: all at once, by classic_config.
. "$(dirname "$0")/lib.sh"
bin=/usr/lib/rabbitmq/bin
[ -x $bin/rabbitmq-server ] || bin=$(dirname "$(command -v rabbitmq-server)")
export ERL_EPMD_PORT=21469 ERL_EPMD_ADDRESS=127.0.0.1 RABBITMQ_USE_LONGNAME=true HOME="$dir"
printf 'bench%s' $$ >"$dir/.erlang.cookie"
chmod 400 "$dir/.erlang.cookie"

node() { # NUMBER COMMAND... in the environment of that node
    n=$dir/$1 i=$1
    shift
    RABBITMQ_NODENAME=r$i@127.0.0.1 RABBITMQ_NODE_PORT=2146$i RABBITMQ_DIST_PORT=2147$i RABBITMQ_MNESIA_BASE=$n/mnesia \
        RABBITMQ_LOG_BASE=$n/log RABBITMQ_LOGS=- RABBITMQ_PID_FILE=$n/rabbitmq.pid RABBITMQ_ENABLED_PLUGINS_FILE=$n/plugins \
        RABBITMQ_GENERATED_CONFIG_DIR=$n/generated RABBITMQ_SCHEMA_DIR=$n/schema RABBITMQ_CONFIG_FILE=$n/rabbitmq.conf \
        RABBITMQ_CONF_ENV_FILE=$n/env.conf "$@"
}
start() { # NUMBER
    mkdir "$dir/$1"
    echo '[].' >"$dir/$1/plugins"
    : >"$dir/$1/env.conf"
    if [ -n "${CONFIG:-}" ]; then
        echo cluster_formation.peer_discovery_backend = classic_config
        for j in 1 2 3; do
            echo "cluster_formation.classic_config.nodes.$j = r$j@127.0.0.1"
        done
    fi >"$dir/$1/rabbitmq.conf"
    run node "$1" $bin/rabbitmq-server
}
call() { erl_call -r -address 127.0.0.1:2147$1 -a "$2"; }
says() { [ "$(call "$1" "$2")" = "$3" ]; }
sees() { [ "$(call "$1" "rabbit_nodes all_running []" | grep -o @ | wc -l)" = 3 ]; }
order() { says "$1" "$2" ok || { echo "r$1: $2 failed" >&2; exit 1; }; }

run epmd -port $ERL_EPMD_PORT -address 127.0.0.1
if [ -n "${NAIVE:-}" ]; then
    for i in 1 2 3; do
        start $i
        until_ok test -s "$dir/$i/rabbitmq.pid"
        node $i $bin/rabbitmqctl wait "$dir/$i/rabbitmq.pid" >>"$dir/log" 2>&1
        [ $i = 1 ] || for order in stop_app "join_cluster r1@127.0.0.1" start_app; do
            node $i $bin/rabbitmqctl $order >>"$dir/log" 2>&1
        done
    done
else
    for i in 1 2 3; do
        start $i
    done
    for i in 1 2 3; do
        until_ok says $i "rabbit is_running []" true
    done
    [ -n "${CONFIG:-}" ] || for i in 2 3; do
        order $i "rabbit stop []"
        order $i "rabbit_mnesia join_cluster ['r1@127.0.0.1',disc]"
        order $i "rabbit start []"
    done
fi
for i in 1 2 3; do
    until_ok sees $i
done
took
