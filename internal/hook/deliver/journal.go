package deliver

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/internal/event"
)

// journal keeps the events of one hook in a directory, until they are received.
//
// It is one file of lines, which only grows: a checksum (CRC-32, 8 hexadecimal digits), a space, a
// letter for what the line is, a space, and the rest. When most of the file is of no use any more, what
// is still needed is written to a new one, with the next number in its name, and the old one is
// removed. A line that a crash left incomplete is ignored.
//
//	e N ENVELOPE   an event to be sent, with its number in the journal
//	a N            it was received, or is not to be sent any more
//	o EVENT        something has begun, of which the hook is not told
//	c EVENT        and has ended
//	s N STREAM     the last sequence number of a stream, STREAM in JSON
//	f N            the floor of the sequence numbers
type journal struct {
	dir  string
	lock *os.File

	mu      sync.Mutex // guards below, the writes to the file included; only compact waits for the disk under it
	file    *os.File
	path    string // of the file; its own name is the one it was made under
	number  int    // of the file, in its name
	size    int64  // of the file
	live    int64  // what of it is still needed, about
	last    uint64 // number of the last event
	dirty   bool   // something was written since the last sync
	pending map[uint64]*item
	begun   map[string][]byte // events that began something that has not ended, by type and subject
	seqs    *sequence
	bad     int // lines that could not be read
}

const (
	// compactSize is the size of a file below which it is left alone, in bytes.
	compactSize = 32 << 20
	// maxLine bounds a line that is read, in bytes.
	maxLine = 1 << 20
	lineFor = len("00000000 e \n") + 20
)

// openJournal opens the journal in a directory, which is made if need be. Nobody else may have it open.
func openJournal(dir string) (*journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("deliver: the directory of a hook: %w", err)
	}
	lock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("deliver: %s is in use by another server, or cannot be locked: %w", dir, err)
	}
	j := newJournal(dir)
	j.lock = lock
	if err := j.load(); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("deliver: the journal in %s: %w", dir, err)
	}
	return j, nil
}

func newJournal(dir string) *journal {
	return &journal{dir: dir, pending: map[uint64]*item{}, begun: map[string][]byte{}, seqs: newSequence()}
}

// load reads the newest file and begins a new one with what is still needed of it.
func (j *journal) load() error {
	names, err := filepath.Glob(filepath.Join(j.dir, "journal-*.log"))
	if err != nil {
		return err
	}
	slices.Sort(names)
	if len(names) > 0 {
		newest := names[len(names)-1]
		if j.number, err = strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(newest), "journal-"), ".log")); err != nil {
			return fmt.Errorf("%s is no name of a file of a journal: move it away", newest)
		}
		b, err := os.ReadFile(newest)
		if err != nil {
			return err
		}
		j.read(b)
	}
	if err := j.compact(); err != nil {
		return err
	}
	for _, n := range names { // those before, too, if an earlier removal failed
		if n != j.path {
			_ = os.Remove(n)
		}
	}
	return nil
}

// read takes in the lines of a file.
func (j *journal) read(b []byte) {
	for len(b) > 0 {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		b = rest
		if !whole || len(line) > maxLine || !j.readLine(line) {
			j.bad++
		}
	}
}

func (j *journal) readLine(line []byte) bool {
	sum, text, ok := strings.Cut(string(line), " ")
	if want, err := strconv.ParseUint(sum, 16, 32); !ok || err != nil || uint32(want) != crc32.ChecksumIEEE([]byte(text)) {
		return false
	}
	kind, text, _ := strings.Cut(text, " ")
	number := func() (uint64, string, bool) {
		digits, rest, _ := strings.Cut(text, " ")
		n, err := strconv.ParseUint(digits, 10, 64)
		return n, rest, err == nil
	}
	switch kind {
	case "e":
		n, body, ok := number()
		var v envelope
		if !ok || json.Unmarshal([]byte(body), &v) != nil {
			return false
		}
		e := v.event()
		it := newItem(&e, []byte(body))
		it.n = n
		j.keep(it, v.Seq)
		j.note(&e)
	case "a":
		n, _, ok := number()
		delete(j.pending, n)
		return ok
	case "o", "c":
		var e event.Event
		if json.Unmarshal([]byte(text), &e) != nil {
			return false
		}
		j.note(&e)
	case "s":
		n, quoted, ok := number()
		var stream string
		if !ok || json.Unmarshal([]byte(quoted), &stream) != nil {
			return false
		}
		j.seqs.set(stream, n)
	case "f":
		n, _, ok := number()
		j.seqs.floor = max(j.seqs.floor, n)
		return ok
	default:
		return false
	}
	return true
}

// keep notes an event to be sent.
func (j *journal) keep(it *item, seq uint64) {
	j.pending[it.n] = it
	j.last = max(j.last, it.n)
	j.seqs.set(it.stream, seq)
}

// note notes what begins or ends with an event, and reports whether something does.
func (j *journal) note(e *event.Event) bool {
	if event.StopOf(e.Type) != "" {
		b, err := json.Marshal(e)
		if err != nil {
			return false
		}
		j.begun[e.Type+" "+e.Subject()] = b
		return true
	}
	if start := event.StartOf(e.Type); start != "" {
		delete(j.begun, start+" "+e.Subject())
		return true
	}
	return false
}

// unended returns the events that began something that has not ended, the newest first: in that order
// what they began is to end.
func (j *journal) unended() []event.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	var all []event.Event
	for _, b := range j.begun {
		var e event.Event
		if json.Unmarshal(b, &e) == nil {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b event.Event) int { return cmp.Compare(b.ID, a.ID) })
	return all
}

