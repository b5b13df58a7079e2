package edge

import (
	"maps"
	"net/http"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/aws/wire"
	"github.com/galen-health/galen/platform/errs"
)

// status of each code, for errors whose shape in the contract does not say one.
var status = map[errs.Code]int{
	errs.Internal: 500, errs.Invalid: 400, errs.NotFound: 404, errs.Conflict: 409, errs.Denied: 403, errs.Unauthenticated: 403, errs.Exhausted: 402, errs.Throttled: 429,
	errs.Precondition: 412, errs.Unsupported: 501, errs.Unavailable: 503, errs.Corrupt: 500, errs.TooLarge: 413, errs.NotAcceptable: 406, errs.OutOfRange: 416, errs.Gone: 404,
	errs.Timeout: 408, errs.UnsupportedMedia: 415,
}

// names are the error names that contracts use for a code, in order of preference; the first that the operation declares is taken, else the first.
var names = map[errs.Code][]string{
	errs.Internal:         {"InternalServerException", "InternalServerError", "InternalFailureException", "InternalFailure", "InternalException", "KMSInternalException", "ServiceFailure", "ServiceFailureException", "ServerException"},
	errs.Invalid:          {"ValidationException", "InvalidRequestException", "BadRequestException", "InvalidParameterException", "InvalidInput", "InvalidInputException", "InvalidParameterValueException"},
	errs.NotFound:         {"ResourceNotFoundException", "NotFoundException", "NoSuchEntityException", "EntityNotFoundException"},
	errs.Conflict:         {"ConflictException", "ResourceAlreadyExistsException", "EntityAlreadyExistsException", "AlreadyExistsException", "ResourceInUseException", "ConcurrentModificationException"},
	errs.Denied:           {"AccessDeniedException"},
	errs.Unauthenticated:  {"UnrecognizedClientException"},
	errs.Exhausted:        {"ServiceQuotaExceededException", "LimitExceededException", "TooManyRequestsException", "ThrottlingException"},
	errs.Throttled:        {"ThrottlingException", "TooManyRequestsException", "LimitExceededException"},
	errs.Precondition:     {"ConflictException"},
	errs.Unsupported:      {"UnknownOperationException"},
	errs.Unavailable:      {"ServiceUnavailableException", "InternalServerException", "InternalServerError", "KMSInternalException", "InternalFailureException", "InternalException"},
	errs.Corrupt:          {"InternalServerException", "InternalServerError", "KMSInternalException", "InternalFailureException", "InternalException"},
	errs.TooLarge:         {"ValidationException", "InvalidRequestException", "BadRequestException"},
	errs.NotAcceptable:    {"NotAcceptableException", "ValidationException"},
	errs.OutOfRange:       {"RangeNotSatisfiableException", "ValidationException"},
	errs.Gone:             {"ResourceNotFoundException", "NotFoundException"},
	errs.Timeout:          {"RequestTimeoutException", "InternalServerException"},
	errs.UnsupportedMedia: {"ValidationException", "InvalidRequestException"},
}

// xmlNames are the names of the XML services (S3, IAM, STS), whose errors are mostly not declared in their models.
var xmlNames = map[errs.Code]string{
	errs.Internal: "InternalError", errs.Invalid: "InvalidArgument", errs.NotFound: "NoSuchKey", errs.Conflict: "OperationAborted", errs.Denied: "AccessDenied", errs.Unauthenticated: "AccessDenied",
	errs.Exhausted: "ServiceUnavailable", errs.Throttled: "SlowDown", errs.Precondition: "PreconditionFailed", errs.Unsupported: "NotImplemented", errs.Unavailable: "ServiceUnavailable",
	errs.Corrupt: "InternalError", errs.TooLarge: "EntityTooLarge", errs.OutOfRange: "InvalidRange", errs.Gone: "NoSuchKey", errs.Timeout: "RequestTimeout",
}

var queryNames = map[errs.Code]string{
	errs.Internal: "ServiceFailure", errs.Invalid: "ValidationError", errs.NotFound: "NoSuchEntity", errs.Conflict: "EntityAlreadyExists", errs.Denied: "AccessDenied", errs.Unauthenticated: "InvalidClientTokenId",
	errs.Exhausted: "LimitExceeded", errs.Throttled: "Throttling", errs.Unsupported: "NotImplemented", errs.Unavailable: "ServiceFailure", errs.Corrupt: "ServiceFailure", errs.TooLarge: "ValidationError",
}

