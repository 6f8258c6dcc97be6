package s3

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/minio/minio-go/v7"
)

// maxParts is how many parts an upload may have.
const maxParts = 10000

const (
	// maxPages bounds the pages of a list of parts: storage gives a hundred of them or more on each.
	maxPages = 100
	// maxListed is how many uploads of one name are looked at.
	maxListed = 100
)

// transferTime is how long so many bytes may take: at 64 KiB a second and half a minute.
func transferTime(n int64) time.Duration { return headTime + time.Duration(n/(64<<10))*time.Second }

// ErrShort is returned for an object that is not what was sent.
var ErrShort = errors.New("the object in the storage is not what was sent")

// ErrTaken is returned if somebody has made an object of the name meanwhile: the next try takes another one.
var ErrTaken = errors.New("the storage has another object of this name")

// Upload is how far an upload is. Its owner keeps it, as JSON, whenever Save is called.
type Upload struct {
	Key      string       `json:"key"`
	ID       string       `json:"id,omitempty"`    // of the multipart upload; "" before it began
	Asked    bool         `json:"asked,omitempty"` // it was asked for, whether or not the answer came
	PartSize int64        `json:"part_size"`
	Parts    map[int]Part `json:"parts,omitempty"`
	Done     bool         `json:"done,omitempty"` // the object is there, and is what was sent
}

// Part is a part that was sent.
type Part struct {
	ETag string `json:"etag"`
	CRC  uint32 `json:"crc"` // CRC-32C
	Size int64  `json:"size"`
}

// Task is a file that is to be uploaded.
type Task struct {
	// ID tells the file from all others: an object that bears it is this file.
	ID string
	// Key is the name of the object, without the bucket's prefix.
	Key string
	// Type is the file's media type, and Meta what the object says of itself.
	Type string
	Meta map[string]string
	// File is the file, of which so many bytes are there. Whole says that there will be no more.
	File  io.ReaderAt
	Size  int64
	Whole bool
	// Save keeps the upload.
	Save func(*Upload) error
}

// Send sends what there is of a file, and completes the object if the file is whole: then u.Done is set. Of a file
// that grows it sends the parts that are full, but the first. It returns an error as soon as something fails;
// to go on call it again with the same upload.
func (b *Bucket) Send(ctx context.Context, u *Upload, t *Task) error {
	if u.Done {
		return nil
	}
	err := b.send(ctx, u, t)
	if hasCode(err, "NoSuchUpload") { // it has run out, or was completed and the answer was lost
		if e := b.settled(ctx, u, t); e != nil || u.Done {
			return e
		}
		u.ID, u.Asked, u.Parts = "", false, nil
		if e := t.Save(u); e != nil {
			return e
		}
		err = b.send(ctx, u, t)
	}
	return b.plain(err)
}

func (b *Bucket) send(ctx context.Context, u *Upload, t *Task) error {
	if u.PartSize == 0 {
		u.PartSize = b.conf.PartSize
	}
	if t.Whole && (t.Size+u.PartSize-1)/u.PartSize > maxParts { // it became larger than anybody thought
		if err := b.Abort(ctx, u); err != nil {
			return err
		}
		const mib = 1 << 20
		u.PartSize = max((t.Size/(maxParts-1)/mib+1)*mib, b.conf.PartSize)
	}
	last := int(t.Size / u.PartSize) // full parts
	if t.Whole && (t.Size%u.PartSize > 0 || last == 0) {
		last++
	}
	if !t.Whole && last < 2 {
		return nil
	}
	if err := b.begin(ctx, u, t); err != nil || u.Done {
		return err
	}
	for n := 2; n <= min(last, maxParts); n++ {
		if err := b.part(ctx, u, t, n); err != nil {
			return err
		}
	}
	if !t.Whole {
		return nil
	}
	if err := b.part(ctx, u, t, 1); err != nil {
		return err
	}
	return b.complete(ctx, u, t, last)
}

// begin begins the multipart upload, or makes sure that the storage still has what was sent of it.
func (b *Bucket) begin(ctx context.Context, u *Upload, t *Task) error {
	if u.ID != "" {
		if u.Parts == nil {
			u.Parts = map[int]Part{}
		}
		return nil
	}
	if err := b.sweep(ctx, u); err != nil {
		return err
	}
	u.Key = b.conf.Prefix + t.Key
	switch is, found, err := b.find(ctx, u.Key); {
	case err != nil:
		return err
	case found && is.meta == t.ID:
		return b.check(u, t, is)
	case found: // somebody else's, which is not overwritten
		u.Key += "-" + t.ID
	}
	o := minio.PutObjectOptions{ContentType: t.Type, ServerSideEncryption: b.encryption(), UserMetadata: map[string]string{metaID: t.ID}}
	for k, v := range t.Meta {
		o.UserMetadata[k] = v
	}
	if b.conf.Checksum == "crc32c" {
		o.UserMetadata["x-amz-checksum-algorithm"] = "CRC32C"
	}
	u.Asked = true
	if err := t.Save(u); err != nil {
		return err
	}
	id, err := b.core.NewMultipartUpload(ctx, b.conf.Bucket, u.Key, o)
	if err != nil {
		return err
	}
	u.ID, u.Parts = id, map[int]Part{}
	return t.Save(u)
}

