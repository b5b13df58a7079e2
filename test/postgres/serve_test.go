package postgres_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/test/galen"
)

// serverKills is how many servers the short form kills.
const serverKills = 4

// fhir makes a FHIR call; any status but the wanted is an error.
func fhir(ctx context.Context, g *galen.Server, method, path, body string, want int) ([]byte, error) {
	header := map[string]string{"Content-Type": "application/fhir+json"}
	status, answer, err := g.Client().Send(ctx, "healthlake", method, path, header, bytes.NewReader([]byte(body)), 1<<20)
	if err == nil && status != want {
		err = fmt.Errorf("%s %s: %d %.200s", method, path, status, answer)
	}
	return answer, err
}

// TestThreeServers: three `galen serve` on one database and one key folder take FHIR writes and reads under kill -9 at random, and PostgreSQL is killed once. What was
// acknowledged by one is there on all, once, and found by its indexes; galen verify finds nothing.
func TestThreeServers(t *testing.T) {
	pg := galen.Postgres(t)
	url, keys := pg.Database(t), filepath.Join(t.TempDir(), "keys")
	var servers [3]*galen.Server
	for i := range servers {
		servers[i] = galen.New(t, t.TempDir(), "--records", url, "--keys-dir", keys, "--services", "healthlake")
		servers[i].Run()
	}
	ctx := t.Context()
	lake, err := healthlake.NewClient(servers[0].Client()).CreateFHIRDatastore(ctx, &healthlake.CreateFHIRDatastoreInput{DatastoreTypeVersion: healthlake.FHIRVersionR4})
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) { // another server than the one that was asked sees it become active
		d, err := healthlake.NewClient(servers[1].Client()).DescribeFHIRDatastore(ctx, &healthlake.DescribeFHIRDatastoreInput{DatastoreId: lake.DatastoreId})
		if err == nil && d.DatastoreProperties.DatastoreStatus == healthlake.DatastoreStatusActive {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the data store is not active after a minute: %v", err)
		}
	}
	root := "/datastore/" + lake.DatastoreId + "/r4"
	var mu sync.Mutex
	acked := map[string]string{}
	tried, refused := 0, 0
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				name := fmt.Sprintf("p%d-%d", w, n)
				g := servers[(w+n)%3]
				b, err := fhir(ctx, g, "POST", root+"/Patient", fmt.Sprintf(`{"resourceType":"Patient","identifier":[{"system":"urn:n","value":"%s"}]}`, name), 201)
				var made struct{ ID string }
				if err == nil {
					err = json.Unmarshal(b, &made)
				}
				mu.Lock()
				tried++
				if err == nil {
					acked[name] = made.ID
				} else {
					refused++
				}
				mu.Unlock()
				if err != nil {
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(acked) }
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	crashes := 0
	for n := range serverKills {
		for want, end := count()+5+rng.IntN(20), time.Now().Add(30*time.Second); count() < want && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if n == serverKills/2 {
			pg.Crash()
			crashes++
			if err := pg.Run(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		i := rng.IntN(3)
		servers[i].Kill()
		servers[i].Run()
	}
	close(stop)
	wg.Wait()
	lost := 0
	for name, id := range acked {
		for i, g := range servers {
			b, err := fhir(ctx, g, "GET", root+"/Patient/"+id, "", 200)
			if err != nil || !strings.Contains(string(b), name) {
				lost++
				t.Errorf("server %d does not have %s: %v %.200s", i, name, err, b)
			}
		}
	}
	found := 0
	for w := range 4 {
		for n := 0; n < tried; n++ {
			name := fmt.Sprintf("p%d-%d", w, n)
			if acked[name] == "" {
				continue
			}
			b, err := fhir(ctx, servers[n%3], "GET", root+"/Patient?identifier=urn:n%7C"+name, "", 200)
			if hits := strings.Count(string(b), `"resourceType":"Patient"`); err != nil || hits != 1 {
				t.Errorf("a search finds %s %d times: %v", name, hits, err)
			}
			found++
		}
	}
	for _, g := range servers {
		g.Stop()
	}
	for i, g := range servers {
		if out, err := exec.Command(galen.Binary(t), "verify", "--data-dir", g.Dir, "--records", url, "--keys-dir", keys).CombinedOutput(); err != nil {
			t.Errorf("galen verify on server %d's folder: %v\n%s", i, err, out)
		}
	}
	t.Logf("3 servers, %d kills of them and %d of PostgreSQL: %d of %d writes acknowledged, %d refused; %d lost, %d found by search once", serverKills-crashes, crashes, len(acked), tried, refused, lost, found)
	if len(acked) < 60 {
		t.Errorf("%d writes prove little", len(acked))
	}
}