// said are names that this server uses for every protocol, and what a protocol's own services say instead.
var said = map[string]struct{ xml, query, json string }{
	sigv4.ErrMissing:         {"AccessDenied", "MissingAuthenticationToken", "MissingAuthenticationTokenException"},
	sigv4.ErrIncomplete:      {"AuthorizationHeaderMalformed", "IncompleteSignature", "IncompleteSignatureException"},
	sigv4.ErrUnknownKey:      {"InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException"},
	sigv4.ErrMismatch:        {"SignatureDoesNotMatch", "SignatureDoesNotMatch", "InvalidSignatureException"},
	sigv4.ErrSkewed:          {"RequestTimeTooSkewed", "SignatureDoesNotMatch", "InvalidSignatureException"},
	sigv4.ErrExpired:         {"ExpiredToken", "ExpiredToken", "ExpiredTokenException"},
	sigv4.ErrInvalidToken:    {"InvalidToken", "InvalidClientTokenId", "UnrecognizedClientException"},
	"AccessDenied":           {"AccessDenied", "AccessDenied", "AccessDeniedException"},
	errTooSlow:               {"RequestTimeout", "RequestTimeout", errTooSlow},
	wire.ErrInvalidInput:     {"InvalidArgument", "ValidationError", ""},
	"SerializationException": {"MalformedXML", "MalformedInput", "SerializationException"},
}

// named are the statuses of errors that HTTP itself has a status for, and no code of ours stands for.
var named = map[string]int{"NotModified": http.StatusNotModified, "MethodNotAllowed": http.StatusMethodNotAllowed, "MissingContentLength": http.StatusLengthRequired}

// failure gives an error its name and status in the protocol of the request.
func (v *visit) failure(e *errs.Error) (name string, code int) {
	code = status[e.Code]
	name = e.Name
	if s, ok := said[name]; ok {
		switch v.proto {
		case aws.RESTXML:
			name = s.xml
		case aws.Query:
			name = s.query
		default:
			name = s.json
		}
	}
	var declared []*aws.Shape
	if v.service != nil {
		if op := v.service.Operations[v.op]; op != nil {
			declared = op.Errors
		}
	}
	if name == "" {
		name = v.nameOf(e.Code, declared)
		if e.Code == errs.Exhausted && name != "ServiceQuotaExceededException" { // a contract without an error for quotas says it as it says "slow down"
			code = status[errs.Throttled]
		}
	}
	if e.Code == errs.Throttled && e.Name == "" { // S3 says "slow down" as it says that it cannot, IAM and STS as any fault of the caller
		switch v.proto {
		case aws.RESTXML:
			code = http.StatusServiceUnavailable
		case aws.Query:
			code = http.StatusBadRequest
		}
	}
	switch e.Code { // awsJson services without statuses in their contract answer 400 to every fault of the caller
	case errs.Unauthenticated:
		if v.proto == aws.JSON10 || v.proto == aws.JSON11 || v.proto == aws.CBOR {
			code = 400
		}
	}
	if s, ok := named[name]; ok {
		return name, s
	}
	for _, d := range declared {
		if d.Code() == name && d.Error != nil && d.Error.Status != 0 {
			return name, d.Error.Status
		}
	}
	if (v.proto == aws.JSON10 || v.proto == aws.JSON11 || v.proto == aws.CBOR) && code < 500 && v.service != nil && plain400[v.service.Package] {
		code = 400
	}
	return name, code
}

// plain400 are the services whose every client error is a 400 on the wire.
var plain400 = map[string]bool{"kms": true, "events": true, "athena": true, "cloudtrail": true, "ecr": true, "logs": true, "pricing": true}

func (v *visit) nameOf(c errs.Code, declared []*aws.Shape) string {
	switch v.proto {
	case aws.RESTXML:
		if n := xmlNames[c]; n != "" {
			return n
		}
	case aws.Query:
		if n := queryNames[c]; n != "" {
			return n
		}
	}
	for _, n := range names[c] {
		for _, d := range declared {
			if d.Code() == n || d.Name == n {
				return d.Code()
			}
		}
	}
	return names[c][0]
}

// note keeps an unexpected failure for the operator, without what the caller sent.
func (v *visit) note(e *errs.Error) {
	if e.Code == errs.Internal || e.Code == errs.Corrupt || e.Code == errs.Unavailable {
		v.e.cfg.Log.Error("a call failed", "requestId", v.id, "operation", v.op, "code", e.Code.String(), "message", e.Message, "cause", cause(e))
	}
}

func cause(e *errs.Error) string {
	if e.Cause == nil {
		return ""
	}
	return e.Cause.Error()
}

// fail answers an AWS operation with an error, after the audit entry.
func (v *visit) fail(err error) {
	if v.w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	e := errs.As(v.slower(err))
	v.note(e)
	v.failed = e.Code.String()
	name, code := v.failure(e)
	if aerr := v.record(v.r.Context(), name); aerr != nil {
		e = errs.As(aerr)
		name, code = v.failure(e)
	}
	v.in.refuse()
	retryAfter(v.w.Header(), e)
	if h, ok := e.Details.(http.Header); ok { // an S3 delete marker, the ETag of a 304
		maps.Copy(v.w.Header(), h)
	}
	f := wire.Failure{Name: name, Message: e.Message, Status: code, RequestID: v.id, Resource: v.r.URL.Path, Sender: code < 500}
	if err := wire.EncodeError(v.w, v.service, v.proto, f, v.r.Method == http.MethodHead || code == http.StatusNotModified); err != nil {
		v.e.cfg.Log.Warn("an error answer broke off", "requestId", v.id)
	}
}
