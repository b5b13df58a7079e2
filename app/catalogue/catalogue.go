// Package catalogue is the portfolio as data: which service owns what, under which contracts, as record or as stage, what survives, what is left to
// build around it, and how available each feature is.
//
// `galen route` asks it who owns a file, the edge asks it whether an operation may be used, and the documentation is printed from it. It describes
// services; it knows none of their code.
package catalogue

import (
	"time"

	"github.com/galen-health/galen/standard/sniff"
)

// Role says whether a service keeps the authoritative copy or passes data on.
type Role string

const (
	SystemOfRecord Role = "system of record"
	Stage          Role = "stage" // results go elsewhere to be kept
	Companion      Role = "companion"
)

// Availability of a feature, in the words of AWS's own pages.
type Availability string

const (
	Available             Availability = "available"
	Preview               Availability = "preview"
	ExistingCustomersOnly Availability = "existing-customers-only"
	Closed                Availability = "closed"
)

// Feature is a group of operations with one availability.
type Feature struct {
	Name         string
	Availability Availability
	Since        time.Time // when that availability began; zero = from the start
	Migration    string    // where to go instead, for what is no longer open to all
	Operations   []string  // AWS operations it covers; empty = none of its own
}

// Service is one entry of the portfolio.
type Service struct {
	ID        string // SDK service id: what `galen route` prints
	Package   string // folder below service/
	Signing   string // SigV4 signing name
	Title     string
	Object    string // the authoritative object
	Contracts []string
	Role      Role
	Survives  []string // standards and audit trails that survive a move away from Galen
	ToBuild   []string // what is left to build around it
	Uses      []string // companions
	Kinds     []sniff.Kind
	Features  []Feature
}

// Feature returns the feature that an operation belongs to; operations that no feature names are plainly available.
func (s *Service) Feature(operation string) (Feature, bool) {
	for _, f := range s.Features {
		for _, op := range f.Operations {
			if op == operation {
				return f, true
			}
		}
	}
	return Feature{}, false
}

// Owner returns the service that owns a kind of file, nil when none does.
func Owner(k sniff.Kind) *Service {
	if k == sniff.None {
		return nil
	}
	for i := range Services {
		for _, own := range Services[i].Kinds {
			if own == k {
				return &Services[i]
			}
		}
	}
	return nil
}

// BySigning returns the service with this SigV4 signing name, nil when the portfolio has none.
func BySigning(name string) *Service {
	for i := range Services {
		if Services[i].Signing == name {
			return &Services[i]
		}
	}
	return nil
}
