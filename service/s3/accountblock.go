package s3

import (
	"context"
	"encoding/xml"
	"net/http"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
	"github.com/galen-health/galen/platform/limits"
	"github.com/galen-health/galen/platform/record"
)

// accountBlocks keeps the account's public access block. It is S3 Control's: three operations at one address, which the SDKs' s3control clients call.
var accountBlocks = record.Kind[publicBlock]{Name: "s3.accountblock", Volatile: true}

const (
	accountBlockID   = "account"
	accountBlockPath = "/v20180820/configuration/publicAccessBlock"
	controlBucket    = "v20180820" // no bucket may have this name: its objects would lie at the addresses of S3 Control
	controlSpace     = "http://awss3control.amazonaws.com/doc/2018-08-20/"
	maxControl       = 16 << 10
)

// accountBlock is what the account forbids; nothing when nothing was put.
func (s *Service) accountBlock(ctx context.Context) (out publicBlock, err error) {
	err = s.view(ctx, func(v record.View) error {
		out, err = accountBlockOf(v)
		return err
	})
	return out, err
}

func accountBlockOf(g record.Getter) (publicBlock, error) {
	b, _, err := accountBlocks.Get(g, accountBlockID)
	if absent(err) {
		return publicBlock{}, nil
	} else if err != nil {
		return publicBlock{}, err
	}
	return *b, nil
}

// blockXML is a PublicAccessBlockConfiguration on the wire; its members may be left out.
type blockXML struct {
	XMLName               xml.Name `xml:"PublicAccessBlockConfiguration"`
	Space                 string   `xml:"xmlns,attr,omitempty"`
	BlockPublicAcls       bool     `xml:"BlockPublicAcls"`
	IgnorePublicAcls      bool     `xml:"IgnorePublicAcls"`
	BlockPublicPolicy     bool     `xml:"BlockPublicPolicy"`
	RestrictPublicBuckets bool     `xml:"RestrictPublicBuckets"`
}

// Routes registers the operations of S3 Control that are offered here with the edge (S3 Control 2018-08-20, restXml).
func (s *Service) Routes() []httproute.Route {
	route := func(method, name, action string, body int64, h func(http.ResponseWriter, *http.Request) error) httproute.Route {
		return httproute.Route{Service: "s3", Method: method, Pattern: accountBlockPath, Name: name, Action: "s3:" + action, ReadOnly: method == "GET", MaxBody: body, Fail: failControl,
			Resource: func(*http.Request) string { return "*" },
			Handle: func(w http.ResponseWriter, r *http.Request) error {
				if id := r.Header.Get("X-Amz-Account-Id"); id != s.cfg.Account {
					return errs.Named(errs.Denied, "AccessDenied", "The account in x-amz-account-id is not this one.")
				}
				return h(w, r)
			}}
	}
	return []httproute.Route{
		route("GET", "GetPublicAccessBlock", "GetAccountPublicAccessBlock", 0, s.getAccountBlock),
		route("PUT", "PutPublicAccessBlock", "PutAccountPublicAccessBlock", maxControl, s.putAccountBlock),
		route("DELETE", "DeletePublicAccessBlock", "PutAccountPublicAccessBlock", 0, s.deleteAccountBlock),
	}
}

func (s *Service) getAccountBlock(w http.ResponseWriter, r *http.Request) error {
	var b publicBlock
	err := s.view(r.Context(), func(v record.View) error {
		got, _, err := accountBlocks.Get(v, accountBlockID)
		if absent(err) {
			return errs.Named(errs.NotFound, "NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found")
		} else if err == nil {
			b = *got
		}
		return err
	})
	if err != nil {
		return err
	}
	return writeXML(w, http.StatusOK, blockXML{Space: controlSpace, BlockPublicAcls: b.PublicACLs, IgnorePublicAcls: b.IgnorePublicACLs, BlockPublicPolicy: b.PublicPolicy, RestrictPublicBuckets: b.RestrictBuckets})
}

func (s *Service) putAccountBlock(w http.ResponseWriter, r *http.Request) error {
	b, err := limits.ReadAll(r.Body, maxControl, "the configuration")
	if err != nil {
		return err
	}
	var in blockXML
	if err := xml.Unmarshal(b, &in); err != nil {
		return invalid("MalformedXML", "The body is not a PublicAccessBlockConfiguration.")
	}
	err = s.update(r.Context(), "account", func(tx record.Tx) error {
		return accountBlocks.Put(tx, accountBlockID, &publicBlock{in.BlockPublicAcls, in.IgnorePublicAcls, in.BlockPublicPolicy, in.RestrictPublicBuckets})
	})
	if err == nil {
		w.WriteHeader(http.StatusCreated)
	}
	return err
}

func (s *Service) deleteAccountBlock(w http.ResponseWriter, r *http.Request) error {
	err := s.update(r.Context(), "account", func(tx record.Tx) error { return tx.Purge(accountBlocks.Name, accountBlockID) })
	if err != nil && !absent(err) {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func writeXML(w http.ResponseWriter, status int, v any) error {
	b, err := xml.Marshal(v)
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the answer cannot be written")
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = w.Write(append([]byte(xml.Header), b...)) // the client may be gone: nothing is left to tell it
	return nil
}

// failControl writes an error as S3 Control does.
func failControl(w http.ResponseWriter, r *http.Request, err error) {
	e := errs.As(err)
	status := map[errs.Code]int{errs.Invalid: 400, errs.NotFound: 404, errs.Denied: 403, errs.Unauthenticated: 403, errs.TooLarge: 400, errs.Unavailable: 503}[e.Code]
	code := e.Name
	switch {
	case status == 0:
		status, code = 500, "InternalError"
	case code == "":
		code = map[int]string{400: "InvalidRequest", 403: "AccessDenied", 404: "NoSuchPublicAccessBlockConfiguration", 503: "ServiceUnavailable"}[status]
	}
	type body struct {
		Type    string
		Code    string
		Message string
	}
	_ = writeXML(w, status, struct { // strings only: it cannot fail
		XMLName   xml.Name `xml:"ErrorResponse"`
		Space     string   `xml:"xmlns,attr"`
		Error     body
		RequestID string `xml:"RequestId"`
	}{Space: controlSpace, Error: body{"Sender", code, e.Message}, RequestID: w.Header().Get("X-Amzn-Requestid")})
}
