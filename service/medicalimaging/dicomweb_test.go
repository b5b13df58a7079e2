package medicalimaging

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/standard/dicom"
)

// related makes a multipart body of DICOM files.
func related(files ...[]byte) (body []byte, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range files {
		p, _ := w.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/dicom"}})
		p.Write(f)
	}
	w.Close()
	return b.Bytes(), `multipart/related; type="application/dicom"; boundary=` + w.Boundary()
}

// split takes a multipart answer apart.
func (a answer) split(t testing.TB) (types []string, parts [][]byte) {
	t.Helper()
	media, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || media != "multipart/related" {
		t.Fatalf("Content-Type %q: %.200s", a.header.Get("Content-Type"), a.body)
	}
	r := multipart.NewReader(bytes.NewReader(a.body), params["boundary"])
	for {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return types, parts
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		types, parts = append(types, p.Header.Get("Content-Type")), append(parts, b)
	}
}

func TestStore(t *testing.T) {
	l := newLab(t)
	l.create(&api.CreateDatastoreInput{})
	good, bad := slice(study1, series1, 1, nil), slice(study1, series1, 2, nil)[:900]
	strange := slice(study1+".9", series1+".9", 3, nil)
	for name, c := range map[string]struct {
		path   string
		body   []byte
		ct     string
		status int
		want   []string
	}{
		"one file":         {"/studies", good, "application/dicom", 200, []string{`"00081199"`, `/studies/` + study1 + `/series/` + series1 + `/instances/` + series1 + `.1`}},
		"good and bad":     {"", nil, "", 202, []string{`"00081199"`, `"00081198"`, `"00081197":{"vr":"US","Value":[49152]}`}},
		"bad only":         {"/studies", bad, "application/dicom", 409, []string{`"00081198"`, `ends`}},
		"another study":    {"/studies/" + study1, strange, "application/dicom", 409, []string{`"00081197":{"vr":"US","Value":[43264]}`}},
		"the study":        {"/studies/" + study1, good, "application/dicom", 200, []string{`"00081190"`}},
		"empty":            {"/studies", nil, "application/dicom", 409, []string{`"00081198"`}},
		"no type":          {"/studies", good, "", 415, []string{"message"}},
		"JSON":             {"/studies", good, "application/json", 415, []string{"message"}},
		"JSON parts":       {"/studies", good, `multipart/related; type="application/dicom+json"; boundary=x`, 415, []string{"message"}},
		"no boundary":      {"/studies", good, `multipart/related; type="application/dicom"`, 415, []string{"message"}},
		"another boundary": {"/studies", good, `multipart/related; type="application/dicom"; boundary=zzz`, 400, []string{"message"}},
	} {
		if c.path == "" {
			c.path = "/studies"
			c.body, c.ct = related(good, bad)
		}
		a := l.do("POST", c.path, c.body, "Content-Type: "+c.ct, "Accept: application/dicom+json")
		if a.status != c.status {
			t.Errorf("%s: status %d, want %d: %.300s", name, a.status, c.status, a.body)
		}
		for _, w := range c.want {
			if !bytes.Contains(a.body, []byte(w)) {
				t.Errorf("%s: no %s in %.400s", name, w, a.body)
			}
		}
	}
	body, ct := related(good, slice(study1, series1, 5, nil))
	if a := l.do("POST", "/studies", body[:len(body)-100], "Content-Type: "+ct); a.status != 400 {
		t.Errorf("a body that ends early: %d %s", a.status, a.body)
	}
	if n := len(l.want(200, "GET", "/instances", nil).list(t)); n != 1 {
		t.Errorf("%d instances after a refused request, want 1", n)
	}
	// The type parameter may be missing, as in the request of the DIMSE proxy sample, and quotes too.
	if a := l.do("POST", "/studies", body, "Content-Type: "+strings.Replace(ct, ` type="application/dicom";`, "", 1)); a.status != 200 {
		t.Errorf("without type: %d %s", a.status, a.body)
	}
	if a := l.do("POST", "/studies", body, "Content-Type: "+strings.ReplaceAll(ct, `"`, "")); a.status != 200 {
		t.Errorf("without quotes: %d %s", a.status, a.body)
	}
	if a := l.do("POST", "/studies", body, "Content-Type: "+ct, "Accept: application/dicom+xml"); a.status != 406 {
		t.Errorf("an answer in XML: %d", a.status)
	}
}

