package keys

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/backup"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/blob/sealed"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
	"github.com/galen-health/galen/test/galen"
)

// secret is in what is stored of the patient in every store whose records are under a key of its own.
const secret = "Shreddable"

// A copy of the disk is taken, then all stores and buckets are deleted. With the keys that are left nothing of them opens: not one body of the copy, no space of its
// records; and of a backup that is made then neither.
func TestDeletedStoresAreShredded(t *testing.T) {
	if os.Getenv("GALEN_TEST_RECORDS") == "postgres" {
		t.Skip("the copy of the disk has no records then")
	}
	dir := t.TempDir()
	g := galen.New(t, dir)
	g.Run()
	s := build(t, g, "")
	if _, ok := s.query(); !ok {
		t.Fatal("the query failed")
	}
	if status, b := s.fhir("PUT", "Patient/named", `{"resourceType":"Patient","id":"named","name":[{"family":"`+secret+`"}]}`); status != 201 {
		t.Fatalf("PUT: %d %s", status, b)
	}
	g.Stop()
	old := filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	root := rootKey(t, dir)
	before := look(t, old, filepath.Join(old, "keys"), root)
	if before.opened < 8 || before.closed > 0 || len(before.lost) > 0 || !before.secret {
		t.Fatalf("the test sees too little: %+v", before)
	}

	g = galen.New(t, dir)
	g.Run()
	s.g, s.h = g, g.Client()
	s.deleteAll(true)
	place := filepath.Join(t.TempDir(), "backup")
	if out, err := g.Exec("admin", "backup", place); err != nil {
		t.Fatalf("backup: %v %s", err, out)
	}
	g.Stop()

	after := look(t, old, filepath.Join(dir, "keys"), root)
	if after.opened > 0 || after.closed != before.opened || after.secret || len(after.lost) < 2 {
		t.Errorf("of the copy of the disk, with the keys that are left: %+v; before: %+v", after, before)
	}
	now := look(t, dir, filepath.Join(dir, "keys"), root)
	if now.opened > 0 || now.secret {
		t.Errorf("of the disk: %+v", now)
	}
	t.Logf("before: %d bodies opened; after: %d did not, spaces %v are lost", before.opened, after.closed, after.lost)
	inBackup(t, place, root, before.ids)
}

func rootKey(t *testing.T, dir string) []byte {
	t.Helper()
	text := must[[]byte](t)(os.ReadFile(filepath.Join(dir, "keys", "root.key")))
	return must[[]byte](t)(base64.StdEncoding.DecodeString(strings.TrimSpace(string(text))))
}

// seen is what somebody reads who has a data folder, a key ring and its root key.
type seen struct {
	ids            []string
	opened, closed int
	lost           []string // spaces
	secret         bool     // is in a record
}

