#!/usr/bin/env bash
# slurm_node.sh start DIR | stop DIR - a Slurm of one node, all of it in DIR and
# on the loopback: munged, slurmctld, slurmd. Its programs find it by
# SLURM_CONF=DIR/slurm.conf. Needs root, as slurmd does.
set -euo pipefail

port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

configure() {
    local dir=$1 host
    host=$(hostname -s)
    mkdir -p "$dir"/{state,spool,munge}
    chmod 700 "$dir/munge"
    cat >"$dir/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket
CredType=cred/munge
SlurmctldPort=$(port)
SlurmdPort=$(port)
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,batch_sched_delay=0
KillWait=5
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=1:00:00 State=UP
PartitionName=other Nodes=$host MaxTime=1:00:00 State=UP
CONF
}

start() {
    local dir=$1 host
    host=$(hostname -s)
    configure "$dir"
    head -c 128 /dev/urandom >"$dir/munge/key"
    chmod 400 "$dir/munge/key"
    munged --force --key-file="$dir/munge/key" --socket="$dir/munge/socket" \
        --pid-file="$dir/munge/pid" --log-file="$dir/munge/log" --seed-file="$dir/munge/seed"
    export SLURM_CONF=$dir/slurm.conf
    slurmctld -c
    slurmd
    # Seconds on a quiet machine; a busy one may take its time.
    for _ in $(seq 600); do
        case $(sinfo --noheader --partition=main --format=%t 2>/dev/null) in
        idle*) return 0 ;;
        esac
        sleep 0.2
    done
    echo "slurm_node.sh: the node is not idle:" >&2
    tail -v -n 5 -- "$dir"/slurmctld.log "$dir"/slurmd.log >&2
    return 1
}

# Only what its pid files name.
stop() {
    local dir=$1 file pid
    for file in "$dir"/slurmd.pid "$dir"/slurmctld.pid "$dir"/munge/pid; do
        pid=$(cat "$file" 2>/dev/null) || continue
        kill "$pid" 2>/dev/null || continue
        for _ in $(seq 100); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -9 "$pid" 2>/dev/null || true
    done
}

"$@"
