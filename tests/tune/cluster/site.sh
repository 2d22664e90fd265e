#!/bin/bash
# Makes a site of machines, each with namespaces, an address, a home and an sshd of its own: a
# launcher (this shell), a head and two workers, which share /mnt/sgu; then runs the command there.
# Start it by `unshare --mount --net --uts --pid --fork --mount-proc --kill-child`: with that process
# all of the site ends, and nothing of it is left.
#   site.sh PROJECT VENV COMMAND...
set -euo pipefail
export HOME=/mnt/home
project=$1 venv=$2
shift 2

mount -t tmpfs -o size=3g none /mnt
mkdir -p ~ /mnt/sgu /mnt/venv /mnt/project
mount --bind "$venv" /mnt/venv
mount --bind "$project" /mnt/project
mount -t tmpfs none /run
mkdir /run/sshd
mount -t tmpfs none /tmp  # Ray keeps a cluster's state and ssh's sockets there
mkdir -p "$venv"
mount --bind /mnt/venv "$venv"
sed "s|^root:.*|root:x:0:0:root:$HOME:/bin/bash|" /etc/passwd >/mnt/passwd
mount --bind /mnt/passwd /etc/passwd
ssh-keygen -q -t ed25519 -N '' -f /mnt/key

home() {  # NAME: root's home as a new user has it, with a venv that `make setup` finds ready
    mkdir "/mnt/$1"
    mount --bind "/mnt/$1" ~
    mkdir -p ~/.ssh ~/sgu/.venv
    cp /etc/skel/.bashrc /etc/skel/.profile ~
    cp /mnt/key ~/.ssh/id_ed25519
    cp /mnt/key.pub ~/.ssh/authorized_keys
    for part in bin lib pyvenv.cfg; do ln -s "$venv/$part" "$HOME/sgu/.venv/$part"; done
    touch -d 2100-01-01 ~/sgu/.venv/ready
}

machine() {  # NAME ADDRESS
    unshare --mount --net --uts --pid --fork --mount-proc --kill-child bash -euc "
        $(declare -f home); venv='$venv'; home $1; hostname $1
        mount -t tmpfs none /tmp; mkdir -p '$venv'; mount --bind /mnt/venv '$venv'
        exec /usr/sbin/sshd -D -e -h /mnt/key -o StrictModes=no -o UsePAM=no \
            -o SetEnv=RAY_worker_niceness=0" 2>"/mnt/$1.log" &  # at Ray's 15 they hardly run here
    while [ "$(readlink /proc/$!/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do sleep 0.1; done
    ip link add "to-$1" master lan type veth peer name eth0 netns $!
    ip link set "to-$1" up
    for words in "link set lo up" "address add $2/24 dev eth0" "link set eth0 up" "route add default via 192.0.2.1"; do
        nsenter --target $! --net ip $words
    done
}

home launcher
hostname launcher
ip link set lo up
ip link add lan type bridge
ip address add 192.0.2.1/24 dev lan
ip link set lan up
machine head 192.0.2.10
machine first 192.0.2.11
machine second 192.0.2.12
cp -a /mnt/project/. ~/sgu/
cd ~/sgu
"$@"