func TestQuery(t *testing.T) {
	l := newLab(t)
	l.create(&api.CreateDatastoreInput{})
	names := []string{"Müller^Jörg", "Muster^Max^Karl", "Yamada^Tarou=山田^太郎", "O'Hara^Sc*tt"}
	for i, name := range names {
		study := fmt.Sprintf("%s.%d", study1, i)
		for s, modality := range []string{"CT", "MR"} {
			for n := range 2 {
				l.mustPut(slice(study, fmt.Sprintf("%s.%d", study, s), n+1, func(d *dicom.Dataset) {
					d.SetStrings(dicom.TagSpecificCharacterSet, "ISO_IR 192")
					d.Set(dicom.Element{Tag: dicom.TagPatientName, VR: dicom.PN, Value: []byte(name)})
					d.SetStrings(dicom.TagPatientID, fmt.Sprintf("PAT-%d", i))
					d.SetStrings(dicom.TagStudyDate, fmt.Sprintf("2020%02d15", i+1))
					d.SetStrings(dicom.TagStudyTime, fmt.Sprintf("%02d3000", 8+i))
					d.SetStrings(dicom.TagAccessionNumber, fmt.Sprintf("A%d", i))
					d.SetStrings(dicom.TagModality, modality)
					d.SetStrings(dicom.TagSeriesNumber, fmt.Sprint(10-s))
					item := &dicom.Dataset{}
					item.SetStrings(0x00400009, fmt.Sprintf("STEP%d", i))
					d.Set(dicom.Element{Tag: 0x00400275, VR: dicom.SQ, Items: []*dicom.Dataset{item}})
				}))
			}
		}
	}
	studies := func(query string) string {
		t.Helper()
		var out []string
		for _, m := range l.want(200, "GET", "/studies?"+query, nil, "Accept: application/dicom+json").list(t) {
			out = append(out, strings.TrimPrefix(m["0020000D"].Value[0].(string), study1+"."))
		}
		slices.Sort(out)
		return strings.Join(out, "")
	}
	for query, want := range map[string]string{
		"": "0123", "PatientID=PAT-1": "1", "00100020=PAT-1": "1", "PatientID=PAT-*": "0123", "PatientID=PAT-?": "0123", "PatientID=*-2": "2", "PatientID=pat-1": "",
		"PatientName=m%C3%BCller*": "0", "PatientName=MU*": "01", "PatientName=muster^max^karl": "1", "PatientName=Muster": "", "PatientName=%E5%B1%B1*": "2", "PatientName=*max*": "1",
		"PatientName=Max&fuzzymatching=true": "1", "PatientName=Max&fuzzymatching=false": "", "PatientName=jor+mul&fuzzymatching=true": "0",
		"StudyDate=20200215": "1", "StudyDate=20200201-20200331": "12", "StudyDate=-20200131": "0", "StudyDate=20200301-": "23", "StudyDate=20200216-20200301": "",
		"StudyTime=0930-1030": "12", "StudyTime=09": "1", "StudyTime=-0900": "0", "AccessionNumber=A0,A3": "", "StudyInstanceUID=" + study1 + ".0," + study1 + ".3": "03",
		"ModalitiesInStudy=MR": "0123", "ModalitiesInStudy=US": "", "PatientID=PAT-1&StudyDate=20200315": "", "PatientID=": "0123", "PatientSex=M": "", "NumberOfStudyRelatedInstances=4": "0123",
	} {
		if got := studies(query); got != want {
			t.Errorf("studies?%s: %q, want %q", query, got, want)
		}
	}
	if got, rest := studies("limit=2"), studies("limit=2&offset=2"); len(got) != 2 || len(rest) != 2 || got+rest != "2301" {
		t.Errorf("pages %q, %q, want the last two first", got, rest)
	}
	for _, q := range []string{"StudyDate=yesterday", "StudyDate=-", "NoSuchKey=1", "limit=x", "offset=-1", "includefield=Nothing", "StudyTime=2561"} {
		l.want(400, "GET", "/studies?"+q, nil)
	}
	l.want(406, "GET", "/studies", nil, "Accept: application/dicom+xml")
	one := l.want(200, "GET", "/studies?PatientID=PAT-2", nil).list(t)[0]
	if fmt.Sprint(one["00100010"].Value[0]) != "map[Alphabetic:Yamada^Tarou Ideographic:山田^太郎]" || fmt.Sprint(one["00080061"].Value, one["00201206"].Value, one["00201208"].Value) != "[CT MR] [2] [4]" ||
		one["00081190"].Value[0] != "http://galen.test/datastore/"+l.store+"/studies/"+study1+".2" {
		t.Errorf("study %v", one)
	}
	if _, ok := one["00080060"]; ok {
		t.Error("a study answers a series attribute")
	}
	order := func(path, tag string) (out string) {
		for _, m := range l.want(200, "GET", path, nil).list(t) {
			out += fmt.Sprint(m[tag].Value...) + " "
		}
		return out
	}
	if got := order("/studies/"+study1+".1/series", "00200011"); got != "9 10 " {
		t.Errorf("series by number: %q", got)
	}
	if got := order("/series?Modality=MR&StudyDate=20200115-20200215", "0020000E"); got != study1+".0.1 "+study1+".1.1 " {
		t.Errorf("series over studies: %q", got)
	}
	if got := order("/series?RequestAttributesSequence.ScheduledProcedureStepID=STEP3", "00080060"); got != "MR CT " {
		t.Errorf("series by an attribute in a sequence: %q", got)
	}
	if got := order("/studies/"+study1+".1/series/"+study1+".1.0/instances", "00200013"); got != "1 2 " {
		t.Errorf("instances by number: %q", got)
	}
	if got := order("/instances?PatientID=PAT-3&Modality=CT&InstanceNumber=2", "00080018"); got != study1+".3.0.2 " {
		t.Errorf("instances by attributes of all levels: %q", got)
	}
	in := l.want(200, "GET", "/studies/"+study1+".1/instances?limit=1&includefield=StudyDescription,00280100&includefield=PatientName", nil).list(t)[0]
	if fmt.Sprint(in["00280100"].Value, in["00083002"].Value, in["00080016"].Value) != "[16] ["+dicom.HTJ2KLosslessRPCL+"] [1.2.840.10008.5.1.4.1.1.2]" || in["00100010"].VR != "PN" {
		t.Errorf("instance %v", in)
	}
	if all := l.want(200, "GET", "/instances?limit=1&includefield=all", nil).list(t)[0]; all["00281101"].VR != "" || all["00280102"].VR != "US" || all["00400275"].VR != "SQ" {
		t.Errorf("includefield=all: %v", all)
	}
	if got := l.want(200, "GET", "/studies/1.2.3/series", nil); string(got.body) != "[]" {
		t.Errorf("series of no study: %s", got.body)
	}
}

