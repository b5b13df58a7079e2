package ingest

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/galen-health/galen/aws/client"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/aws/transcribe"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/standard/sniff"
)

// Options of a run. Stores that are not named are found by name, or made.
type Options struct {
	HTTP     *client.HTTP
	Account  string
	Workers  int    // files landed at once; 0 = 4
	Name     string // of the stores that are found or made; "" = "galen"
	RoleARN  string // that jobs run under; "" = a role made for it
	Scan     func(done int)
	Progress func(done, total int, r Result)
}

// State of an item at the end of a run.
type State string

// The states.
const (
	Landed  State = "landed"  // taken by its service in this run
	Already State = "already" // taken in an earlier run: nothing was changed
	Left    State = "left"    // known, but not taken: the reason says why
	Refused State = "refused" // the owner refused it: the reason is its answer
	Nobody  State = "nobody"  // no service owns it
)

// Result is what became of one file.
type Result struct {
	Path    string     `json:"path"`
	Service string     `json:"service"`
	Kind    sniff.Kind `json:"kind"`
	State   State      `json:"state"`
	Where   string     `json:"where,omitempty"` // what to ask for: an ARN, a FHIR reference, a study
	Reason  string     `json:"reason,omitempty"`
}

// Report is what became of a folder.
type Report struct {
	Results []Result          `json:"results"`
	Counts  map[State]int     `json:"counts"`
	Stores  map[string]string `json:"stores"` // what the files went into, by kind of store
}

// run is one run over a folder.
type run struct {
	Options
	records    healthlake.Service
	images     medicalimaging.Service
	genomes    omics.Service
	objects    s3.Service
	scribe     transcribe.Service
	identity   iam.Service
	ledger     *ledger
	mu         sync.Mutex
	once       map[string]*sync.Once
	stores     map[string]string
	failures   map[string]error
	references []reference // that aligned reads and variants may stand on
}

// left is an item that is known but cannot be taken; its text goes into the report.
type left struct{ reason string }

func (l left) Error() string { return l.reason }

// Dir ingests a folder. It fails only when the folder cannot be read or the server does not answer; what happens to single files is in the report.
func Dir(ctx context.Context, dir string, o Options) (*Report, error) {
	if o.Workers == 0 {
		o.Workers = 4
	}
	if o.Name == "" {
		o.Name = "galen"
	}
	files, err := scan(dir, o.Scan)
	if err != nil {
		return nil, err
	}
	r := &run{Options: o, records: healthlake.NewClient(o.HTTP), images: medicalimaging.NewClient(o.HTTP), genomes: omics.NewClient(o.HTTP), objects: s3.NewClient(o.HTTP),
		scribe: transcribe.NewClient(o.HTTP), identity: iam.NewClient(o.HTTP), once: map[string]*sync.Once{}, stores: map[string]string{}, failures: map[string]error{}}
	if r.ledger, err = openLedger(ctx, r.objects, "galen-ingest-"+o.Account); err != nil {
		return nil, err
	}
	report := &Report{Counts: map[State]int{}}
	for _, f := range files {
		if f.Service == "" {
			report.add(Result{Path: f.Rel, State: Nobody, Reason: f.Verdict.Reason})
		}
	}
	items := group(files)
	total, done := len(items), 0
	finish := func(it Item, res Result) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, f := range it.Files {
			one := res
			one.Path, one.Service, one.Kind = f.Rel, f.Service, f.Verdict.Kind
			report.add(one)
		}
		done++
		if o.Progress != nil {
			res.Path = it.Files[0].Rel
			o.Progress(done, total, res)
		}
	}
	for len(items) > 0 { // wave by wave: what others stand on lands first
		n := 1
		for n < len(items) && rank(items[n].Kind) == rank(items[0].Kind) {
			n++
		}
		if err := r.wave(ctx, items[:n], finish); err != nil {
			return nil, err
		}
		items = items[n:]
	}
	report.Stores = r.stores
	return report, ctx.Err()
}

func (rep *Report) add(r Result) {
	rep.Results = append(rep.Results, r)
	rep.Counts[r.State]++
}

