package rtmp

import "testing"

func TestC123_PublishIsAnsweredAfterAdmission(t *testing.T) {
	h := &fakeHandler{}
	p := serve(t, &Server{Handler: h}).handshake().send(blockCN, blockCS, blockPUB)
	p.status(1, CodePublishStart)
	p.send(blockMETA, blockVSH, blockVK, blockASH, blockAR, blockFCU, blockDEL)
	p.expect("onFCUnpublish")
	h.waitFor(t, "unpublish live/cam: unpublished")
	t.Log(p.transcript(), h.said(), h.received())
}
