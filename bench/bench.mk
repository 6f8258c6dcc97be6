# The benchmarks. The first two exit with an error if a goal was missed that does not depend on the
# machine. ARGS go to bench/run.
.PHONY: bench bench-quick bench-start bench-push

bench: ## weir against raw writes and nginx-rtmp, to bench/RESULTS.md (half an hour)
	@bench/run -o bench/RESULTS.md -remarks bench/remarks.md $(ARGS)

bench-quick: ## one row of the same, printed only
	@bench/run -quick $(ARGS)

bench-start: build ## what real players show when they join, by ?start=; ARGS=-h lists what else there is
	@go run ./bench/start $(ARGS)

bench-push: build ## what a target of streams[].push costs beside an RTMP player; an error if more than 1.3 times as much
	@bench/push.sh
