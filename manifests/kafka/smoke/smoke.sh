#!/bin/bash
# Creates the topic test01, writes three lines that no other run has written, reads the topic from its beginning, and
# fails unless these lines come back, each once.
set -euo pipefail
PATH=$PATH:/opt/kafka/bin
brokers=${BOOTSTRAP:-kafka-svc:9092}

records() { # -2 (first) or -1 (next) of each partition, added up
    kafka-get-offsets.sh --bootstrap-server "$brokers" --topic test01 --time "$1" | awk -F: '{ n += $3 } END { print n + 0 }'
}

kafka-topics.sh --bootstrap-server "$brokers" --create --if-not-exists --topic test01 --partitions 3 --replication-factor 2
kafka-topics.sh --bootstrap-server "$brokers" --list

run=$HOSTNAME-$(date +%s)
printf 'hello world %s\n' "$run-1" "$run-2" "$run-3" >/tmp/written
kafka-console-producer.sh --bootstrap-server "$brokers" --topic test01 --request-required-acks all </tmp/written

kafka-console-consumer.sh --bootstrap-server "$brokers" --topic test01 --from-beginning \
    --max-messages $(($(records -1) - $(records -2))) --timeout-ms 60000 >/tmp/read
kafka-topics.sh --bootstrap-server "$brokers" --describe --topic test01

# Three partitions: the order among them is not kept.
grep -F "hello world $run-" /tmp/read | sort >/tmp/returned || true
if ! diff /tmp/written /tmp/returned; then
    echo "kafka-smoke: what was read (>) is not what was written (<)" >&2
    exit 1
fi
echo "kafka-smoke: passed"
