# The benchmarks. The first two exit with an error if a goal was missed that does not depend on the
# machine. ARGS go to bench/run.
.PHONY: bench bench-quick bench-start bench-push bench-record

bench: ## weir against raw writes and nginx-rtmp, to bench/RESULTS.md (half an hour)
	@bench/run -o bench/RESULTS.md -remarks bench/remarks.md $(ARGS)

bench-quick: ## one row of the same, printed only
	@bench/run -quick $(ARGS)

bench-start: build ## what real players show when they join, by ?start=; ARGS=-h lists what else there is
	@go run ./bench/start $(ARGS)

bench-push: build ## what a target of streams[].push costs beside an RTMP player; an error if more than 1.3 times as much
	@bench/push.sh

bench-record: build ## what a recording costs beside an RTMP player, 200 at once, an hour finished, and a publisher beside 1,000 followers
	@bench/record.sh
	@go test -run xxx -bench Recordings -benchtime 1x -cpu 1 ./internal/record
	@go test -run xxx -bench FinishHour ./format/mp4
	@go test -run xxx -bench WriteBesideFollowers -benchtime 5000x ./internal/stream
	@go test -count=1 -run FirstByteOfAnHour -v ./internal/archive | grep -v '^ *r[u=]'
