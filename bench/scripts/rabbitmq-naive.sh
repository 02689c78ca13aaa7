#!/bin/sh
NAIVE=1 exec /bin/sh "$(dirname "$0")/rabbitmq.sh"
