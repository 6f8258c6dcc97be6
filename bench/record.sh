#!/bin/bash
# What a recording costs the server, beside an RTMP player of the same stream: the CPU time of a server of its own that has one stream of
# 2.5 Mbit/s, with 16 recordings of it and then with 16 players, over SECONDS_EACH each. The files go to memory (DIR), and what dd takes to write
# as much there in pieces as large is the disk's own price, which does not count. Exits with 1 if a recording costs more than 1.3 times
# as much as a player.
set -euo pipefail
cd "$(dirname "$0")/.."
weir=${WEIR:-bin/weir} seconds=${SECONDS_EACH:-12} n=16
dir=$(mktemp -d)
files=$(mktemp -d -p "${DIR:-/dev/shm}")
jobs=()
trap 'kill "${jobs[@]}" 2>/dev/null || true; rm -rf "$dir" "$files"' EXIT

{
	printf 'streams:\n  - match: live/**\n    record:\n'
	for i in $(seq $n); do
		printf '      - {name: r%d, dir: %s, file: "r%d", start: manual, sync: close, min_free: ""}\n' "$i" "$files" "$i"
	done
} >"$dir/weir.yml"
"$weir" serve -c "$dir/weir.yml" --set rtmp.listen=127.0.0.1:0 --set http.listen= --set admin.listen=127.0.0.1:0 --set log.format=json 2>"$dir/log" &
server=$!
jobs+=("$server")
address() {
	until grep -o "\"proto\":\"$1\",\"addr\":\"[^\"]*" "$dir/log" | grep -o '[^"]*$'; do sleep 0.1; done
}
rtmp=$(address rtmp)
api=http://$(address admin)/api/v1

# used prints the CPU time, in ticks, that the server takes over the time.
used() {
	local before after
	before=$(awk '{print $14+$15}' "/proc/$server/stat")
	sleep "$seconds"
	after=$(awk '{print $14+$15}' "/proc/$server/stat")
	echo $((after - before))
}

"$weir" bench publishers "rtmp://$rtmp/live/x" --streams 1 --duration $((4 * seconds + 60))s >/dev/null 2>&1 &
jobs+=($!)
sleep 3
base=$(used)
for i in $(seq $n); do curl -sf -X POST "$api/recorders/r$i/start?stream=live/x" >/dev/null; done
sleep 3
written=$(du -sB1 --apparent-size "$files" | cut -f1)
recordings=$(used)
written=$(($(du -sB1 --apparent-size "$files" | cut -f1) - written))
for i in $(seq $n); do curl -sf -X POST "$api/recorders/r$i/stop?stream=live/x" >/dev/null; done
[ "$(find "$files" -name '*.mp4' | wc -l)" = $n ] || { echo "there are not $n files"; exit 1; }
for _ in $(seq $n); do
	"$weir" pull "rtmp://$rtmp/live/x" 2>/dev/null &
	jobs+=($!)
done
sleep 3
players=$(used)
rm -f "$files"/*
piece=$((2500000 / 8))
disk=$({ TIMEFORMAT='%U %S'; time dd if=/dev/zero of="$files/dd" bs=$piece count=$((written / piece)) status=none; } 2>&1 | awk '{printf "%d", 100 * ($1 + $2)}')
awk -v b="$base" -v r="$recordings" -v d="$disk" -v p="$players" -v n=$n -v s="$seconds" 'BEGIN {
	ratio = (r - b - d) / (p - b)
	printf "ticks in %d s: %d without, %d with %d recordings (%d of them the disk), %d with %d players: a recording costs %.2f of a player\n", s, b, r, n, d, p, n, ratio
	exit ratio > 1.3
}'