// sweep has the storage forget an upload that it was asked for and whose name is not known, because the answer was lost or the server
// was killed: its parts would be paid for, and nobody could see them.
func (b *Bucket) sweep(ctx context.Context, u *Upload) error {
	if !u.Asked || u.ID != "" {
		return nil
	}
	list, err := b.core.ListMultipartUploads(ctx, b.conf.Bucket, u.Key, "", "", "", maxListed)
	if hasCode(err, "AccessDenied", "NotImplemented") { // the bucket's own rule has to do it
		err = nil
	}
	for _, x := range list.Uploads {
		if err == nil && x.Key == u.Key { // a name that nothing had when it was asked for
			if err = b.core.AbortMultipartUpload(ctx, b.conf.Bucket, x.Key, x.UploadID); hasCode(err, "NoSuchUpload") {
				err = nil
			}
		}
	}
	if err == nil {
		u.Asked = false
	}
	return err
}

// metaID is the object's metadata that names the file.
const metaID = "Weir-Id"

// Resume makes sure that the storage has the parts that were sent before a restart, and forgets those that it has not.
func (b *Bucket) Resume(ctx context.Context, u *Upload) error {
	if u.ID == "" || u.Done {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*headTime)
	defer cancel()
	there := map[int]string{}
	for marker, page := 0, 1; ; page++ {
		list, err := b.core.ListObjectParts(ctx, b.conf.Bucket, u.Key, u.ID, marker, 1000)
		if hasCode(err, "NoSuchUpload") { // Send finds out what became of it
			return nil
		}
		if err != nil {
			return b.plain(err)
		}
		for _, p := range list.ObjectParts {
			if _, ours := u.Parts[p.PartNumber]; ours {
				there[p.PartNumber] = p.ETag
			}
		}
		if !list.IsTruncated || list.NextPartNumberMarker <= marker {
			break
		}
		if page == maxPages {
			return fmt.Errorf("s3 %s: the storage lists the parts of an upload on more than %d pages", b.conf.Name, maxPages)
		}
		marker = list.NextPartNumberMarker
	}
	for n, p := range u.Parts {
		if trimmed(there[n]) != trimmed(p.ETag) {
			delete(u.Parts, n)
		}
	}
	return nil
}

// Check forgets the parts that are not what a file of so many bytes has in their places, and reports whether there were any: what a crash or a full disk
// took from a file's end may have been sent before. It fails with the file's error.
func (u *Upload) Check(ctx context.Context, file io.ReaderAt, size int64) (changed bool, err error) {
	if u.Done {
		return false, nil
	}
	for n, p := range u.Parts {
		at := int64(n-1) * u.PartSize
		if at+p.Size <= size {
			crc := crc32.New(castagnoli)
			if _, err := io.Copy(crc, io.NewSectionReader(file, at, p.Size)); err != nil {
				return changed, fmt.Errorf("reading the file: %w", err)
			}
			if err := ctx.Err(); err != nil {
				return changed, err
			}
			if crc.Sum32() == p.CRC {
				continue
			}
		}
		delete(u.Parts, n)
		changed = true
	}
	return changed, nil
}

