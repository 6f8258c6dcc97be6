package archive

import (
	"bytes"
	"cmp"
	"compress/flate"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	neturl "net/url"
	"slices"
	"strings"
	"time"

	"weir/format/mp4"
)

// escaped is a text as a header field takes it.
func escaped(s string) string { return neturl.PathEscape(s) }

// linkValid is how long an address of the storage that viewers are sent to is good for.
const linkValid = time.Hour

// shelve removes a file that is in the storage, and keeps what is needed to play it from there. Uploads go on with what fails.
func (a *Archive) shelve(r *Row) error {
	if r.Format == formatMP4 && r.State == Done {
		x, err := a.media.index(r)
		switch {
		case errors.Is(err, fs.ErrNotExist), isDamage(err): // the storage has what is needed, too
		case err != nil:
			return fmt.Errorf("archive: what is needed to play %s: %w", r.Name, err)
		default:
			if err := a.keepIndex(r, x); err != nil {
				return err
			}
		}
	}
	if err := a.use(false, func(x *index) error { return x.shelved(r.ID) }); err != nil {
		return err
	}
	if err := a.unlink(r); err != nil {
		return err
	}
	return a.use(false, func(x *index) error { return x.settled(r.ID) })
}

// keepIndex keeps the list of fragments of a file that is in the storage.
func (a *Archive) keepIndex(r *Row, list *mp4.Index) error {
	b, err := pack(list)
	if err != nil {
		return err
	}
	return a.use(false, func(x *index) error { return x.setBlob("shelf", r.ID, b) })
}

// fragments returns the list of fragments of a file, wherever it is. It changes the row of one that was moved meanwhile.
func (a *Archive) fragments(ctx context.Context, r *Row) (*mp4.Index, error) {
	x, err := a.known(ctx, r)
	if x == nil && err == nil { // it was removed here by somebody else
		return a.fetchIndex(ctx, r)
	}
	return x, err
}

// known is fragments without asking the storage: it returns nil if only that can tell.
func (a *Archive) known(ctx context.Context, r *Row) (*mp4.Index, error) {
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
	}); err != nil || text == "" {
		return nil, err
	}
	x, err := unpack(text)
	if err != nil {
		return nil, fmt.Errorf("archive: what is kept of %s: %w", r.Name, err)
	}
	a.media.keep(&volume{id: r.ID, whole: true, index: x})
	return x, nil
}

// fetchIndexes asks the storage for the lists of fragments that only it has, in who's turn. What it does not give is left out by who uses them.
func (a *Archive) fetchIndexes(ctx context.Context, who string, parts []Part) error {
	for i := range parts {
		p := &parts[i]
		if p.State != Remote || p.Format != formatMP4 {
			continue
		}
		if x, err := a.known(ctx, &p.Row); x != nil || err != nil {
			continue
		}
		end, err := a.bringing.begin(ctx, who)
		if err != nil {
			return err
		}
		_, err = a.fetchIndex(ctx, &p.Row)
		end()
		if err != nil && ctx.Err() == nil {
			_ = a.storageError(ctx, &p.Row, err)
		}
	}
	return ctx.Err()
}

// fetchIndex reads the list of fragments of a file that is only in the storage, and keeps it.
func (a *Archive) fetchIndex(ctx context.Context, r *Row) (*mp4.Index, error) {
	file, err := a.openAnywhere(ctx, r)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	x, err := mp4.ReadIndex(file, r.Bytes)
	if err != nil {
		return nil, err
	}
	a.media.keep(&volume{id: r.ID, whole: true, index: x})
	return x, a.keepIndex(r, x)
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

// Origins returns the schemes and hosts of the addresses that Elsewhere returns, as far as they are known.
func (a *Archive) Origins(ctx context.Context) (origins []string) {
	for _, c := range a.opt.Storage() {
		b, err := a.uploads.bucket(c.Name)
		if err != nil {
			continue // uploads and players are told
		}
		if o, err := b.Origin(ctx); err == nil {
			origins = append(origins, o)
		}
	}
	return origins
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
		err = b.Remove(ctx, r.Object)
	} else {
		err = b.Abort(ctx, state)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWithdraw, err)
	}
	return nil
}

// blob returns a text or bytes that is kept of a file; "" if there are none.
func (x *index) blob(ctx context.Context, table, id string) (text string, err error) {
	err = x.read.QueryRowContext(ctx, "SELECT state FROM "+table+" WHERE file = ?", id).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return text, err
}

// errGone says that the index does not have a file any more.
var errGone = errors.New("the recording was deleted meanwhile")

// change changes something of one file. It fails with errGone if there is no such file.
func (x *index) change(query string, args ...any) error {
	result, err := x.write.Exec(query, args...)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); n > 0 || err != nil {
		return err
	}
	return errGone
}

// setBlob keeps a text of a file, or bytes.
func (x *index) setBlob(table, id string, state any) error {
	return x.change("INSERT OR REPLACE INTO "+table+" (file, state) SELECT id, ? FROM files WHERE id = ?", state, id)
}

// uploaded notes the object that a file has become. With goes the file here is to go.
func (x *index) uploaded(id, object string, goes bool) error {
	return x.change("UPDATE files SET object = ?, pending = ? WHERE id = ?", object, goes, id)
}

// shelved notes that a file is to be taken from the storage from now on, and that the one here is to go.
func (x *index) shelved(id string) error {
	return x.change("UPDATE files SET state = 3, pending = 1 WHERE id = ? AND state > 0", id)
}

// settled notes that nothing is to be done with a file any more.
func (x *index) settled(id string) error {
	return x.change("UPDATE files SET pending = 0 WHERE id = ?", id)
}

// pending returns what uploads have to do: first files that are to go here, then whole ones, and the oldest first; of each rule up to limit, so that
// the files of one storage do not stand before those of another.
func (x *index) pending(ctx context.Context, limit int) (list []Row, err error) {
	rules, err := x.uploadRules(ctx)
	for i := range rules {
		var some []Row
		if some, err = x.query(ctx, "WHERE f.rule = ? AND f.pending = 1 AND f.state <> 2 ORDER BY f.state DESC, f.start LIMIT ?", rules[i].id, limit); err != nil {
			break
		}
		list = append(list, some...)
	}
	slices.SortStableFunc(list, func(a, b Row) int { return cmp.Or(cmp.Compare(b.State, a.State), a.Start.Compare(b.Start)) })
	return list, err
}