func TestRetrieve(t *testing.T) {
	l := newLab(t)
	l.create(&api.CreateDatastoreInput{})
	files := [][]byte{slice(study1, series1, 1, nil), slice(study1, series1, 2, nil)}
	for _, b := range files {
		l.mustPut(b)
	}
	series := "/studies/" + study1 + "/series/" + series1
	one := series + "/instances/" + series1 + ".1"
	f, _ := dicom.Parse(files[0], dicom.Limits{})
	for accept, want := range map[string]string{
		"": "multipart " + dicom.ExplicitVRLittleEndian, "*/*": "multipart " + dicom.ExplicitVRLittleEndian, "application/dicom": "single " + dicom.ExplicitVRLittleEndian,
		"application/dicom; transfer-syntax=*":                                         "single " + dicom.HTJ2KLosslessRPCL,
		`multipart/related; type="application/dicom"; transfer-syntax=*`:               "multipart " + dicom.HTJ2KLosslessRPCL,
		"multipart/related; type=application/dicom; transfer-syntax=*":                 "multipart " + dicom.HTJ2KLosslessRPCL,
		"application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50, application/dicom": "single " + dicom.ExplicitVRLittleEndian,
		"application/dicom;q=0.1, application/dicom;transfer-syntax=*":                 "single " + dicom.HTJ2KLosslessRPCL,
		"application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50":                    "406", "image/jpeg": "406", "application/dicom; transfer-syntax=" + dicom.HTJ2KLosslessRPCL: "single " + dicom.HTJ2KLosslessRPCL,
	} {
		a := l.do("GET", one, nil, "Accept: "+accept)
		got := fmt.Sprint(a.status)
		if a.status == 200 {
			b := a.body
			got = "single "
			if strings.HasPrefix(a.header.Get("Content-Type"), "multipart/") {
				_, parts := a.split(t)
				b, got = parts[0], "multipart "
			}
			g, err := dicom.Parse(b, dicom.Limits{})
			if err != nil {
				t.Errorf("Accept %q: %v", accept, err)
				continue
			}
			got += g.TransferSyntax
			l.same(accept, f, b)
		}
		if got != want {
			t.Errorf("Accept %q: %s, want %s", accept, got, want)
		}
	}
	for _, path := range []string{series, "/studies/" + study1} {
		types, parts := l.want(200, "GET", path, nil, `Accept: multipart/related; type="application/dicom"; transfer-syntax=*`).split(t)
		if len(parts) != 2 || types[0] != "application/dicom; transfer-syntax="+dicom.HTJ2KLosslessRPCL {
			t.Errorf("%s: %d parts %v", path, len(parts), types)
		}
		if n := len(l.want(200, "GET", path+"/metadata", nil).list(t)); n != 2 {
			t.Errorf("%s/metadata: %d", path, n)
		}
		l.want(406, "GET", path, nil, "Accept: application/dicom")
	}
	meta := l.want(200, "GET", one+"/metadata", nil, "Accept: application/dicom+json")
	m := meta.list(t)[0]
	if m["00100020"].Value[0] != "P1" || m["00280010"].VR != "US" || m["7FE00010"].VR != "" || m["00083002"].Value[0] != dicom.HTJ2KLosslessRPCL {
		t.Errorf("metadata %s", meta.body)
	}
	if !slices.IsSorted(keysInOrder(meta.body)) {
		t.Error("attributes are not in the order of their tags (PS3.18 F.2.2)")
	}
	if a := l.do("GET", one+"/metadata", nil, "If-None-Match: "+meta.header.Get("ETag")); a.status != 304 || len(a.body) != 0 {
		t.Errorf("the same again: %d", a.status)
	}
	if a := l.do("GET", series+"/metadata", nil, "Accept-Encoding: gzip, br"); a.header.Get("Content-Encoding") != "gzip" {
		t.Error("metadata is not zipped for a client that takes gzip")
	}
	for _, p := range []string{"/studies/1.2", "/studies/1.2/metadata", "/studies/" + study1 + "/series/1.2/metadata", series + "/instances/1.2", "/studies/1.2/series/" + series1 + "/metadata", one + "/bulkdata/x"} {
		l.want(404, "GET", p, nil)
	}
}