// wave lands items in parallel. The first failure that is the server's and not an item's ends the run.
func (r *run) wave(ctx context.Context, items []Item, finish func(Item, Result)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan Item)
	var wg sync.WaitGroup
	for range r.Workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for it := range queue {
				res, err := r.item(ctx, it)
				if err != nil {
					cancel(err)
					return
				}
				finish(it, res)
			}
		}()
	}
feed:
	for _, it := range items {
		select {
		case queue <- it:
		case <-ctx.Done():
			break feed
		}
	}
	close(queue)
	wg.Wait()
	return context.Cause(ctx)
}

// item lands one item, unless the ledger has it.
func (r *run) item(ctx context.Context, it Item) (Result, error) {
	entry, err := r.ledger.find(ctx, it.Key())
	if err != nil {
		return Result{}, err
	}
	store, err := r.home(ctx, it.Kind)
	if err == nil && entry != nil && strings.Contains(entry.Where, store) { // not what went into a store of another name, or into one deleted since
		if it.Kind == sniff.FASTA {
			err = r.keepReference(entry.Where, it.Files[0])
		}
		return Result{State: Already, Where: entry.Where}, err
	}
	where := ""
	if err == nil {
		where, err = r.land(ctx, it)
	}
	var l left
	switch {
	case err == nil:
		return Result{State: Landed, Where: where}, r.ledger.write(ctx, it, where)
	case errors.As(err, &l):
		return Result{State: Left, Reason: l.reason}, nil
	case ctx.Err() != nil:
		return Result{}, ctx.Err()
	case errs.Is(err, errs.Unavailable), errs.Is(err, errs.Unauthenticated), errs.Is(err, errs.Denied):
		return Result{}, err
	case errs.Is(err, errs.Unsupported):
		return Result{State: Left, Reason: errs.As(err).Message}, nil
	}
	return Result{State: Refused, Reason: errs.As(err).Message}, nil
}

// home is the store that items of a kind go into, "" where they need none of this run's.
func (r *run) home(ctx context.Context, k sniff.Kind) (string, error) {
	switch k {
	case sniff.FHIRJSON, sniff.FHIRNDJSON:
		return r.datastore(ctx)
	case sniff.DICOM:
		return r.imagestore(ctx)
	case sniff.FASTQ, sniff.BAM, sniff.CRAM:
		return r.sequencestore(ctx)
	}
	return "", nil
}

// land gives an item to its owner and returns where it is now.
func (r *run) land(ctx context.Context, it Item) (string, error) {
	switch it.Kind {
	case sniff.FHIRJSON, sniff.FHIRNDJSON:
		return r.landRecords(ctx, it)
	case sniff.DICOM:
		return r.landImage(ctx, it)
	case sniff.FASTA:
		return r.landReference(ctx, it)
	case sniff.FASTQ, sniff.BAM, sniff.CRAM:
		return r.landReads(ctx, it)
	case sniff.VCF:
		return r.landVariants(ctx, it)
	case sniff.Audio, sniff.Transcript:
		return r.landVisit(ctx, it)
	case sniff.HL7v2, sniff.CCDA, sniff.FHIRXML:
		return "", left{"healthlake owns it, but its ingress for this format is not part of this version: convert it to FHIR JSON"}
	case sniff.WDL, sniff.CWL, sniff.Nextflow:
		return "", left{"omics owns it, but workflows are not part of this version"}
	case sniff.SAM:
		return "", left{"omics takes aligned reads as BAM or CRAM: convert it (samtools view -b)"}
	}
	return "", left{"its owner does not take this format as a file"}
}

// shared makes something that many items need, once a run, and remembers its id or its failure.
func (r *run) shared(name string, open func() (string, error)) (string, error) {
	r.mu.Lock()
	o := r.once[name]
	if o == nil {
		o = new(sync.Once)
		r.once[name] = o
	}
	r.mu.Unlock()
	o.Do(func() {
		id, err := open()
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.failures[name] = err; err == nil {
			r.stores[name] = id
		}
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stores[name], r.failures[name]
}
