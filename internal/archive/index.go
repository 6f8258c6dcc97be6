package archive

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"weir/internal/record"
)

// State is what there is of a file.
type State int

// The states of files.
const (
	Recording State = iota // it is being written, as NAME.part
	Done                   // it is whole
	Damaged                // it was left as NAME.part, or cannot be read
	Remote                 // it is whole in the storage it was uploaded to, and not here any more
)

// String returns the word of the API.
func (s State) String() string {
	switch s {
	case Recording:
		return "recording"
	case Done:
		return "done"
	case Damaged:
		return "damaged"
	}
	return "remote"
}

// Row is a file as the index knows it.
type Row struct {
	record.File
	State State
	// Object is its name in the storage it was uploaded to; "" before it is there.
	Object string
}

// End is when the file's last frame ends.
func (r *Row) End() time.Time { return r.Start.Add(r.Duration) }

// schemaVersion changes with schema. An older index is brought up by migrations; one of a later version is made anew from the files.
const schemaVersion = 4

// migrations are what makes of an index of a version, counted from 1, one of the next.
var migrations = []string{
	"ALTER TABLE files ADD COLUMN coding TEXT NOT NULL DEFAULT ''",
	"DROP INDEX files_pending; DROP TRIGGER added; DROP TRIGGER removed; DROP TRIGGER changed; DELETE FROM sums;" + schemaSums +
		"INSERT INTO sums SELECT rule, stream, count(*), sum(bytes) FROM files WHERE state IN (1, 2) GROUP BY rule, stream",
	"ALTER TABLE files ADD COLUMN missing TEXT NOT NULL DEFAULT ''",
}

// schemaSums has the sums of what is whole or damaged, which are kept by triggers, so that retention costs nothing while nothing is to go; and the index
// of what uploads have to do.
const schemaSums = `
CREATE INDEX files_pending ON files (rule, state DESC, start) WHERE pending = 1;
CREATE TRIGGER added AFTER INSERT ON files WHEN NEW.state IN (1, 2) BEGIN
  INSERT INTO sums VALUES (NEW.rule, NEW.stream, 1, NEW.bytes)
  ON CONFLICT DO UPDATE SET files = files + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER removed AFTER DELETE ON files WHEN OLD.state IN (1, 2) BEGIN
  UPDATE sums SET files = files - 1, bytes = bytes - OLD.bytes WHERE rule = OLD.rule AND stream = OLD.stream;
  DELETE FROM sums WHERE rule = OLD.rule AND stream = OLD.stream AND files <= 0;
END;
CREATE TRIGGER changed AFTER UPDATE OF state, bytes, rule ON files BEGIN
  UPDATE sums SET files = files - 1, bytes = bytes - OLD.bytes WHERE OLD.state IN (1, 2) AND rule = OLD.rule AND stream = OLD.stream;
  INSERT INTO sums SELECT NEW.rule, NEW.stream, 1, NEW.bytes WHERE NEW.state IN (1, 2)
  ON CONFLICT DO UPDATE SET files = files + 1, bytes = bytes + excluded.bytes;
  DELETE FROM sums WHERE rule = OLD.rule AND stream = OLD.stream AND files <= 0;
END;
`

