// Package push sends streams on to other servers: to services such as YouTube and Twitch, and to
// other servers of RTMP and RTMPS, as many at once as there are targets.
//
// Targets come from the configuration (streams[].push), from the decision about a publisher, from
// the API, and of an edge that forwards its publishers one is its origin. The Manager keeps those of the streams that are live running. Each target is a
// follower of its stream with a goroutine of its own (target.go): it waits for the stream's tracks,
// connects (dial.go), sends what it reads (sender.go), and after a failure tries again. What a
// failure means, and what is said of it, is in verdict.go.
//
// What goes over the wire is what OBS sends, because services are tested with it. What a service
// wants is in service.go.
package push
