# What the scripts beside share. Each starts three nodes of a server, waits until every node says that all three are one
# cluster, prints the milliseconds that took, and leaves nothing behind. Needs GNU date and sleep, and curl.
set -eu
dir=$(mktemp -d)
pids=
clean() {
    for file in "$dir"/*/*.pid; do # of servers that were started through a wrapper
        [ ! -s "$file" ] || kill -9 "$(cat "$file")" 2>/dev/null || :
    done
    for pid in $pids; do
        kill -9 "$pid" 2>/dev/null || :
    done
    wait
    rm -rf "$dir"
}
trap clean EXIT
trap 'exit 130' INT TERM HUP

begin=$(date +%s%N)
took() { echo $((($(date +%s%N) - begin) / 1000000)); }

run() { # COMMAND... in the background
    "$@" </dev/null >>"$dir/log" 2>&1 &
    pids="$pids $!"
}
until_ok() { # COMMAND... again and again, every 5 ms
    polls=0
    until "$@" >/dev/null 2>&1; do
        polls=$((polls + 1))
        if [ $polls -gt 20000 ]; then
            echo "this never came true: $*" >&2
            tail -n 20 "$dir/log" >&2
            exit 1
        fi
        sleep 0.005
    done
}
answers() { # URL REGEXP
    curl -sf "$1" | grep -Eq "$2"
}
