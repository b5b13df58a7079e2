package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/app/cohort"
	"github.com/galen-health/galen/aws/client"
	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/standard/dicom"
	"github.com/galen-health/galen/test/galen"
)

// ct is a synthetic series of 192² slices.
func ct(t *testing.T, slices int) (files [][]byte, study, series string, uids []string) {
	t.Helper()
	dir := t.TempDir()
	c := cohort.Default
	c.Patients, c.Slices = 1, slices
	if _, err := c.Write(dir, nil); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(dir + "/imaging/*/ct-*.dcm")
	if err != nil || len(names) != slices {
		t.Fatalf("%d slices, %v", len(names), err)
	}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		f, err := dicom.Parse(b, dicom.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		study, series = f.Dataset.String(dicom.TagStudyInstanceUID), f.Dataset.String(dicom.TagSeriesInstanceUID)
		files, uids = append(files, b), append(uids, f.Dataset.String(dicom.TagSOPInstanceUID))
	}
	return files, study, series, uids
}

// web is a DICOMweb server under measurement.
type web struct {
	send func(ctx context.Context, method, path string, header map[string]string, body []byte) (int, []byte, error)
	cpu  func() time.Duration
}

func orthanc(t *testing.T) *web {
	t.Helper()
	bin, err := exec.LookPath("Orthanc")
	if err != nil {
		t.Skip("Orthanc is not installed (Debian: orthanc, orthanc-dicomweb)")
	}
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	plugins, err := filepath.Glob("/usr/share/orthanc/plugins/*OrthancDicomWeb*")
	if err != nil || len(plugins) == 0 {
		t.Skip("Orthanc's DICOMweb plugin is not installed")
	}
	conf, err := json.Marshal(map[string]any{"StorageDirectory": dir + "/store", "IndexDirectory": dir + "/store", "HttpPort": port, "RemoteAccessAllowed": false, "DicomServerEnabled": false, "HttpCompressionEnabled": false,
		"AuthenticationEnabled": false, "Plugins": plugins[:1], "DicomWeb": map[string]any{"Enable": true, "Root": "/dicom-web/"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/conf.json", conf, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, dir+"/conf.json")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended by itself
		_ = cmd.Wait()
	})
	base := fmt.Sprintf("http://127.0.0.1:%d/dicom-web", port)
	w := &web{cpu: func() time.Duration { return galen.ProcessCPU(t, cmd.Process.Pid) }}
	w.send = func(ctx context.Context, method, path string, header map[string]string, body []byte) (int, []byte, error) {
		r, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(body))
		if err != nil {
			return 0, nil, err
		}
		for k, v := range header {
			r.Header.Set(k, v)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0, nil, err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return resp.StatusCode, b, err
	}
	for range 200 {
		if status, _, err := w.send(context.Background(), "GET", "/studies", nil, nil); err == nil && status == 200 {
			return w
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("Orthanc did not start")
	return nil
}

func ours(ctx context.Context, t *testing.T) *web {
	t.Helper()
	g := galen.Start(t)
	h := g.Client()
	c := medicalimaging.NewClient(h)
	made, err := c.CreateDatastore(ctx, &medicalimaging.CreateDatastoreInput{DatastoreName: "bench", ClientToken: "bench"})
	if err != nil {
		t.Fatal(err)
	}
	for {
		d, err := c.GetDatastore(ctx, &medicalimaging.GetDatastoreInput{DatastoreId: made.DatastoreId})
		if err != nil {
			t.Fatal(err)
		}
		if d.DatastoreProperties.DatastoreStatus == medicalimaging.DatastoreStatusActive {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return &web{cpu: g.CPU, send: func(ctx context.Context, method, path string, header map[string]string, body []byte) (int, []byte, error) {
		return sendWeb(ctx, h, "/datastore/"+made.DatastoreId+path, method, header, body)
	}}
}

func sendWeb(ctx context.Context, h *client.HTTP, path, method string, header map[string]string, body []byte) (int, []byte, error) {
	return h.Send(ctx, "medical-imaging", method, path, header, bytes.NewReader(body), 64<<20)
}

// stow packs instances as multipart/related (PS3.18 §10.5).
func stow(files [][]byte) (body []byte, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range files {
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/dicom"}})
		if err == nil {
			_, err = part.Write(f)
		}
		if err != nil {
			panic(err) // a bytes.Buffer takes every write
		}
	}
	_ = w.Close() // likewise
	return b.Bytes(), `multipart/related; type="application/dicom"; boundary=` + w.Boundary()
}

func TestImaging(t *testing.T) {
	ctx := asked(t)
	const n = 200
	files, study, series, uids := ct(t, n)
	type figures struct{ stow, stowCPU, qido, frame, frameCPU float64 }
	run := func(w *web) figures {
		var f figures
		cpu, start := w.cpu(), time.Now()
		parallel(t, n/10, func(i int) error {
			body, ct := stow(files[i*10 : i*10+10])
			status, b, err := w.send(ctx, "POST", "/studies", map[string]string{"Content-Type": ct, "Accept": "application/dicom+json"}, body)
			if err == nil && status != 200 {
				err = fmt.Errorf("STOW: status %d: %.200s", status, b)
			}
			return err
		})
		f.stow, f.stowCPU = n/time.Since(start).Seconds(), n/(w.cpu()-cpu).Seconds()
		var qido, frame, frameCPU []float64
		for range rounds {
			start = time.Now()
			parallel(t, 100, func(int) error {
				status, b, err := w.send(ctx, "GET", "/studies/"+study+"/series/"+series+"/instances?limit=50", map[string]string{"Accept": "application/dicom+json"}, nil)
				if err == nil && (status != 200 || !strings.Contains(string(b), uids[0][:20])) {
					err = fmt.Errorf("QIDO: status %d", status)
				}
				return err
			})
			qido = append(qido, 100/time.Since(start).Seconds())
			cpu, start = w.cpu(), time.Now()
			parallel(t, 400, func(i int) error {
				status, b, err := w.send(ctx, "GET", "/studies/"+study+"/series/"+series+"/instances/"+uids[i%n]+"/frames/1", map[string]string{"Accept": `multipart/related; type="application/octet-stream"; transfer-syntax=*`}, nil)
				if err == nil && (status != 200 || len(b) < 1000) {
					err = fmt.Errorf("frame: status %d, %d bytes", status, len(b))
				}
				return err
			})
			frame = append(frame, 400/time.Since(start).Seconds())
			frameCPU = append(frameCPU, 400/(w.cpu()-cpu).Seconds())
		}
		f.qido, f.frame, f.frameCPU = median(qido), median(frame), median(frameCPU)
		return f
	}
	us := run(ours(ctx, t))
	them := run(orthanc(t))
	row(t, fmt.Sprintf("STOW-RS, %d CT slices of 192² (Galen transcodes to HTJ2K and verifies, Orthanc stores as is)", n), "instances/s", us.stow, "Orthanc", them.stow)
	row(t, "the same, by server processor time", "instances/CPU-s", us.stowCPU, "Orthanc", them.stowCPU)
	row(t, "QIDO-RS, 50 instances of a series", "requests/s", us.qido, "Orthanc", them.qido)
	row(t, "WADO-RS frame as stored", "requests/s", us.frame, "Orthanc", them.frame)
	row(t, "the same, by server processor time", "requests/CPU-s", us.frameCPU, "Orthanc", them.frameCPU)
}
