package archive

import (
	"bytes"
	"compress/flate"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	neturl "net/url"
	"strings"
	"time"

	"weir/format/mp4"
)

// escaped is a text as a header field takes it.
func escaped(s string) string { return neturl.PathEscape(s) }

// linkValid is how long an address of the storage that viewers are sent to is good for.
const linkValid = time.Hour

// shelve removes a file that is in the storage, and keeps what is needed to play it from there.
func (a *Archive) shelve(ctx context.Context, r *Row) error {
	if r.Format == formatMP4 {
		x, err := a.media.index(r)
		if err != nil {
			return fmt.Errorf("archive: what is needed to play %s: %w", r.Name, err)
		}
		b, err := pack(x)
		if err != nil {
			return err
		}
		if err := a.use(false, func(x *index) error { return x.setBlob("shelf", r.ID, b) }); err != nil {
			return err
		}
	}
	if err := a.use(false, func(x *index) error { return x.setState(r.ID, Done, Remote) }); err != nil {
		return err
	}
	return a.unlink(r)
}

// fragments returns the list of fragments of a file, wherever it is. It changes the row of one that was moved meanwhile.
func (a *Archive) fragments(ctx context.Context, r *Row) (*mp4.Index, error) {
	if r.State != Remote {
		if x, err := a.media.index(r); !a.moved(ctx, r, err) {
			return x, err
		}
	}
	if v := a.media.known(r.ID); v != nil {
		return v.index, nil
	}
	var text string
	if err := a.use(false, func(x *index) (err error) {
		text, err = x.blob(ctx, "shelf", r.ID)
		return err
	}); err != nil {
		return nil, err
	}
	x, err := unpack(text)
	if err != nil {
		return nil, fmt.Errorf("archive: what is kept of %s: %w", r.Name, err)
	}
	a.media.keep(&volume{id: r.ID, whole: true, index: x})
	return x, nil
}

// maxPacked bounds what is kept of a file: a day of it, in fragments of a second, takes 10 MB.
const maxPacked = 64 << 20

// pack makes a list of fragments small: an hour's takes some 30 KB.
func pack(x *mp4.Index) ([]byte, error) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(json.NewEncoder(w).Encode(x), w.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// unpack reads what pack made.
func unpack(text string) (*mp4.Index, error) {
	x := &mp4.Index{}
	return x, json.NewDecoder(io.LimitReader(flate.NewReader(strings.NewReader(text)), maxPacked)).Decode(x)
}

// Elsewhere returns an address at which a file that is only in the storage can be got for an hour. disposition is the header field
// Content-Disposition with which it is sent; it may be empty.
func (a *Archive) Elsewhere(ctx context.Context, r *Row, disposition string) (string, error) {
	b, err := a.uploads.bucket(r.Upload)
	if err != nil {
		return "", err
	}
	return b.URL(ctx, r.Object, linkValid, disposition)
}

// withdraw removes what of a file is in the storage.
func (a *Archive) withdraw(ctx context.Context, r *Row) error {
	if r.Upload == "" {
		return nil
	}
	state, err := a.upload(ctx, r.ID)
	if err != nil || state.Key == "" {
		return err
	}
	b, err := a.uploads.bucket(r.Upload)
	if errors.Is(err, errNoStorage) {
		return nil
	}
	if err != nil {
		return err
	}
	if r.Object != "" {
		return b.Remove(ctx, r.Object)
	}
	return b.Abort(ctx, state)
}

// blob returns a text or bytes that is kept of a file; "" if there are none.
func (x *index) blob(ctx context.Context, table, id string) (text string, err error) {
	err = x.read.QueryRowContext(ctx, "SELECT state FROM "+table+" WHERE file = ?", id).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return text, err
}

// setBlob keeps a text of a file, or bytes.
func (x *index) setBlob(table, id string, state any) error {
	_, err := x.write.Exec("INSERT OR REPLACE INTO "+table+" (file, state) VALUES (?, ?)", id, state)
	return err
}

// uploaded notes the object that a file has become.
func (x *index) uploaded(id, object string) error {
	_, err := x.write.Exec("UPDATE files SET object = ?, pending = 0 WHERE id = ?", object, id)
	return err
}
