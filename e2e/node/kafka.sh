# shellcheck shell=bash
# Three brokers on claims: what they go through, and that nothing they acknowledged is lost.

KAFKA_IMAGE=apache/kafka:4.1.0
BROKERS=kafka-svc:9092
RECORDS=2000

# A pod to run Kafka's tools in; what has come up is to come up again.
client() { kubectl exec kafka-tools -- bash -c "PATH=\$PATH:/opt/kafka/bin; $1"; }

brokers_up() {
    follow 4
    kubectl run kafka-tools --image "$KAFKA_IMAGE" --restart Never --command -- sleep 86400
    kubectl wait --for condition=Ready pod/kafka-tools --timeout 60s
}

# Three directories, each of one broker, owned by the image's user.
broker_directories() {
    local broker
    for broker in 0 1 2; do
        world knfsd exec "grep node.id $KNFSD_PATH/default-data-kafka-$broker-pvc-*/data/meta.properties" |
            grep "^node.id=$broker$"
    done
}

# As typed into a terminal. Before the Job, whose topic is the same.
by_hand() {
    quickstart_commands 5 2 >"$RUN/steps/commands"
    PATH=$RUN/bin:$PATH python3 "$E2E/node/typist.py" <"$RUN/steps/commands"
}

smoke() {
    follow 5 1
    kubectl logs job/kafka-smoke | grep '^kafka-smoke: passed$'
}

# What identifies a broker's directory: written when it was first used, and never again.
directory_of() { # BROKER
    world knfsd exec "cat $KNFSD_PATH/default-data-kafka-$1-pvc-*/data/meta.properties" | grep '^directory.id='
}

messages() { client "kafka-console-consumer.sh --bootstrap-server $BROKERS --topic $1 --from-beginning --timeout-ms 10000" | sort; }

broker_returns() {
    local before after since=$SECONDS
    before=$(directory_of 1)
    kubectl delete pod kafka-1
    kubectl wait --for condition=Ready pod/kafka-1 --timeout 180s
    note "ready again $((SECONDS - since)) s after the deletion"
    after=$(directory_of 1)
    [ "$before" = "$after" ]
    await 120 "replicas in sync" all_in_sync
}

all_in_sync() {
    [ -z "$(client "kafka-topics.sh --bootstrap-server $BROKERS --describe --under-replicated-partitions")" ]
}

# Acknowledged by all replicas that are in sync, 100 a second; each acknowledgement is a line of the pod's log.
producer_starts() {
    client "kafka-topics.sh --bootstrap-server $BROKERS --create --topic acknowledged --partitions 3 --replication-factor 3"
    kubectl run producer --image "$KAFKA_IMAGE" --restart Never --command -- /opt/kafka/bin/kafka-verifiable-producer.sh \
        --bootstrap-server "$BROKERS" --topic acknowledged --max-messages "$RECORDS" --throughput 100 --acks -1
    await 120 "300 acknowledgements" acknowledged_at_least 300
}

acknowledged() { kubectl logs producer | sed -n 's/.*"name":"producer_send_success".*"value":"\([0-9]*\)".*/\1/p'; }
acknowledged_at_least() { [ "$(acknowledged | wc -l)" -ge "$1" ]; }
producer_ended() { [[ $(kubectl get pod producer -o jsonpath='{.status.phase}') =~ ^(Succeeded|Failed)$ ]]; }

# A power cut of the server, ten seconds long, with the producer at work.
server_killed() {
    local before
    world knfsd kill
    before=$(acknowledged | wc -l)
    note "$before of $RECORDS acknowledged when it was killed"
    [ "$before" -lt "$RECORDS" ]
    sleep 10
    world knfsd start
    await 180 "end of the producer" producer_ended
    acknowledged | sort -n >"$RUN/acknowledged"
    note "$(wc -l <"$RUN/acknowledged") at the end"
    [ "$(wc -l <"$RUN/acknowledged")" -ge "$before" ]
    kubectl delete pod producer
}

# All pods gone, so that what is read afterwards comes from the server and from no memory.
scaled_to_nothing_and_back() {
    local since=$SECONDS
    kubectl scale statefulset kafka --replicas 0
    kubectl wait --for delete pod -l app=kafka-app --timeout 180s
    note "gone after $((SECONDS - since)) s"
    [ "$(kubectl get pvc -l app=kafka-app -o name | wc -l)" = 3 ]
    kubectl scale statefulset kafka --replicas 3
    kubectl rollout status statefulset kafka --timeout 5m
}

nothing_is_lost() {
    messages acknowledged | sort -nu >"$RUN/consumed"
    note "$(wc -l <"$RUN/consumed") read, $(wc -l <"$RUN/acknowledged") were acknowledged"
    [ -z "$(comm -23 <(sort "$RUN/acknowledged") <(sort "$RUN/consumed"))" ]
    # Older than all of that: the line that was typed, and the smoke test's three.
    [ "$(messages test01 | grep -c 'hello world')" = 4 ]
}

# What a class says counts when its claims go, not when they come.
class_archives() {
    kubectl get storageclass nfs-client -o json |
        sed 's/"archiveOnDelete": "false"/"archiveOnDelete": "true"/' | kubectl replace --force -f -
    [ "$(kubectl get storageclass nfs-client -o 'jsonpath={.parameters.archiveOnDelete}')" = true ]
}

taken_away() {
    kubectl delete pod kafka-tools --grace-period 1
    follow 6
    for broker in 0 1 2; do
        await 120 "archive of broker $broker" \
            world knfsd exec "grep -rqs cluster.id $KNFSD_PATH/archived-default-data-kafka-$broker-pvc-*"
    done
    await 30 "end of the volumes" no_volumes
    world knfsd exec "rm -r $KNFSD_PATH/archived-*"
    await 30 "end of what the brokers had beside" share_is_empty
}

no_volumes() { [ -z "$(kubectl get pv -o name)" ]; }
