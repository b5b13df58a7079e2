package s3

import (
	"context"

	"github.com/galen-health/galen/platform/record"
)

// Everything below a bucket is indexed by "name": the bucket, "/", the object's key (and for versions and uploads more). Bucket names have no
// slash, so a bucket's entries lie together, in the byte order of the keys, which is S3's order.

// A query reads most records at once; after a seek, few at first and then twice as many each time, since who seeks once (past a common prefix) may
// seek again at once.
const (
	batch = 1000
	few   = 4
)

// names walks the records of one kind and bucket in the order of their names.
type names struct {
	ctx    context.Context
	view   record.View
	kind   string
	bucket string
	low    string // key
	open   bool   // low itself is not wanted
	high   string // of the whole name; "" = to the end of the index
	most   int    // records that one query reads
	limit  int    // records that the next one reads
	hits   []record.Version
	cursor record.Cursor
	where  record.Expr
	done   bool
}

// newNames starts at the first key with a prefix.
func newNames(ctx context.Context, v record.View, kind, bucket, prefix string) *names {
	return &names{ctx: ctx, view: v, kind: kind, bucket: bucket, low: prefix, high: successor(bucket + "/" + prefix), most: batch, limit: batch}
}

// seek goes on at the first name from low, or after it.
func (n *names) seek(low string, open bool) {
	if low < n.low {
		return
	}
	n.limit = few
	n.low, n.open, n.hits, n.cursor, n.where, n.done = low, open, nil, "", nil, false
}

// next returns the next record, nil at the end. The record may be kept.
func (n *names) next() (*record.Version, error) {
	for len(n.hits) == 0 {
		if n.done {
			return nil, nil
		}
		if n.where == nil {
			n.where = record.Range{Index: "name", Low: record.String(n.bucket + "/" + n.low), LowOpen: n.open, High: record.String(n.high), HighOpen: true}
		}
		p, err := n.view.Query(n.ctx, record.Query{Kind: n.kind, Where: n.where, Order: []record.Order{{Index: "name"}}, After: n.cursor, Limit: min(n.limit, n.most)})
		if err != nil {
			return nil, err
		}
		n.hits, n.cursor, n.done = p.Hits, p.Next, p.Next == ""
		n.limit = min(2*n.limit, batch)
	}
	h := &n.hits[0]
	n.hits = n.hits[1:]
	return h, nil
}

// successor is the least string above all strings with this prefix, "" when there is none.
func successor(prefix string) string {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return prefix[:i] + string([]byte{prefix[i] + 1})
		}
	}
	return ""
}
