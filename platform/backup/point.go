package backup

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/seal"
)

// Point is one backup: the state of a commit, as lists of chunks.
type Point struct {
	record.ExportPoint
	Made    time.Time `json:"made"`
	Records []string  `json:"records"`
	Blobs   []string  `json:"blobs"`
	Files   []string  `json:"files"`
	// Roots are the files with sealed root keys that lay beside the ring; null in points from before they were named here.
	Roots []string `json:"roots"`
	Count Count    `json:"count"`
}

// Count is how much a point holds.
type Count struct {
	Spaces   int64 `json:"spaces"`
	Lost     int64 `json:"lost,omitempty"` // spaces whose key is deleted
	Records  int64 `json:"records"`
	Versions int64 `json:"versions"`
	Messages int64 `json:"messages"`
	Blobs    int64 `json:"blobs"`
	Files    int64 `json:"files"`
}

const (
	pointMagic = "GALENPNT"
	maxPoint   = 1 << 30
	pointTime  = "20060102T150405.000000Z"
)

func (p *Point) name() string {
	return fmt.Sprintf("%s%s-%d", pointFolder, p.Time.UTC().Format(pointTime), p.Seq)
}

// pointHead is what opens a point: the key ring, sealed under the root key, and the backup's key, which the ring wraps.
//
//	magic 8 | format 2 | ring's length 4 | ring | key's length 2 | wrapped key
func pointHead(ring, wrapped []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte(pointMagic), format)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(ring))), ring...)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(wrapped))), wrapped...)
}

// splitPoint takes a point's file apart.
func splitPoint(b []byte) (head, ring, wrapped, body []byte, err error) {
	bad := errs.New(errs.Corrupt, "it is damaged")
	at := len(pointMagic) + 2 + 4
	if len(b) < at || string(b[:len(pointMagic)]) != pointMagic {
		return nil, nil, nil, nil, bad
	}
	if f := binary.BigEndian.Uint16(b[len(pointMagic):]); f != format {
		return nil, nil, nil, nil, errs.New(errs.Unsupported, "it has format %d, this version of Galen knows %d: use the version that wrote it, or a newer one", f, format)
	}
	n := int64(binary.BigEndian.Uint32(b[at-4:]))
	if int64(len(b)) < int64(at)+n+2 {
		return nil, nil, nil, nil, bad
	}
	ring = b[at : int64(at)+n]
	at += int(n) + 2
	k := int(binary.BigEndian.Uint16(b[at-2:]))
	if len(b) < at+k {
		return nil, nil, nil, nil, bad
	}
	return b[:at+k], ring, b[at : at+k], b[at+k:], nil
}

// write makes the point the backup's newest. Everything that it names must be there to stay.
func (v *vault) write(ctx context.Context, p *Point, ring []byte) error {
	j, err := json.Marshal(p)
	if err != nil {
		return err
	}
	head := pointHead(ring, v.wrapped)
	body, err := seal.Seal(v.aead, j, head)
	if err != nil {
		return err
	}
	if err := v.place.Put(ctx, p.name(), bytes.NewReader(append(head, body...))); err != nil {
		return err
	}
	if err := v.place.Settle(ctx); err != nil {
		return err
	}
	_, err = v.point(ctx, p.name())
	return err
}

// point reads one.
func (v *vault) point(ctx context.Context, name string) (*Point, error) {
	b, err := readAll(ctx, v.place, name, maxPoint)
	if err != nil {
		return nil, err
	}
	head, _, _, body, err := splitPoint(b)
	if err != nil {
		return nil, errs.Wrap(errs.CodeOf(err), err, "%s: %s", name, errs.As(err).Message)
	}
	j, err := seal.Open(v.aead, body, head)
	if err != nil {
		return nil, errs.New(errs.Corrupt, "%s is damaged", name)
	}
	p := &Point{}
	if err := json.Unmarshal(j, p); err != nil || p.name() != name {
		return nil, errs.New(errs.Corrupt, "%s is damaged", name)
	}
	return p, nil
}

// points are the names of all points, the oldest first.
func points(ctx context.Context, place Place) (names []string, err error) {
	err = place.List(ctx, pointFolder, func(name string) error {
		names = append(names, name)
		return nil
	})
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(a, b) })
	return names, err
}

// timeOf is the time in a point's name.
func timeOf(name string) (time.Time, error) {
	at, _, _ := strings.Cut(strings.TrimPrefix(name, pointFolder), "-")
	t, err := time.Parse(pointTime, at)
	if err != nil {
		return t, errs.New(errs.Corrupt, "%s is no name of a point", name)
	}
	return t, nil
}