// trimmed is an entity tag without its quotes.
func trimmed(tag string) string {
	if len(tag) >= 2 && tag[0] == '"' {
		return tag[1 : len(tag)-1]
	}
	return tag
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// part sends a part, if it was not sent before.
func (b *Bucket) part(ctx context.Context, u *Upload, t *Task, n int) error {
	if _, sent := u.Parts[n]; sent {
		return nil
	}
	at := int64(n-1) * u.PartSize
	size := min(u.PartSize, t.Size-at)
	sum, crc := md5.New(), crc32.New(castagnoli)
	if k, err := io.Copy(io.MultiWriter(sum, crc), io.NewSectionReader(t.File, at, size)); err != nil || k != size {
		return fmt.Errorf("reading the file: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	o := minio.PutObjectPartOptions{CustomHeader: http.Header{}}
	p := Part{CRC: crc.Sum32(), Size: size}
	if b.conf.Checksum == "crc32c" {
		o.CustomHeader.Set("x-amz-checksum-crc32c", base64CRC(p.CRC))
	} else {
		o.Md5Base64 = base64.StdEncoding.EncodeToString(sum.Sum(nil))
	}
	ctx, cancel := context.WithTimeout(ctx, b.partTime(size))
	defer cancel()
	got, err := b.core.PutObjectPart(ctx, b.conf.Bucket, u.Key, u.ID, n, &limited{ctx, b.limit, io.NewSectionReader(t.File, at, size)}, size, o)
	if err != nil {
		return err
	}
	p.ETag = got.ETag
	u.Parts[n] = p
	return t.Save(u)
}

// partTime is how long a part may take under the limit.
func (b *Bucket) partTime(size int64) time.Duration {
	d := transferTime(size)
	if b.conf.Bitrate > 0 { // of which others may take most
		d += 16 * time.Duration(float64(size)*8/float64(b.conf.Bitrate)*float64(time.Second))
	}
	return d
}

func base64CRC(crc uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc))
}

// complete joins the parts, and asks the storage what it has then.
func (b *Bucket) complete(ctx context.Context, u *Upload, t *Task, last int) error {
	list := make([]minio.CompletePart, last)
	for i := range list {
		p := u.Parts[i+1]
		list[i] = minio.CompletePart{PartNumber: i + 1, ETag: p.ETag}
		if b.conf.Checksum == "crc32c" {
			list[i].ChecksumCRC32C = base64CRC(p.CRC)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*headTime)
	defer cancel()
	if err := b.join(ctx, u, list); hasCode(err, "PreconditionFailed") {
		if err := b.settled(ctx, u, t); err != nil || u.Done { // the answer of an earlier try was lost
			return err
		}
		key := u.Key
		if err := b.Abort(ctx, u); err != nil {
			return err
		}
		return errors.Join(fmt.Errorf("%w: %s, which was made meanwhile", ErrTaken, key), t.Save(u)) // the next try takes the other name
	} else if err != nil {
		return err
	}
	if err := b.settled(ctx, u, t); err != nil {
		return err
	}
	if !u.Done {
		return fmt.Errorf("%w: it is not there", ErrShort)
	}
	return nil
}

// join completes the object of its parts, if there is none of this name. Storage that does not know the condition is asked without.
func (b *Bucket) join(ctx context.Context, u *Upload, list []minio.CompletePart) error {
	var o minio.PutObjectOptions
	if !b.unconditional.Load() {
		o.SetMatchETagExcept("*")
	}
	_, err := b.core.CompleteMultipartUpload(ctx, b.conf.Bucket, u.Key, u.ID, list, o)
	if hasCode(err, "NotImplemented") && !b.unconditional.Swap(true) {
		return b.join(ctx, u, list)
	}
	return err
}

// settled marks the upload as done if its object is there.
func (b *Bucket) settled(ctx context.Context, u *Upload, t *Task) error {
	is, found, err := b.find(ctx, u.Key)
	if err != nil || !found || is.meta != t.ID {
		return err
	}
	return b.check(u, t, is)
}

// objectInfo is what the storage says of an object.
type objectInfo struct {
	size int64
	crc  string // composite CRC-32C; "" if the storage does not tell
	meta string // the id of the file that it is
}

// find looks for an object.
func (b *Bucket) find(ctx context.Context, key string) (f objectInfo, ok bool, err error) {
	info, err := b.core.StatObject(ctx, b.conf.Bucket, key, minio.StatObjectOptions{Checksum: b.conf.Checksum == "crc32c"})
	if hasCode(err, "NoSuchKey", "NotFound") {
		return f, false, nil
	}
	if err != nil {
		return f, false, err
	}
	return objectInfo{info.Size, info.ChecksumCRC32C, info.UserMetadata[metaID]}, true, nil
}

// check compares an object with what was sent.
func (b *Bucket) check(u *Upload, t *Task, is objectInfo) error {
	if is.size != t.Size {
		return fmt.Errorf("%w: it has %d bytes instead of %d", ErrShort, is.size, t.Size)
	}
	if want := u.composite(); want != "" && is.crc != "" && len(u.Parts) > 0 && is.crc != want && is.crc != want[:len(want)-len(suffix(len(u.Parts)))] {
		return fmt.Errorf("%w: its checksum is %s instead of %s", ErrShort, is.crc, want)
	}
	u.Done = true
	return t.Save(u)
}

// composite returns the checksum of the parts' checksums, as the storage tells it.
func (u *Upload) composite() string {
	var b []byte
	for n := 1; n <= len(u.Parts); n++ {
		p, ok := u.Parts[n]
		if !ok {
			return ""
		}
		b = binary.BigEndian.AppendUint32(b, p.CRC)
	}
	return base64CRC(crc32.Checksum(b, castagnoli)) + suffix(len(u.Parts))
}

func suffix(parts int) string { return "-" + strconv.Itoa(parts) }

// Abort gives an upload up, so that the storage forgets its parts.
func (b *Bucket) Abort(ctx context.Context, u *Upload) error {
	if u.Done {
		return nil
	}
	if u.ID == "" {
		return b.plain(b.sweep(ctx, u))
	}
	err := b.core.AbortMultipartUpload(ctx, b.conf.Bucket, u.Key, u.ID)
	if hasCode(err, "NoSuchUpload") {
		err = nil
	}
	if err == nil {
		u.ID, u.Asked, u.Parts = "", false, nil
	}
	return b.plain(err)
}
