package operations

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	s3api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/test/galen"
)

// trailName is how CloudTrail names its files (CloudTrail user guide, "Finding your CloudTrail log files").
var trailName = regexp.MustCompile(`^hospital/AWSLogs/(\d{12})/CloudTrail/([a-z0-9-]+)/\d{4}/\d\d/\d\d/\d{12}_CloudTrail_[a-z0-9-]+_\d{8}T\d{4}Z_[A-Za-z0-9]{16}\.json\.gz$`)

// sent is the position of the one receiver of a server's log.
func sent(t *testing.T, dir string) (next uint64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "audit", "shipped", "*.json"))
	if err != nil || len(files) == 0 {
		return 0
	}
	var p struct{ Next uint64 }
	b, err := os.ReadFile(files[0])
	if err != nil || json.Unmarshal(b, &p) != nil {
		t.Fatalf("%s: %v %s", files[0], err, b)
	}
	return p.Next
}

// TestTrailOnS3: what is logged comes to a bucket of another server as CloudTrail's files, without a gap, while both servers are killed.
func TestTrailOnS3(t *testing.T) {
	ctx := context.Background()
	t.Setenv("GALEN_AUDIT_AWS_ACCESS_KEY_ID", galen.AccessKeyID)
	t.Setenv("GALEN_AUDIT_AWS_SECRET_ACCESS_KEY", galen.SecretAccessKey)
	archive := galen.Start(t)
	bucket := s3api.NewClient(archive.Client())
	if _, err := bucket.CreateBucket(ctx, &s3api.CreateBucketInput{Bucket: "trail"}); err != nil {
		t.Fatal(err)
	}
	s := galen.Start(t, "--audit-to", "s3://trail/hospital?endpoint="+archive.URL+"&every=1s&timeout=2s")
	own := s3api.NewClient(s.Client())
	acknowledged := 0
	calls := func(n int) {
		for range n {
			if _, err := own.ListBuckets(ctx, &s3api.ListBucketsInput{}); err == nil {
				acknowledged++
			}
		}
	}
	kills := 2
	if os.Getenv("GALEN_TRAIL_KILLS") != "" {
		kills = 20
	}
	for n := range kills {
		calls(300)
		if n%2 == 1 { // the archive is away meanwhile
			archive.Kill()
			calls(50)
		}
		before := sent(t, s.Dir)
		for end := time.Now().Add(10 * time.Second); n%2 == 0 && sent(t, s.Dir) == before && time.Now().Before(end); { // while objects are put
			time.Sleep(20 * time.Millisecond)
		}
		s.Kill()
		if n%2 == 1 {
			archive.Run()
		}
		s.Run()
	}
	calls(10)
	s.Stop()
	size := uint64(0)
	want := map[string]bool{}
	if err := audit.Read(ctx, filepath.Join(s.Dir, "audit"), func(at uint64, e *audit.Entry) error {
		size, want[e.ID] = at+1, true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	s.Run()
	for end := time.Now().Add(time.Minute); sent(t, s.Dir) < size; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d of %d entries were sent", sent(t, s.Dir), size)
		}
	}
	objects, twice, lists := 0, 0, 0
	seen := map[string]bool{}
	list, err := bucket.ListObjectsV2(ctx, &s3api.ListObjectsV2Input{Bucket: "trail"})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list.Contents {
		objects++
		if !trailName.MatchString(o.Key) {
			t.Errorf("CloudTrail names no file %s", o.Key)
		}
		got, err := bucket.GetObject(ctx, &s3api.GetObjectInput{Bucket: "trail", Key: o.Key})
		if err != nil {
			t.Fatal(err)
		}
		zip, err := gzip.NewReader(got.Body)
		if err != nil {
			t.Fatalf("%s: %v", o.Key, err)
		}
		var file struct {
			Records []struct{ EventVersion, EventID, EventName, EventSource, EventTime, AWSRegion, RecipientAccountID string }
		}
		if err := json.NewDecoder(zip).Decode(&file); err != nil {
			t.Fatalf("%s: %v", o.Key, err)
		}
		_ = got.Body.Close()
		for _, r := range file.Records {
			if seen[r.EventID] {
				twice++
			}
			seen[r.EventID] = true
			if r.EventName == "ListBuckets" {
				lists++
			}
			if r.EventVersion == "" || r.EventSource == "" || r.AWSRegion != galen.Region || r.RecipientAccountID != galen.Account {
				t.Errorf("a record is %+v", r)
			}
		}
	}
	missing := 0
	for id := range want {
		if !seen[id] {
			missing++
		}
	}
	if missing > 0 || lists < acknowledged {
		t.Errorf("%d of %d entries are missing; %d of %d acknowledged calls are there", missing, len(want), lists, acknowledged)
	}
	t.Logf("%d kills: %d acknowledged calls, %d entries of the log, %d objects, %d missing, %d twice", kills, acknowledged, len(want), objects, missing, twice)
}
