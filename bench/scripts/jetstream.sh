#!/bin/sh
JETSTREAM=1 exec /bin/sh "$(dirname "$0")/nats.sh"
