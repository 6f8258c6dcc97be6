#!/bin/bash
# What a target to which a stream is sent costs the server, beside an RTMP player of the same stream: the CPU time of a
# server of its own with 30 of each, over SECONDS each. Exits with 1 if a target costs more than 1.3 times as much.
set -euo pipefail
cd "$(dirname "$0")/.."
weir=${WEIR:-bin/weir} seconds=${SECONDS_EACH:-12} n=30
dir=$(mktemp -d)
jobs=()
trap 'kill "${jobs[@]}" 2>/dev/null || true; rm -rf "$dir"' EXIT

# serve NAME starts a server, and sets $NAME_rtmp and $NAME_admin to its addresses.
serve() {
	"$weir" serve --set rtmp.listen=127.0.0.1:0 --set http.listen= --set admin.listen=127.0.0.1:0 --set log.format=json 2>"$dir/$1" &
	jobs+=($!)
	declare -g "$1_pid=$!"
	for proto in rtmp admin; do
		until addr=$(grep -o "\"proto\":\"$proto\",\"addr\":\"[^\"]*" "$dir/$1" | grep -o '[^"]*$'); do sleep 0.1; done
		declare -g "$1_$proto=$addr"
	done
}

# used prints the CPU time, in ticks, that the server takes over the time.
used() {
	local before after
	before=$(awk '{print $14+$15}' "/proc/$from_pid/stat")
	sleep "$seconds"
	after=$(awk '{print $14+$15}' "/proc/$from_pid/stat")
	echo $((after - before))
}

serve from
serve to
"$weir" push --loop internal/demo/sample.flv "rtmp://$from_rtmp/live/x" 2>/dev/null &
jobs+=($!)
sleep 2
base=$(used)
for i in $(seq $n); do "$weir" pushes add live/x "rtmp://$to_rtmp/in/x$i" --name "t$i" --api "http://$from_admin" --token none 2>/dev/null; done
sleep 3
live=$("$weir" pushes list --api "http://$from_admin" --token none | grep -c ' live ')
[ "$live" -eq $n ] || { echo "only $live of $n targets are live"; exit 1; }
targets=$(used)
for i in $(seq $n); do "$weir" pushes remove live/x "t$i" --api "http://$from_admin" --token none 2>/dev/null; done
for _ in $(seq $n); do
	"$weir" pull "rtmp://$from_rtmp/live/x" 2>/dev/null &
	jobs+=($!)
done
sleep 3
players=$(used)
awk -v b="$base" -v t="$targets" -v p="$players" -v n=$n -v s="$seconds" 'BEGIN {
	printf "ticks in %d s: %d without, %d with %d targets, %d with %d players: a target costs %.2f of a player\n", s, b, t, n, p, n, (t - b) / (p - b)
	exit (t - b) > 1.3 * (p - b)
}'
