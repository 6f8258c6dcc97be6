// Package rtmp speaks Adobe's Real Time Messaging Protocol, both sides: the
// handshake, the chunk stream, commands, sessions, a [Server] and a [Client].
//
// It implements the RTMP 1.0 specification (Adobe, 2012) with the deviations that
// deployed encoders and players need, the connect additions and the reconnect
// request of Enhanced RTMP v2 (Veovera, 2026), and the adobe and llnw
// authentication schemes. Media is not parsed: the payload of an audio or video
// message is passed on as it came.
//
// A [Server] calls a [Handler], which decides who may connect, publish and play,
// and is given the messages:
//
//	srv := &rtmp.Server{Handler: h}
//	err := srv.Serve(ctx, listener)
//
// A [Client] publishes or plays one stream:
//
//	c, err := rtmp.Dial(ctx, "rtmp://host/live/cam", rtmp.DialOptions{})
//	p, err := c.Publish(ctx)
//	err = p.WriteMessage(&rtmp.Message{Type: rtmp.TypeVideo, Timestamp: 40, Payload: tag})
//
// # Not supported
//
// RTMPE (encryption by the protocol itself), RTMPT (tunnelling over HTTP), RTMFP,
// shared objects, remote procedure calls to the application, writing AMF3, and
// recorded streams: seeking in one is refused.
package rtmp