// keysInOrder are the tags at the first level of the first object of a list.
func keysInOrder(b []byte) (out []string) {
	ms, err := members(b[1:skip(b, 1)])
	if err != nil {
		return []string{"z", "a"}
	}
	for _, m := range ms {
		out = append(out, m.Tag)
	}
	return out
}

func TestFrames(t *testing.T) {
	l := newLab(t)
	l.create(&api.CreateDatastoreInput{})
	want := make([][]byte, 3)
	b := slice(study1, series1, 1, func(d *dicom.Dataset) {
		d.SetStrings(dicom.TagNumberOfFrames, "3")
		var all []byte
		for i := range want {
			want[i] = bytes.Repeat([]byte{byte(i + 1), 0, byte(i * 9), 1}, 64*48/2)
			all = append(all, want[i]...)
		}
		d.Set(dicom.Element{Tag: dicom.TagPixelData, VR: dicom.OW, Value: all})
	})
	l.mustPut(b)
	path := "/studies/" + study1 + "/series/" + series1 + "/instances/" + series1 + ".1/frames/"
	types, parts := l.want(200, "GET", path+"3,1", nil, `Accept: multipart/related; type="application/octet-stream"`).split(t)
	if len(parts) != 2 || !bytes.Equal(parts[0], want[2]) || !bytes.Equal(parts[1], want[0]) || types[0] != "application/octet-stream; transfer-syntax="+dicom.ExplicitVRLittleEndian {
		t.Errorf("%d parts %v", len(parts), types)
	}
	types, parts = l.want(200, "GET", path+"2", nil, `Accept: multipart/related; type="application/octet-stream"; transfer-syntax="*"`, "Accept-Encoding: gzip, deflate, br, zstd").split(t)
	if len(parts) != 1 || types[0] != "image/jphc; transfer-syntax="+dicom.HTJ2KLosslessRPCL || !bytes.HasPrefix(parts[0], []byte{0xFF, 0x4F}) {
		t.Errorf("stored frame: %v", types)
	}
	whole := l.want(200, "GET", path+"2", nil, "Accept: image/jphc", "Accept-Encoding: gzip")
	if !bytes.Equal(whole.body, parts[0]) || whole.header.Get("Content-Encoding") != "" || whole.header.Get("Content-Type") != types[0] {
		t.Errorf("single stored frame: %v", whole.header)
	}
	part := l.want(206, "GET", path+"2", nil, "Accept: image/jphc", "Range: bytes=10-99")
	if !bytes.Equal(part.body, whole.body[10:100]) || part.header.Get("Content-Range") != fmt.Sprintf("bytes 10-99/%d", len(whole.body)) {
		t.Errorf("range: %d bytes, %v", len(part.body), part.header)
	}
	part = l.want(206, "GET", path+"1", nil, "Accept: application/octet-stream", "Range: bytes=-10")
	if !bytes.Equal(part.body, want[0][len(want[0])-10:]) {
		t.Errorf("range of a decoded frame: %v", part.body)
	}
	l.want(416, "GET", path+"2", nil, "Accept: image/jphc", "Range: bytes=99999999-")
	tag := whole.header.Get("ETag")
	if a := l.do("GET", path+"2", nil, "Accept: image/jphc", "If-None-Match: "+tag); tag == "" || a.status != 304 {
		t.Errorf("ETag %q: %d", tag, a.status)
	}
	if a := l.do("GET", path+"2", nil, "Accept: application/octet-stream", "If-None-Match: "+tag); a.status != 200 {
		t.Error("a decoded frame has the ETag of the stored one")
	}
	viewer := `multipart/related; type=image/jphc; transfer-syntax=1.2.840.10008.1.2.4.202, multipart/related; type=image/jp2; transfer-syntax=1.2.840.10008.1.2.4.90, multipart/related; type=application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1`
	if types, _ := l.want(200, "GET", path+"1", nil, "Accept: "+viewer).split(t); types[0] != "image/jphc; transfer-syntax="+dicom.HTJ2KLosslessRPCL {
		t.Errorf("the viewer's Accept: %v", types)
	}
	for frames, status := range map[string]int{"4": 404, "0": 400, "1,1": 400, "x": 400, "1,,2": 400} {
		l.want(status, "GET", path+frames, nil)
	}
	l.want(406, "GET", path+"1,2", nil, "Accept: application/octet-stream")
	l.want(406, "GET", path+"1", nil, "Accept: image/jpeg")
	l.want(406, "GET", path+"1", nil, "Accept: application/octet-stream; transfer-syntax=1.2.840.10008.1.2.4.50")
	back, err := dicom.Parse(l.want(200, "GET", strings.TrimSuffix(path, "/frames/"), nil, "Accept: application/dicom; transfer-syntax=*").body, dicom.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	fr, err := back.Frames()
	if err != nil || fr.OffsetTable != nil || fr.Image.Frames != 3 {
		t.Errorf("frames of the encapsulated file: %v, %v", err, fr.OffsetTable)
	}
}

func TestBulkdata(t *testing.T) {
	l := newLab(t)
	l.create(&api.CreateDatastoreInput{})
	long := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	b := slice(study1, series1, 1, func(d *dicom.Dataset) {
		d.SetText(0x00091010, dicom.LO, "ACME")
		d.Set(dicom.Element{Tag: 0x00091001, VR: dicom.OB, Value: long})
		d.Set(dicom.Element{Tag: 0x00091002, VR: dicom.OB, Value: long[:16]})
	})
	l.mustPut(b)
	one := "/studies/" + study1 + "/series/" + series1 + "/instances/" + series1 + ".1"
	m := l.want(200, "GET", one+"/metadata", nil).list(t)[0]
	uri := m["00091001"].BulkDataURI
	prefix := "http://galen.test/datastore/" + l.store
	if !strings.HasPrefix(uri, prefix+one+"/bulkdata/") || m["00091002"].InlineBinary == "" {
		t.Fatalf("long %+v, short %+v", m["00091001"].BulkDataURI, m["00091002"])
	}
	if a := l.want(200, "GET", strings.TrimPrefix(uri, prefix), nil); !bytes.Equal(a.body, long) {
		t.Errorf("%d bytes", len(a.body))
	}
	if a := l.want(206, "GET", strings.TrimPrefix(uri, prefix), nil, "Range: bytes=16-31"); !bytes.Equal(a.body, long[:16]) {
		t.Errorf("range %q", a.body)
	}
	f, _ := dicom.Parse(b, dicom.Limits{})
	l.same("with a long value", f, l.want(200, "GET", one, nil, "Accept: application/dicom").body)
}