// unsent returns the events that are to be sent, in their order.
func (j *journal) unsent() []*item {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.inOrder()
}

func (j *journal) inOrder() []*item {
	return slices.SortedFunc(maps.Values(j.pending), func(a, b *item) int { return cmp.Compare(a.n, b.n) })
}

// entry is an event with its item, nil if the hook is not told of it.
type entry struct {
	event event.Event
	item  *item
	seq   uint64
}

// add writes events, and numbers their items. If it fails they are in no file, and a crash loses them.
func (j *journal) add(entries []entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var b []byte
	for i := range entries {
		en := &entries[i]
		noted := j.note(&en.event)
		switch it := en.item; {
		case it != nil:
			j.last++
			it.n = j.last
			j.keep(it, en.seq)
			b = line(b, "e "+strconv.FormatUint(it.n, 10)+" ", it.body)
			j.live += int64(len(it.body) + lineFor)
		case noted:
			kind := "o "
			if event.StartOf(en.event.Type) != "" {
				kind = "c "
			}
			text, err := json.Marshal(&en.event)
			if err != nil {
				return err
			}
			b = line(b, kind, text)
		}
	}
	return j.write(b)
}

// ack writes that events were received, or are not to be sent any more.
func (j *journal) ack(items ...*item) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var b []byte
	for _, it := range items {
		if j.pending[it.n] == nil {
			continue
		}
		delete(j.pending, it.n)
		j.live -= int64(len(it.body) + lineFor)
		b = line(b, "a ", strconv.AppendUint(nil, it.n, 10))
	}
	return j.write(b)
}

// write appends lines to the file. mu is held.
func (j *journal) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	n, err := j.file.Write(b)
	j.size += int64(n)
	j.dirty = true
	if err != nil && n > 0 { // what follows must not go on in the middle of a line
		if m, e := j.file.Write([]byte("\n")); e == nil {
			j.size += int64(m)
		}
	}
	return err
}

// line appends a line to b.
func line(b []byte, head string, text []byte) []byte {
	sum := crc32.Update(crc32.ChecksumIEEE([]byte(head)), crc32.IEEETable, text)
	b = fmt.Appendf(b, "%08x ", sum)
	b = append(b, head...)
	b = append(b, text...)
	return append(b, '\n')
}

// syncEvery is how often the file is forced to the disk, if something was written.
const syncEvery = time.Second

// sync forces what was written to the disk, or begins a new file if that one is mostly of no use. It
// returns how often it waited for the disk.
func (j *journal) sync() (waits int, err error) {
	j.mu.Lock()
	if !j.dirty {
		j.mu.Unlock()
		return 0, nil
	}
	if j.size > max(compactSize, 2*j.live) {
		defer j.mu.Unlock()
		return 2, j.compact()
	}
	j.dirty = false
	f := j.file
	j.mu.Unlock()
	return 1, f.Sync()
}

// compact begins a new file with what is still needed. mu is held, or nobody else has the journal.
func (j *journal) compact() error {
	name := filepath.Join(j.dir, fmt.Sprintf("journal-%09d.log", j.number+1))
	f, err := os.OpenFile(name+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	b, head := j.snapshot()
	err = writeAll(f, b)
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = f.Close()
		_ = os.Remove(name + ".new")
		return err
	}
	old, gone := j.file, j.path
	j.path = name
	j.file, j.number, j.size, j.live, j.dirty = f, j.number+1, int64(len(b)), int64(len(b)-head), false
	if old != nil {
		_ = old.Close()
		_ = os.Remove(gone)
	}
	return syncDir(j.dir)
}

// snapshot returns the lines that are still needed; head is how many bytes of them are about sequence
// numbers. mu is held.
func (j *journal) snapshot() (b []byte, head int) {
	b = line(nil, "f ", strconv.AppendUint(nil, j.seqs.floor, 10))
	j.seqs.all(func(stream string, n uint64) {
		quoted, _ := json.Marshal(stream) //nolint:errchkjson // a text
		b = line(b, "s "+strconv.FormatUint(n, 10)+" ", quoted)
	})
	head = len(b)
	for _, e := range j.begun {
		b = line(b, "o ", e)
	}
	for _, it := range j.inOrder() {
		b = line(b, "e "+strconv.FormatUint(it.n, 10)+" ", it.body)
		b = j.closeAgain(b, it)
	}
	return b, head
}

// closeAgain appends that what began with a pending event has ended, if so: its end may be in no line
// that is kept. mu is held.
func (j *journal) closeAgain(b []byte, it *item) []byte {
	stop := event.StopOf(it.typ)
	if stop == "" {
		return b
	}
	var v envelope
	if json.Unmarshal(it.body, &v) != nil {
		return b
	}
	e := v.event()
	if j.begun[e.Type+" "+e.Subject()] != nil {
		return b
	}
	e.Type = stop
	text, err := json.Marshal(&e)
	if err != nil {
		return b
	}
	return line(b, "c ", text)
}

// writeAll writes b to f, and forces it to the disk.
func writeAll(f *os.File, b []byte) error {
	if _, err := io.Copy(f, bytes.NewReader(b)); err != nil {
		return err
	}
	return f.Sync()
}

// close forces everything to the disk and gives the directory up.
func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return errors.Join(j.file.Sync(), j.file.Close(), j.lock.Close())
}
