package medicalimaging

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
	"github.com/galen-health/galen/standard/dicom"
)

// arrival is one instance of a store request and what became of it.
type arrival struct {
	class, sop   string
	study, serie string
	p            *prepared
	err          error
}

// storeInstances is STOW-RS (PS3.18 §10.5): each instance is stored or refused by itself; all that is stored is durable before the answer.
func (q *request) storeInstances() error {
	if err := q.json(); err != nil {
		return err
	}
	media, params, err := mime.ParseMediaType(loose(q.r.Header.Get("Content-Type")))
	if err != nil {
		return errs.New(errs.UnsupportedMedia, "Content-Type: instances are taken as application/dicom or multipart/related")
	}
	var list []*arrival
	switch {
	case media == "application/dicom" || media == "application/octet-stream":
		list, err = q.gatherParts(func() (io.Reader, error) { return q.r.Body, nil }, true)
	case media == "multipart/related" && params["boundary"] != "":
		if t := strings.ToLower(params["type"]); t != "" && t != "application/dicom" {
			return errs.New(errs.UnsupportedMedia, "Content-Type: parts of type %s are not offered here; instances are taken as application/dicom", t)
		}
		mr := multipart.NewReader(q.r.Body, params["boundary"])
		list, err = q.gatherParts(func() (io.Reader, error) { return nextPart(mr) }, false)
	default:
		return errs.New(errs.UnsupportedMedia, "Content-Type: instances are taken as application/dicom or multipart/related with a boundary")
	}
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return errs.New(errs.Invalid, "the request holds no instance")
	}
	var ready []*prepared
	for _, a := range list {
		if a.err == nil {
			ready = append(ready, a.p)
		}
	}
	if _, err := q.commit(q.r.Context(), q.store, ready); err != nil {
		return err
	}
	return q.report(list)
}

func nextPart(mr *multipart.Reader) (io.Reader, error) {
	part, err := mr.NextRawPart()
	if err != nil {
		return nil, err
	}
	if ct := part.Header.Get("Content-Type"); ct != "" {
		t, _, err := mime.ParseMediaType(loose(ct))
		if err != nil || t != "application/dicom" && t != "application/octet-stream" {
			return nil, errs.New(errs.UnsupportedMedia, "a part is not application/dicom")
		}
	}
	return part, nil
}

// gatherParts reads instances one after the other and prepares several at once.
func (q *request) gatherParts(next func() (io.Reader, error), single bool) ([]*arrival, error) {
	ctx := q.r.Context()
	var list []*arrival
	var wg sync.WaitGroup
	defer wg.Wait()
	room := make(chan struct{}, runtime.GOMAXPROCS(0)+1) // instances in memory
	for {
		r, err := next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, badBody(err)
		}
		room <- struct{}{}
		o, done, err := q.gather(ctx, q.store, r)
		if err != nil {
			<-room
			return nil, badBody(err)
		}
		a := &arrival{}
		list = append(list, a)
		wg.Go(func() {
			defer func() { done(); <-room }()
			if a.p, a.err = q.prepare(ctx, q.store, o); a.err != nil {
				a.identify(o)
				return
			}
			a.class, a.sop, a.study, a.serie = a.p.SOPClass, a.p.SOP, a.p.Study, a.p.Series
			if q.study != "" && a.study != q.study {
				a.err = refuse(reasonMismatch, "the instance belongs to another study than the address names")
			}
		})
		if single {
			break
		}
	}
	wg.Wait()
	for _, a := range list { // what is ours to mend fails the request, not the instance
		if a.err != nil && (errs.Is(a.err, errs.Unavailable) || errs.Is(a.err, errs.Internal) || ctx.Err() != nil) {
			return nil, a.err
		}
	}
	return list, nil
}

// badBody is a request that could not be read: the client's fault, unless it is known to be ours.
func badBody(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return errs.New(errs.TooLarge, "the request is larger than %d bytes", tooLarge.Limit)
	}
	var own *errs.Error
	if errors.As(err, &own) && own.Cause == nil {
		return err
	}
	if errs.Is(err, errs.Unavailable) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	return errs.Wrap(errs.Invalid, err, "the body is not whole: it ends early, or its parts are not delimited as the Content-Type says")
}

// identify reads the UIDs of an instance that was refused, as far as it has any.
func (a *arrival) identify(o part10) {
	if f, err := o.parse(); err == nil {
		a.class, a.sop, a.study = f.Dataset.String(dicom.TagSOPClassUID), f.Dataset.String(dicom.TagSOPInstanceUID), f.Dataset.String(dicom.TagStudyInstanceUID)
	}
}

// report answers with the store response (PS3.18 §10.5.3, PS3.18 annex I): 200 when all is stored, 202 when some is or there are warnings, 409 when
// nothing is.
func (q *request) report(list []*arrival) error {
	d := &dicom.Dataset{}
	var stored, failed []*dicom.Dataset
	status, warned, studies := http.StatusOK, false, map[string]bool{}
	for _, a := range list {
		item := &dicom.Dataset{}
		item.SetStrings(dicom.TagReferencedSOPClassUID, a.class)
		item.SetStrings(dicom.TagReferencedSOPInstanceUID, a.sop)
		if a.err != nil {
			item.SetInts(dicom.TagFailureReason, dicom.US, int64(reasonOf(a.err)))
			item.SetText(0x00000902, dicom.LO, errs.As(a.err).Message) // ErrorComment
			failed = append(failed, item)
			continue
		}
		item.SetText(dicom.TagRetrieveURL, dicom.UR, q.root+"/studies/"+a.study+"/series/"+a.serie+"/instances/"+a.sop)
		for _, w := range a.p.Warnings {
			item.SetInts(dicom.TagWarningReason, dicom.US, int64(w.Code))
			warned = true
		}
		studies[a.study] = true
		stored = append(stored, item)
	}
	switch {
	case len(stored) == 0:
		status = http.StatusConflict
	case len(failed) > 0 || warned:
		status = http.StatusAccepted
	}
	if len(studies) == 1 {
		for uid := range studies {
			d.SetText(dicom.TagRetrieveURL, dicom.UR, q.root+"/studies/"+uid)
			httproute.Note(q.r.Context(), "studyInstanceUID", uid)
		}
	}
	httproute.Note(q.r.Context(), "stored", strconv.Itoa(len(stored)))
	httproute.Note(q.r.Context(), "failed", strconv.Itoa(len(failed)))
	if stored != nil {
		d.Set(dicom.Element{Tag: dicom.TagReferencedSOPSequence, VR: dicom.SQ, Items: stored})
	}
	if failed != nil {
		d.Set(dicom.Element{Tag: dicom.TagFailedSOPSequence, VR: dicom.SQ, Items: failed})
	}
	return q.send(status, dicom.JSON{}.Append(nil, d))
}

// send writes an answer of DICOM JSON.
func (q *request) send(status int, body []byte) error {
	h := q.w.Header()
	h.Set("Content-Type", dicomJSON)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	q.w.WriteHeader(status)
	_, err := io.Copy(q.w, bytes.NewReader(body))
	return gone(err)
}
