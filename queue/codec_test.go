package queue

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

func fullItem() *Item {
	at := time.UnixMilli(1893553445678)
	return &Item{ID: "a.B-c_1", Sender: "älice@example.org", Received: at, Next: at.Add(time.Hour), Expires: at.Add(192 * time.Hour), Tried: at.Add(time.Minute),
		Attempts: 3, Crashes: 1, Size: 1 << 40, Hold: "why", UTF8: true, Note: map[string]string{"k": "v", "": ""},
		Recipients: []Recipient{{Address: "b@example.com", State: Failed, Attempts: 2, Reply: "550 no", Server: "mx", Changed: at}, {}}}
}

func TestItemGoesThroughTheCodec(t *testing.T) {
	for _, it := range []*Item{fullItem(), {ID: "x"}} {
		b := appendItem(nil, it)
		got, err := decodeItem(b)
		if err != nil || !reflect.DeepEqual(got, it) {
			t.Errorf("%+v became %+v, %v", it, got, err)
		}
		for n := range b {
			if _, err := decodeItem(b[:n]); err == nil {
				t.Errorf("the first %d of %d bytes are an item", n, len(b))
			}
		}
		if _, err := decodeItem(append(b, 0)); err == nil {
			t.Error("a byte too many is not noticed")
		}
	}
}

func FuzzDecodeItem(f *testing.F) {
	f.Add(appendItem(nil, fullItem()))
	f.Add(appendItem(nil, &Item{ID: "x"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		it, err := decodeItem(b)
		if err != nil {
			return
		}
		again, err := decodeItem(appendItem(nil, it))
		if err != nil || !reflect.DeepEqual(it, again) {
			t.Errorf("%+v became %+v, %v", it, again, err)
		}
	})
}

// FuzzScan reads segments of any bytes behind a good head: never a panic, never a record that was not there, and the
// untouched record at the end is found unless bytes before it claim its place.
func FuzzScan(f *testing.F) {
	dir := f.TempDir()
	s, err := openSpool(filepath.Join(dir, "spool"), 1<<16)
	if err != nil {
		f.Fatal(err)
	}
	var recs []*record
	for _, id := range []string{"a", "b"} {
		recs = append(recs, newRecord(&Item{ID: id, Size: 600, Recipients: []Recipient{{Address: "x@example.com"}}}, [][]byte{bytes.Repeat([]byte(id), 600)}))
	}
	if err := s.append(recs); err != nil {
		f.Fatal(err)
	}
	s.added(recs[0].place) // else it goes when it is sealed
	if err := s.seal(); err != nil || recs[0].place.off != sector {
		f.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(dir, "spool", "000000000001.seg"))
	if err != nil {
		f.Fatal(err)
	}
	first := good[sector:recs[1].place.off]
	f.Add(first)
	f.Add(make([]byte, len(first)))
	f.Add(bytes.Repeat([]byte{0xff}, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		seg := bytes.Clone(good)
		copy(seg[sector:recs[1].place.off], b)
		var ids []string
		_, err := scanRecords(bytes.NewReader(seg), seg[len(segMagic):len(segMagic)+16], int64(len(seg)), 1, 0, func(r found) error {
			if r.whole {
				ids = append(ids, r.it.ID)
			}
			return nil
		}, func(int64, int64) {})
		if err != nil {
			t.Fatal(err)
		}
		if len(ids) == 0 || ids[len(ids)-1] != "b" || len(ids) > 2 || len(ids) == 2 && ids[0] != "a" {
			t.Errorf("found %q", ids)
		}
	})
}
