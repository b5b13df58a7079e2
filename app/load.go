package app

import (
	"time"

	"github.com/galen-health/galen/app/edge"
	"github.com/galen-health/galen/platform/limits"
)

// Load is what callers may ask of the server. Zero does not bound.
type Load struct {
	CallerRate       float64       `name:"caller-rate" default:"0" env:"GALEN_CALLER_RATE" help:"Requests a second that one principal may send over time; 0 = any."`
	CallerBurst      int           `name:"caller-burst" default:"0" env:"GALEN_CALLER_BURST" help:"Requests that it may send at once before the rate counts; 0 = one second's."`
	CallerConcurrent int           `name:"caller-concurrent" default:"512" env:"GALEN_CALLER_CONCURRENT" help:"Requests of one principal in progress; 0 = any."`
	MaxRequests      int64         `name:"max-requests" default:"4096" env:"GALEN_MAX_REQUESTS" help:"Requests of all principals in progress; 0 = any."`
	MaxBodyMemory    int64         `name:"max-body-memory" default:"1073741824" env:"GALEN_MAX_BODY_MEMORY" help:"Bytes of request bodies that may be held whole in memory at a time; objects and images stream and do not count. 0 = any."`
	MaxBody          int64         `name:"max-body" default:"0" env:"GALEN_MAX_BODY" help:"Bytes of one request's body where the contract allows more; 0 = what the contract allows."`
	FailureRate      float64       `name:"auth-failure-rate" default:"50" env:"GALEN_AUTH_FAILURE_RATE" help:"Failed authentications a second that one address may send over time; 0 = any."`
	FailureBurst     int           `name:"auth-failure-burst" default:"1000" env:"GALEN_AUTH_FAILURE_BURST" help:"Failed authentications that it may send at once before the rate counts; 0 = one second's."`
	BodyGrace        time.Duration `name:"body-grace" default:"30s" env:"GALEN_BODY_GRACE" help:"How long a request's body may take whatever its size, and an answer may wait to be taken; 0 = for ever."`
	BodyRate         int64         `name:"body-rate" default:"1024" env:"GALEN_BODY_RATE" help:"Bytes a second that a request's body must come at beyond that; 0 = the grace is for each part of it."`
}

func (l Load) pace() edge.Pace { return edge.Pace{Grace: l.BodyGrace, Rate: l.BodyRate} }

func (l Load) bounds() edge.Load {
	return edge.Load{Caller: limits.Allowance{Rate: l.CallerRate, Burst: l.CallerBurst, Concurrent: l.CallerConcurrent}, Requests: l.MaxRequests, Memory: l.MaxBodyMemory, Body: l.MaxBody,
		Strangers: edge.Strangers{Failures: limits.Allowance{Rate: l.FailureRate, Burst: l.FailureBurst}, Entries: strangerEntries, All: allStrangerEntries}}
}

// What requests that nobody is known to have sent may leave in the audit log, entry by entry; the rest is counted in one entry a minute. For ever at the full rate, that is 0.4 GB a day.
var (
	strangerEntries    = limits.Allowance{Rate: 1, Burst: 200}
	allStrangerEntries = limits.Allowance{Rate: 5, Burst: 1000}
)
