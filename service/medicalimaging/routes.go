package medicalimaging

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
)

// request is one DICOMweb interaction in progress.
type request struct {
	*Service
	w     http.ResponseWriter
	r     *http.Request
	store *datastore
	root  string // absolute URL of the DICOMweb root, without a slash at the end

	study, series, sop string // from the path; "" when not in it
}

// maxStore bounds a STOW-RS request, as HealthImaging does.
const maxStore = 1 << 30

// interaction is a row of the route table below.
type interaction struct {
	method, path string // below the DICOMweb root
	name         string // of the interaction, and with the prefix medical-imaging: its IAM action
	readOnly     bool
	maxBody      int64
	do           func(*request) error
}

const (
	seriesPath   = "/studies/{study}/series/{series}"
	instancePath = seriesPath + "/instances/{instance}"
)

// interactions of DICOMweb (PS3.18 chapter 10), each an IAM action of HealthImaging's.
var interactions = []interaction{
	{"POST", "/studies", "StoreDICOM", false, maxStore, (*request).storeInstances},
	{"POST", "/studies/{study}", "StoreDICOMStudy", false, maxStore, (*request).storeInstances},
	{"GET", "/studies", "SearchDICOMStudies", true, 0, (*request).searchStudies},
	{"GET", "/series", "SearchDICOMSeries", true, 0, (*request).searchSeries},
	{"GET", "/studies/{study}/series", "SearchDICOMSeries", true, 0, (*request).searchSeries},
	{"GET", "/instances", "SearchDICOMInstances", true, 0, (*request).searchInstances},
	{"GET", "/studies/{study}/instances", "SearchDICOMInstances", true, 0, (*request).searchInstances},
	{"GET", seriesPath + "/instances", "SearchDICOMInstances", true, 0, (*request).searchInstances},
	{"GET", "/studies/{study}", "GetDICOMInstance", true, 0, (*request).retrieve},
	{"GET", seriesPath, "GetDICOMInstance", true, 0, (*request).retrieve},
	{"GET", instancePath, "GetDICOMInstance", true, 0, (*request).retrieve},
	{"GET", "/studies/{study}/metadata", "GetDICOMSeriesMetadata", true, 0, (*request).metadata},
	{"GET", seriesPath + "/metadata", "GetDICOMSeriesMetadata", true, 0, (*request).metadata},
	{"GET", instancePath + "/metadata", "GetDICOMInstanceMetadata", true, 0, (*request).metadata},
	{"GET", instancePath + "/frames/{frames}", "GetDICOMInstanceFrames", true, 0, (*request).frames},
	{"GET", instancePath + "/bulkdata/{bulk}", "GetDICOMBulkdata", true, 0, (*request).bulkdata},
}

// roots under which DICOMweb is served: HealthImaging's own, and the one for bearer tokens.
var roots = []string{"/datastore/{datastoreId}", "/dicomweb/{datastoreId}"}

// Routes registers the DICOMweb interactions with the edge.
func (s *Service) Routes() []httproute.Route {
	var out []httproute.Route
	for _, root := range roots {
		for _, in := range interactions {
			out = append(out, httproute.Route{
				Service: "medical-imaging", Method: in.method, Pattern: root + in.path, Name: in.name, Action: "medical-imaging:" + in.name,
				ReadOnly: in.readOnly, MaxBody: in.maxBody,
				Resource: func(r *http.Request) string { return s.arn(r.PathValue("datastoreId")) },
				Context:  keys,
				Tags: func(r *http.Request) map[string]string {
					return s.tagsOf(r.Context(), s.arn(r.PathValue("datastoreId")))()
				},
				Handle: func(w http.ResponseWriter, r *http.Request) error { return s.serve(in, w, r) },
				Fail:   fail,
			})
		}
	}
	return out
}

func (s *Service) serve(in interaction, w http.ResponseWriter, r *http.Request) error {
	d, err := s.active(r.Context(), r.PathValue("datastoreId"))
	if err != nil {
		return err
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	root := scheme + "://" + r.Host + "/datastore/" + d.ID
	if len(r.URL.Path) > 10 && r.URL.Path[:10] == "/dicomweb/" {
		root = scheme + "://" + r.Host + "/dicomweb/" + d.ID
	}
	httproute.Note(r.Context(), "datastoreId", d.ID)
	q := &request{Service: s, w: w, r: r, store: d, root: root, study: r.PathValue("study"), series: r.PathValue("series"), sop: r.PathValue("instance")}
	return in.do(q)
}

// statuses of each kind of failure (PS3.18 table 8.5-1).
var statuses = map[errs.Code]int{
	errs.Internal: 500, errs.Invalid: 400, errs.NotFound: 404, errs.Conflict: 409, errs.Denied: 403, errs.Unauthenticated: 401, errs.Exhausted: 429,
	errs.Throttled: 429, errs.Precondition: 412, errs.Unsupported: 501, errs.Unavailable: 503, errs.Corrupt: 500, errs.TooLarge: 413,
	errs.NotAcceptable: 406, errs.OutOfRange: 416, errs.Gone: 410, errs.Timeout: 504, errs.UnsupportedMedia: 415,
}

// fail writes an error as DICOMweb answers carry one: the status, and a status report for people (PS3.18 §8.5).
func fail(w http.ResponseWriter, _ *http.Request, err error) {
	e := errs.As(err)
	body, _ := json.Marshal(struct { // cannot fail: one string
		Message string `json:"message"`
	}{e.Message})
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Del("ETag")
	w.WriteHeader(statuses[e.Code])
	_, _ = w.Write(body) // the client may be gone: nothing is left to tell it
}

const dicomJSON = "application/dicom+json"

// gone is a failed write to a client that does not wait any more.
func gone(err error) error {
	if err == nil {
		return nil
	}
	return errs.Wrap(errs.Unavailable, err, "the client went away")
}