// schema is the index's. Times are nanoseconds since 1970. What is pending of a file is that it is to be sent or, once it has an object, that the
// file here is to go.
const schema = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE dirs (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE);
CREATE TABLE rules (
  id INTEGER PRIMARY KEY, dir INTEGER NOT NULL, recording TEXT NOT NULL, keep TEXT NOT NULL, upload TEXT NOT NULL,
  UNIQUE (dir, recording, keep, upload)
);
CREATE TABLE files (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, stream TEXT NOT NULL, rule INTEGER NOT NULL, take TEXT NOT NULL,
  epoch INTEGER NOT NULL, dir INTEGER NOT NULL, name TEXT NOT NULL, format TEXT NOT NULL, start INTEGER NOT NULL,
  length INTEGER NOT NULL, bytes INTEGER NOT NULL, codecs TEXT NOT NULL, state INTEGER NOT NULL,
  object TEXT NOT NULL DEFAULT '', pending INTEGER NOT NULL DEFAULT 0, coding TEXT NOT NULL DEFAULT '', missing TEXT NOT NULL DEFAULT '',
  UNIQUE (dir, name)
);
CREATE INDEX files_time ON files (stream, start);
CREATE INDEX files_length ON files (stream, length);
CREATE INDEX files_age ON files (rule, start);
CREATE INDEX files_open ON files (stream, start) WHERE state = 0;
CREATE TABLE sums (
  rule INTEGER NOT NULL, stream TEXT NOT NULL, files INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (rule, stream)
) WITHOUT ROWID;
CREATE TABLE uploads (file TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE shelf (file TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TRIGGER forgotten AFTER DELETE ON files BEGIN
  DELETE FROM uploads WHERE file = OLD.id;
  DELETE FROM shelf WHERE file = OLD.id;
END;
` + schemaSums

// index is the database.
type index struct {
	file  string // "" in memory
	write *sql.DB
	read  *sql.DB
	clean bool // it was closed in order, and nothing has changed since
}

// openIndex opens the index in a folder, "" for one in memory. One that cannot be used is put aside.
func openIndex(state string) (x *index, why error, err error) { //nolint:revive // why is no failure
	if state == "" {
		x, err = newIndex("")
		return x, nil, err
	}
	file := filepath.Join(state, "recordings.db")
	x, why = oldIndex(file)
	if why == nil {
		return x, nil, nil
	}
	if err := setAside(file); err != nil {
		return nil, why, err
	}
	x, err = newIndex(file)
	if errors.Is(why, fs.ErrNotExist) {
		why = nil
	}
	return x, why, err
}

// setAside keeps one damaged index for those who want to look at it.
func setAside(file string) error {
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(file + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(file, file+".old"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// connect opens the database's file without looking at it.
func connect(file string) *index {
	if file == "" {
		db := sql.OpenDB(connector{"file::memory:"})
		db.SetMaxOpenConns(1) // another connection would be another database
		db.SetMaxIdleConns(1)
		return &index{write: db, read: db}
	}
	const pragmas = "?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)"
	name := "file:" + (&url.URL{Path: file}).EscapedPath()
	x := &index{file: file, write: sql.OpenDB(connector{name + pragmas}), read: sql.OpenDB(connector{name + pragmas + "&_pragma=query_only(1)"})}
	x.write.SetMaxOpenConns(1)
	x.read.SetMaxOpenConns(4)
	return x
}

// oldIndex opens an index that is there. It fails if it is damaged or of another version.
func oldIndex(file string) (*index, error) {
	if _, err := os.Stat(file); err != nil {
		return nil, err
	}
	x := connect(file)
	if err := x.check(); err != nil {
		x.close()
		return nil, err
	}
	return x, nil
}

// check looks whether the database can be used, and removes the mark which says that it was closed in order.
func (x *index) check() error {
	var version int
	if err := x.write.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version < 1 || version > schemaVersion {
		return fmt.Errorf("it has version %d instead of %d", version, schemaVersion)
	}
	x.clean = x.marked()
	if !x.clean {
		var result string
		if err := x.write.QueryRow("PRAGMA quick_check(1)").Scan(&result); err != nil {
			return err
		}
		if result != "ok" {
			return errors.New(result)
		}
	}
	for ; version < schemaVersion; version++ {
		if _, err := x.write.Exec("BEGIN IMMEDIATE;" + migrations[version-1] + "; PRAGMA user_version=" + strconv.Itoa(version+1) + "; COMMIT"); err != nil {
			return fmt.Errorf("making version %d of it: %w", version+1, err)
		}
	}
	return os.RemoveAll(x.marker())
}

// marker is the file that says that the index was closed in order, and which state of it.
func (x *index) marker() string { return x.file + ".closed" }

// marked reports whether the index is as it was when it was closed in order: one that was put back from a
// copy is not.
func (x *index) marked() bool {
	want, err := os.ReadFile(x.marker())
	if err != nil {
		return false
	}
	var is string
	err = x.read.QueryRow("SELECT value FROM meta WHERE key = 'closed'").Scan(&is)
	return err == nil && is == string(want)
}

// newIndex makes an index without files.
func newIndex(file string) (*index, error) {
	x := connect(file)
	if _, err := x.write.Exec("BEGIN IMMEDIATE;" + schema + "PRAGMA user_version=" + strconv.Itoa(schemaVersion) + "; COMMIT"); err != nil {
		x.close()
		return nil, fmt.Errorf("the index of recordings cannot be made: %w", err)
	}
	return x, nil
}

// closeClean closes the index with the mark that this was done in order.
func (x *index) closeClean() {
	if x.file != "" {
		mark := rand.Text()
		if _, err := x.write.Exec("INSERT OR REPLACE INTO meta VALUES ('closed', ?)", mark); err == nil {
			_ = os.WriteFile(x.marker(), []byte(mark), 0o600) // without it the files are looked through
		}
	}
	x.close()
}

func (x *index) close() {
	_ = x.read.Close()
	_ = x.write.Close()
}

// isBroken reports whether an error says that the database's file is damaged.
func isBroken(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code()&0xff == lib.SQLITE_CORRUPT || e.Code()&0xff == lib.SQLITE_NOTADB)
}

// secret returns random text that stays with the index.
func (x *index) secret(ctx context.Context) (string, error) {
	if _, err := x.write.ExecContext(ctx, "INSERT OR IGNORE INTO meta VALUES ('secret', ?)", rand.Text()); err != nil {
		return "", err
	}
	var s string
	return s, x.read.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'secret'").Scan(&s)
}

// put adds a file or changes what is known of it. A file of the same name in the same place takes the place of the one before;
// what was uploaded of that one is nothing of the new one.
func (x *index) put(r *Row) error { return x.putAll([]*Row{r}, false) }

// putAll adds files in one transaction. With join those without a take belong to that of the file that ends where they begin, and a file that has the
// id of another one, of which it is a copy, gets its own.
func (x *index) putAll(list []*Row, join bool) error {
	if len(list) == 0 {
		return nil
	}
	tx, err := x.write.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to do
	dirs, rules := map[string]int64{}, map[ruleKey]int64{}
	add, err := tx.Prepare(`INSERT INTO files (id, stream, rule, take, epoch, dir, name, format, start, length, bytes, codecs, coding, missing, state, object, pending)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (dir, name) DO UPDATE SET id = excluded.id, stream = excluded.stream, rule = excluded.rule, take = excluded.take,
		epoch = excluded.epoch, format = excluded.format, start = excluded.start, length = excluded.length, bytes = excluded.bytes,
		codecs = excluded.codecs, coding = excluded.coding, missing = excluded.missing, state = excluded.state,
		object = CASE WHEN id = excluded.id THEN object ELSE '' END, pending = CASE WHEN id = excluded.id THEN pending ELSE excluded.pending END`)
	if err != nil {
		return err
	}
	defer add.Close()
	for _, r := range list {
		if join {
			if err := settle(tx, r); err != nil {
				return err
			}
		}
		key := ruleKey{r.Dir, r.Recording, r.Keep, r.Upload}
		if _, known := rules[key]; !known {
			if dirs[r.Dir], rules[key], err = ruleOf(tx, &key); err != nil {
				return err
			}
		}
		if _, err = add.Exec(r.ID, r.Stream, rules[key], r.Take, int64(r.Epoch), dirs[r.Dir], r.Name, r.Format, r.Start.UnixNano(), int64(r.Duration), r.Bytes,
			r.Codecs, r.Coding, r.Missing, int(r.State), r.Object, r.Upload != "" && r.Object == ""); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// ruleKey is what tells one rule from another.
type ruleKey struct {
	dir, recording string
	keep           record.Keep
	upload         string
}

// ruleOf returns the numbers of a directory and of a rule, which are made if they are new.
func ruleOf(tx *sql.Tx, k *ruleKey) (dir, rule int64, err error) {
	keep, err := json.Marshal(k.keep)
	if err != nil {
		return 0, 0, err
	}
	if err := tx.QueryRow("INSERT INTO dirs (path) VALUES (?) ON CONFLICT DO UPDATE SET path = path RETURNING id", k.dir).Scan(&dir); err != nil {
		return 0, 0, err
	}
	return dir, rule, tx.QueryRow(`INSERT INTO rules (dir, recording, keep, upload) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET dir = dir RETURNING id`, dir, k.recording, string(keep), k.upload).Scan(&rule)
}

// setState changes the state of a file from one to another. One that has another state by now keeps it.
func (x *index) setState(id string, from, to State) error {
	_, err := x.write.Exec("UPDATE files SET state = ? WHERE id = ? AND state = ?", int(to), id, int(from))
	return err
}

// repaired notes that a file that was being written is whole, and what it says of itself; false if it is not known. What it does not say stays
// as it was. It may have another name than it was to get.
func (x *index) repaired(f *record.File) (known bool, err error) {
	var start any // of a file that does not say it stays
	if f.Stream != "" {
		start = f.Start.UnixNano()
	}
	const facts = `UPDATE files SET state = ?, start = coalesce(?, start), length = coalesce(nullif(?, 0), length), bytes = ?, codecs = coalesce(nullif(?, ''), codecs),
		coding = coalesce(nullif(?, ''), coding)`
	values := []any{int(Done), start, int64(f.Duration), f.Bytes, f.Codecs, f.Coding}
	result, err := x.write.Exec(facts+" WHERE name = ? AND state <> ? AND dir = (SELECT id FROM dirs WHERE path = ?)", append(values, f.Name, int(Remote), f.Dir)...)
	if err != nil {
		return false, err
	}
	if n, err := result.RowsAffected(); n > 0 || err != nil || f.ID == "" {
		return n > 0, err
	}
	// It may be known by another name, also below another directory, of which this one is a part.
	if _, err := x.write.Exec("INSERT OR IGNORE INTO dirs (path) VALUES (?)", f.Dir); err != nil {
		return false, err
	}
	result, err = x.write.Exec(facts+", name = ?, dir = (SELECT id FROM dirs WHERE path = ?) WHERE id = ? AND state IN (?, ?)",
		append(values, f.Name, f.Dir, f.ID, int(Recording), int(Damaged))...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// damaged notes that the file of a name, which was not whole, cannot be read, and how much there is of it.
func (x *index) damaged(dir, name string, length time.Duration, bytes int64) error {
	_, err := x.write.Exec("UPDATE files SET state = ?, length = max(length, ?), bytes = ? WHERE name = ? AND state IN (?, ?) AND dir = (SELECT id FROM dirs WHERE path = ?)",
		int(Damaged), int64(length), bytes, name, int(Recording), int(Damaged), dir)
	return err
}

// removeName forgets the file of a name.
func (x *index) removeName(dir, name string) error {
	_, err := x.write.Exec("DELETE FROM files WHERE name = ? AND dir = (SELECT id FROM dirs WHERE path = ?)", name, dir)
	return err
}

// remove forgets a file.
func (x *index) remove(id string) error {
	_, err := x.write.Exec("DELETE FROM files WHERE id = ?", id)
	return err
}

// missing notes that a file which is in a state is not here: it is forgotten unless it is in the storage. One that has another state by now stays as it is.
func (x *index) missing(r *Row) error {
	query := "DELETE FROM files WHERE id = ? AND state = ?"
	if r.Object != "" {
		query = "UPDATE files SET state = 3, pending = 0 WHERE id = ? AND state = ?"
	}
	_, err := x.write.Exec(query, r.ID, int(r.State))
	return err
}

// columns are those of a Row, as scan reads them.
const columns = ` f.id, f.stream, r.recording, f.take, f.epoch, d.path, f.name, f.format, f.start, f.length, f.bytes, f.codecs, f.coding, f.missing,
	r.keep, r.upload, f.state, f.object FROM files f JOIN rules r ON r.id = f.rule JOIN dirs d ON d.id = f.dir `

func scan(rows interface{ Scan(...any) error }) (r Row, err error) {
	var start, epoch int64
	var keep string
	if err = rows.Scan(&r.ID, &r.Stream, &r.Recording, &r.Take, &epoch, &r.Dir, &r.Name, &r.Format, &start, &r.Duration, &r.Bytes,
		&r.Codecs, &r.Coding, &r.Missing, &keep, &r.Upload, &r.State, &r.Object); err != nil {
		return r, err
	}
	r.Epoch, r.Start = uint64(epoch), time.Unix(0, start).UTC()
	return r, json.Unmarshal([]byte(keep), &r.Keep)
}

// query returns the files that a condition on f, r and d selects.
func (x *index) query(ctx context.Context, where string, args ...any) ([]Row, error) {
	rows, err := x.read.QueryContext(ctx, "SELECT"+columns+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Row
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// after returns where the files behind a number are, in the order in which they were added and without those that are only in the storage, and
// the number of the last one. Of a Row it has ID, Dir, Name, State and Object.
func (x *index) after(ctx context.Context, seq int64, limit int) (list []Row, last int64, err error) {
	rows, err := x.read.QueryContext(ctx, `SELECT f.seq, f.id, d.path, f.name, f.state, f.object FROM files f JOIN dirs d ON d.id = f.dir
		WHERE f.seq > ? AND f.state <> ? ORDER BY f.seq LIMIT ?`, seq, int(Remote), limit)
	if err != nil {
		return nil, seq, err
	}
	defer rows.Close()
	for last = seq; rows.Next(); {
		var r Row
		if err := rows.Scan(&last, &r.ID, &r.Dir, &r.Name, &r.State, &r.Object); err != nil {
			return nil, seq, err
		}
		list = append(list, r)
	}
	return list, last, rows.Err()
}

// get returns a file by its id.
func (x *index) get(ctx context.Context, id string) (Row, error) {
	list, err := x.query(ctx, "WHERE f.id = ?", id)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Row{}, err
	}
	return list[0], nil
}

// longest is the duration of a stream's longest file; of one that is being written it is not known.
func (x *index) longest(ctx context.Context, stream string) (d time.Duration, err error) {
	var n sql.NullInt64
	err = x.read.QueryRowContext(ctx, "SELECT max(length) FROM files WHERE stream = ?", stream).Scan(&n)
	return time.Duration(n.Int64), err
}

// within returns the first limit files of a stream, of one recording or of all, that have something between two times, those that are
// being written and neighbours within a joint included, in the order of their beginnings. after is the last file of the page before.
func (x *index) within(ctx context.Context, stream, recording string, from, to time.Time, after *place, limit int) ([]Row, error) {
	longest, err := x.longest(ctx, stream)
	if err != nil {
		return nil, err
	}
	if from.Before(earliest) {
		from = earliest
	}
	if to.After(latest) {
		to = latest
	}
	begin, id := from.Add(-longest-joint).UnixNano(), ""
	if after != nil {
		begin, id = max(begin, after.Start), after.ID
	}
	// What ends or begins within a joint of the range decides where its neighbours end.
	from, to = from.Add(-joint), to.Add(joint)
	list, err := x.query(ctx, `WHERE f.stream = ? AND (f.start, f.id) > (?, ?) AND f.start < ? AND (f.start + f.length > ? OR f.state = 0)
		AND ? IN ('', r.recording) ORDER BY f.start, f.id LIMIT ?`, stream, begin, id, to.UnixNano(), from.UnixNano(), recording, limit)
	if err != nil || after != nil {
		return list, err
	}
	// What is being written may be longer than all that is whole.
	open, err := x.query(ctx, "WHERE f.state = 0 AND f.stream = ? AND f.start < ? AND f.start < ? AND ? IN ('', r.recording) ORDER BY f.start, f.id", stream, begin, to.UnixNano(), recording)
	return append(open, list...)[:min(limit, len(open)+len(list))], err
}

// start returns when the n-th file begins, counted back from a time, of one recording of a stream or of all; it is earliest if there are fewer.
func (x *index) start(ctx context.Context, stream, recording string, before time.Time, n int) (time.Time, error) {
	if before.After(latest) {
		before = latest
	}
	var start int64
	err := x.read.QueryRowContext(ctx, `SELECT f.start FROM files f JOIN rules r ON r.id = f.rule WHERE f.stream = ? AND f.start < ? AND ? IN ('', r.recording)
		ORDER BY f.start DESC LIMIT 1 OFFSET ?`, stream, before.UnixNano(), recording, n-1).Scan(&start)
	if errors.Is(err, sql.ErrNoRows) {
		return earliest, nil
	}
	return time.Unix(0, start).UTC(), err
}

// Times beyond these are taken for them: nanoseconds since 1970 do not reach farther.
var (
	earliest = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// place is where a page of files ended.
type place struct {
	Stream string `json:"s"`
	Start  int64  `json:"t"`
	ID     string `json:"i"`
}

// streams returns the paths of the streams that have files, the first limit behind after.
func (x *index) streams(ctx context.Context, after string, limit int) ([]string, error) {
	var list []string
	for len(list) < limit {
		var s string
		err := x.read.QueryRowContext(ctx, "SELECT stream FROM files WHERE stream > ? ORDER BY stream LIMIT 1", after).Scan(&s)
		if errors.Is(err, sql.ErrNoRows) {
			break
		}
		if err != nil {
			return nil, err
		}
		list, after = append(list, s), s
	}
	return list, nil
}

// nested returns the directories of files that lie in a directory or in which it lies, and itself.
func (x *index) nested(ctx context.Context, dir string) ([]string, error) {
	rows, err := x.read.QueryContext(ctx, "SELECT path FROM dirs")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []string{dir}
	for rows.Next() {
		var other string
		if err := rows.Scan(&other); err != nil {
			return nil, err
		}
		if other != dir && (below(dir, other) != "" || below(other, dir) != "") {
			list = append(list, other)
		}
	}
	return list, rows.Err()
}

// unfinished returns the directories of files that are not whole.
func (x *index) unfinished(ctx context.Context) ([]string, error) {
	rows, err := x.read.QueryContext(ctx, "SELECT path FROM dirs WHERE id IN (SELECT dir FROM files WHERE state IN (?, ?))", int(Recording), int(Damaged))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var dir string
		if err := rows.Scan(&dir); err != nil {
			return nil, err
		}
		list = append(list, dir)
	}
	return list, rows.Err()
}

// below returns the slashed path of a file below a directory; "" if it is not there.
func below(file, dir string) string {
	name, err := filepath.Rel(dir, file)
	if err != nil || !filepath.IsLocal(name) || name == "." {
		return ""
	}
	return filepath.ToSlash(name)
}

// has reports whether the index knows a file, as one of any of the directories in which it is.
func (x *index) has(ctx context.Context, dirs []string, file string) (bool, error) {
	for _, dir := range dirs {
		name := below(file, dir)
		if name == "" {
			continue
		}
		var n int
		err := x.read.QueryRowContext(ctx, "SELECT count(*) FROM files f JOIN dirs d ON d.id = f.dir WHERE d.path = ? AND f.name = ?", dir, name).Scan(&n)
		if n > 0 || err != nil {
			return n > 0, err
		}
	}
	return false, nil
}

// taken reports whether a name is that of a file which is in the storage, whether or not it is here, too.
func (x *index) taken(dir, name string) (bool, error) {
	var n int
	err := x.read.QueryRow("SELECT count(*) FROM files f JOIN dirs d ON d.id = f.dir WHERE d.path = ? AND f.name = ? AND f.object <> ''", dir, name).Scan(&n)
	return n > 0, err
}
