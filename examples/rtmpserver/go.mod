module example.org/rtmpserver

go 1.26.0

require weir v0.0.0

replace weir => ../..