// look reads all of a copy of a data folder, minding no state of keys.
func look(t *testing.T, dir, keys string, root []byte) (s seen) {
	t.Helper()
	ring := must[*keyring.Ring](t)(keyring.OpenSealed(must[[]byte](t)(os.ReadFile(filepath.Join(keys, keyring.Files()[0]))), root, keyring.Config{Account: galen.Account, Region: galen.Region}))
	defer ring.Close() //nolint:errcheck // only read
	blobs := backup.ReadFolder(filepath.Join(dir, "blobs"))
	if err := blobs.List(ctx, "", func(name string) error {
		id := blob.ID(filepath.Base(name))
		if !sealed.IsID(id) {
			return nil
		}
		src, err := blobs.Open(ctx, name)
		if err != nil {
			return err
		}
		r, err := sealed.NewReader(ctx, ring.Regardless(), src, id)
		if err == nil {
			err = errors.Join(r.Check(), r.Close())
		}
		switch {
		case errs.Is(err, errs.NotFound):
			s.closed++
		case err != nil:
			return err
		default:
			s.opened++
		}
		s.ids = append(s.ids, string(id))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	records := filepath.Join(t.TempDir(), "records") // reading them writes
	if err := os.CopyFS(records, os.DirFS(filepath.Join(dir, "records"))); err != nil {
		t.Fatal(err)
	}
	store := must[*pebble.Store](t)(pebble.Open(records, ring, pebble.Options{}))
	defer store.Close() //nolint:errcheck // only read
	if err := store.Export(ctx, ring.Regardless(), (*exported)(&s)); err != nil {
		t.Fatal(err)
	}
	return s
}

// exported takes what an export gives.
type exported seen

func (e *exported) Begin(record.ExportPoint) error { return nil }

func (e *exported) Space(s record.ExportSpace) error {
	if s.Lost {
		e.lost = append(e.lost, string(s.Name))
	}
	return nil
}

func (e *exported) Record(r record.ExportRecord) error {
	for _, v := range r.Versions {
		e.secret = e.secret || bytes.Contains(v.Body, []byte(secret))
	}
	return nil
}

func (e *exported) Message(m record.Message) error {
	e.secret = e.secret || bytes.Contains(m.Body, []byte(secret))
	return nil
}

// inBackup looks for what is gone in a backup.
func inBackup(t *testing.T, dir string, root []byte, gone []string) {
	t.Helper()
	place := backup.ReadFolder(dir)
	point, older, sealedRing, err := backup.Choose(ctx, place, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	ring := must[*keyring.Ring](t)(keyring.OpenSealed(sealedRing, root, keyring.Config{Account: galen.Account, Region: galen.Region}))
	defer ring.Close() //nolint:errcheck // only read
	b := must[*backup.Backup](t)(backup.Open(ctx, place, ring, point, older, time.Time{}))
	noise := 0
	for _, id := range gone { // what waits for its removal is copied as it is: nobody opens it
		src, err := place.Open(ctx, "blobs/"+id[:2]+"/"+id)
		if errs.Is(err, errs.NotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sealed.NewReader(ctx, ring.Regardless(), src, blob.ID(id)); !errs.Is(err, errs.NotFound) {
			t.Errorf("the body %s of the backup: %v", id, err)
		}
		noise++
	}
	records := 0
	for next := b.Items(ctx); ; {
		it, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if r, ok := it.(record.ExportRecord); ok {
			records++
			for _, v := range r.Versions {
				if bytes.Contains(v.Body, []byte(secret)) {
					t.Errorf("the backup has the record %s %s", r.Kind, r.ID)
				}
			}
		}
	}
	if records == 0 {
		t.Error("the backup has no records")
	}
	t.Logf("the backup has %d records, and %d bodies that nobody opens", records, noise)
}

// deleteAll deletes every store and every bucket, and waits until they are gone. Image sets are deleted before, where they can be read.
func (s *site) deleteAll(readable bool) {
	s.t.Helper()
	lake, images, c := healthlake.NewClient(s.h), medicalimaging.NewClient(s.h), s.genomes()
	must[*healthlake.DeleteFHIRDatastoreOutput](s.t)(lake.DeleteFHIRDatastore(ctx, &healthlake.DeleteFHIRDatastoreInput{DatastoreId: s.lake}))
	if readable {
		must[*medicalimaging.DeleteImageSetOutput](s.t)(images.DeleteImageSet(ctx, &medicalimaging.DeleteImageSetInput{DatastoreId: s.images, ImageSetId: s.imageSet}))
		await(s.t, "the image set is gone", func() bool {
			out, err := images.SearchImageSets(ctx, &medicalimaging.SearchImageSetsInput{DatastoreId: s.images})
			return err == nil && len(out.ImageSetsMetadataSummaries) == 0
		})
	}
	must[*medicalimaging.DeleteDatastoreOutput](s.t)(images.DeleteDatastore(ctx, &medicalimaging.DeleteDatastoreInput{DatastoreId: s.images}))
	must[*omics.DeleteVariantStoreOutput](s.t)(c.DeleteVariantStore(ctx, &omics.DeleteVariantStoreInput{Name: "variants", Force: aws.Ptr(true)}))
	must[*omics.BatchDeleteReadSetOutput](s.t)(c.BatchDeleteReadSet(ctx, &omics.BatchDeleteReadSetInput{SequenceStoreId: s.reads, Ids: []string{s.readSet}}))
	must[*omics.DeleteReferenceOutput](s.t)(c.DeleteReference(ctx, &omics.DeleteReferenceInput{ReferenceStoreId: s.refs, Id: s.reference}))
	await(s.t, "the sequence store is empty", func() bool {
		_, err := c.DeleteSequenceStore(ctx, &omics.DeleteSequenceStoreInput{Id: s.reads})
		return err == nil
	})
	await(s.t, "the reference store is empty", func() bool {
		_, err := c.DeleteReferenceStore(ctx, &omics.DeleteReferenceStoreInput{Id: s.refs})
		return err == nil
	})
	for _, b := range []string{"plain", "sealed"} {
		for _, o := range must[*s3.ListObjectsV2Output](s.t)(s.s3().ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: b})).Contents {
			must[*s3.DeleteObjectOutput](s.t)(s.s3().DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: o.Key}))
		}
		must[*s3.DeleteBucketOutput](s.t)(s.s3().DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: b}))
	}
	await(s.t, "the data stores are gone", func() bool {
		l := must[*healthlake.ListFHIRDatastoresOutput](s.t)(lake.ListFHIRDatastores(ctx, &healthlake.ListFHIRDatastoresInput{}))
		for _, d := range l.DatastorePropertiesList {
			if d.DatastoreStatus != healthlake.DatastoreStatusDeleted {
				return false
			}
		}
		p := must[*medicalimaging.ListDatastoresOutput](s.t)(images.ListDatastores(ctx, &medicalimaging.ListDatastoresInput{}))
		for _, d := range p.DatastoreSummaries {
			if d.DatastoreStatus != medicalimaging.DatastoreStatusDeleted {
				return false
			}
		}
		_, err := c.GetVariantStore(ctx, &omics.GetVariantStoreInput{Name: "variants"})
		return err != nil
	})
}
